"""Grants: given, seen and revoked by who manages what they are about, and told to those whose they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from unicodedata import category, normalize

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from rest_api.backends.footers import CorruptFile
from rest_api.database import utc_now
from rest_api.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, nearest
from rest_api.lake.grants import MANAGE, MASKS, PRIVILEGES, WRITE, Grant
from rest_api.lake.names import is_path, is_within, name_of, path_of
from rest_api.lake.narrowing import ANY_SHAPE, Conditions, conjuncts, excess, named_in
from rest_api.lake.snapshots import Snapshot
from rest_api.lake.views import View, mask_suits, raw_shape, read_filter, view_of
from rest_api.models.grant import GrantRecord
from rest_api.models.group import Group
from rest_api.models.user import User
from rest_api.query.conditions import Column, Shape
from rest_api.services import events
from rest_api.services.datasets import Asked, Datasets, Opened
from rest_api.services.rights import Reader, as_grant, grants_of

SUGGESTED_FROM = 1_000
"""Among how many names the nearest one is looked for."""
# Zero-width characters, marks of direction and separators of lines: two names that look the same are not.
_INVISIBLE = frozenset({"Cf", "Co", "Cn", "Zl", "Zp"})


def give(session: Session, datasets: Datasets, giver: Reader, offer: Grant) -> GrantRecord:
    """Give a grant of what its giver manages, no wider than one of his own.

    Raises Invalid for what cannot be, NotFound and Forbidden as `Datasets.open` does, Forbidden where it is wider.
    """
    _check(offer)
    mandate = _mandate(session, datasets, giver, offer)
    require_principal(session, giver, offer.principal)
    mandate.check(offer)
    record = GrantRecord(
        principal=offer.principal,
        dataset=offer.dataset,
        identity=mandate.identity,
        path=offer.path,
        privileges=[each for each in PRIVILEGES if each in offer.privileges],
        columns=None if offer.columns is None else list(offer.columns),
        filter=offer.filter,
        masks=dict(offer.masks),
        expires_at=offer.expires_at,
        created_by=giver.username,
        created_at=utc_now(),
    )
    session.add(record)
    session.flush()
    _tell(session, "grant.given", record)
    return record


def find(session: Session, reader: Reader, grant_id: int) -> GrantRecord:
    """A grant that concerns somebody. Raises NotFound."""
    restrictions = concerning(reader, grants_of(session, reader))
    record = session.scalar(select(GrantRecord).where(GrantRecord.id == grant_id, *restrictions))
    if record is None:
        raise NotFound("There is no such grant")
    return record


def revoke(session: Session, reader: Reader, grant_id: int) -> GrantRecord:
    """Take a grant back; nobody has it from the next request on. Raises NotFound, Forbidden for one's own."""
    record = find(session, reader, grant_id)
    if not managing(as_grant(record), grants_of(session, reader)):
        raise Forbidden("This call needs the privilege manage on what the grant is about")
    _tell(session, "grant.revoked", record)
    session.delete(record)
    session.flush()
    return record


def concerning(reader: Reader, grants: Sequence[Grant]) -> list[ColumnElement[bool]]:
    """What restricts the grants that somebody sees: those that are his, and those on what he manages."""
    if reader.is_admin:
        return []
    managed = [_is_about(grant) for grant in grants if grant.gives(MANAGE)]
    return [or_(GrantRecord.principal.in_(reader.names), *managed)]


def managing(grant: Grant, grants: Sequence[Grant]) -> tuple[Grant, ...]:
    """Those of somebody's grants that let him manage what a grant is about."""
    return tuple(each for each in grants if each.gives(MANAGE) and _reaches(each, grant))


def sleeps(datasets: Datasets, grant: Grant) -> bool:
    """Whether the dataset that a grant was given on has vanished, even if there is another one of its name."""
    if grant.dataset is None:
        return False
    try:
        found = datasets.catalog.snapshot(grant.dataset)
    except (CorruptFile, Conflict):
        return False
    return found is None or found.identity != grant.identity


@dataclass(frozen=True)
class Mandate:
    """What somebody may pass on: his own grants of manage on it.

    `sayable` is what a filter may name, `stored` what the filters of his own grants speak of.
    """

    grants: tuple[Grant, ...]
    sayable: Shape = ANY_SHAPE
    stored: Shape = ANY_SHAPE
    opened: Opened | None = None

    @property
    def identity(self) -> str | None:
        """What a grant on the dataset is bound to."""
        return None if self.opened is None else self.opened.snapshot.identity

    def check(self, offer: Grant) -> None:
        """Raises Invalid for columns that are none, Forbidden for what is wider than each of his own grants."""
        if self.opened is not None:
            _check_columns(offer, self.opened.view)
        wanted = self._wanted(offer)
        found = [excess(offer, own, wanted, self._held(own)) for own in self.grants]
        if all(found):
            raise _wider(found)
        if self.opened is not None:
            _check_masks(offer, self.opened.snapshot)

    def _wanted(self, offer: Grant) -> Conditions:
        if offer.filter is None:
            return frozenset()
        try:
            wanted = conjuncts(read_filter(offer.filter, self.sayable))
        except Invalid as error:
            raise _wrong("filter", error.detail, error.did_you_mean) from error
        if self.opened is not None:
            self._check_named(wanted, self.opened.view)
        return wanted

    def _check_named(self, wanted: Conditions, view: View) -> None:
        """Raises Invalid: what is hidden or masked cannot be asked about, but in a condition of his own grants."""
        own = frozenset(condition for grant in self.grants for condition in self._held(grant))
        for name in sorted({name for each in wanted - own for name in named_in(each)}):
            if name not in view.by_name:
                raise _unknown("filter", "column", name, view.shape.names)
            if not _is_sometimes_plain(view, name):
                raise _wrong("filter", f"{name} is masked for you; a filter cannot name it")

    def _held(self, own: Grant) -> Conditions:
        return frozenset() if own.filter is None else conjuncts(read_filter(own.filter, self.stored))


def _mandate(session: Session, datasets: Datasets, giver: Reader, offer: Grant) -> Mandate:
    if offer.dataset is not None:
        return _mandate_on(datasets.open(session, giver, Asked(offer.dataset, MANAGE)))
    own = managing(offer, grants_of(session, giver))
    if not own:
        raise Forbidden("This call needs the privilege manage on the folder")
    return Mandate(own)


def _mandate_on(opened: Opened) -> Mandate:
    # One that admits nothing here, since the dataset lacks a column that it names, passes nothing on either.
    snapshot, view = opened.snapshot, opened.view
    own = tuple(each for each in opened.grants if each.gives(MANAGE) and view_of(snapshot, [each]) is not None)
    stored = raw_shape(snapshot.name, snapshot.columns)
    filters = [read_filter(each.filter, stored) for each in own if each.filter is not None]
    named = {name for condition in filters for name in named_in(condition)}
    known = {*view.by_name, *named}
    columns = tuple(_sayable(column, view, named) for column in stored.columns if column.name in known)
    return Mandate(own, replace(stored, columns=columns), stored, opened)


def _sayable(column: Column, view: View, named: set[str]) -> Column:
    """A column with the type that is known to who sees a view, and the filters of his own grants."""
    is_known = column.name in named or _is_sometimes_plain(view, column.name)
    return column if is_known else Column(column.name, view.by_name[column.name].type)


def _is_sometimes_plain(view: View, name: str) -> bool:
    return any(each.mask is None for each in view.by_name[name].alternatives)


def _check(offer: Grant) -> None:
    """Raises Invalid for what cannot be, whatever it is about."""
    _check_target(offer)
    for privilege in sorted(offer.privileges - {*PRIVILEGES}):
        raise _unknown("privileges", "privilege", privilege, PRIVILEGES)
    if not offer.privileges:
        raise _wrong("privileges", "name at least one privilege")
    if WRITE in offer.privileges and not offer.is_whole:
        raise _wrong("privileges", "write covers whole rows: a grant with it takes no columns, filter or masks")
    for name, mask in offer.masks.items():
        if mask not in MASKS:
            raise _unknown("masks", "mask", mask, MASKS)
        if offer.columns is not None and name not in offer.columns:
            raise _wrong("masks", f"{name} is not among the columns of the grant")
    if offer.columns == ():
        raise _wrong("columns", "name at least one column, or leave them out to give all")
    if offer.expires_at is not None and offer.expires_at <= utc_now():
        raise _wrong("expires_at", "it lies in the past")


def _check_target(offer: Grant) -> None:
    if (offer.dataset is None) == (offer.path is None):
        raise Invalid("Give dataset or path, and only one of them", errors=[FieldError("dataset", "give it or path")])
    if offer.path is not None and not _is_plain_path(offer.path):
        raise _wrong("path", "a path is / or folders such as /sales/orders, without dots and what cannot be seen")


def _is_plain_path(path: str) -> bool:
    """Whether it is a path, and not only until somebody normalizes it."""
    normal = normalize("NFKC", path)
    is_same = is_path(path) and is_path(normal) and normal.count("/") == path.count("/")
    return is_same and not any(category(each) in _INVISIBLE for each in path)


def _check_columns(offer: Grant, view: View) -> None:
    for field, names in (("columns", offer.columns or ()), ("masks", offer.masks)):
        for name in names:
            if name not in view.by_name:
                raise _unknown(field, "column", name, view.shape.names)


def _check_masks(offer: Grant, snapshot: Snapshot) -> None:
    kinds = {column.name: column.type for column in snapshot.columns}
    for name, mask in offer.masks.items():
        if not mask_suits(mask, kinds[name]):
            raise _wrong("masks", f"{mask} is for times; {name} holds none")


def _wider(found: Sequence[list[FieldError]]) -> Forbidden:
    """The refusal that says what is wider, by the own grant that comes nearest."""
    errors = min(found, key=len)
    said = "; ".join(f"{each.field}: {each.detail}" for each in errors)
    return Forbidden(f"The grant is wider than yours; {said}", errors=errors)


def require_principal(session: Session, giver: Reader, name: str) -> None:
    """Raises Invalid where there is neither a user nor a group of that name."""
    user = select(User.id).where(User.username == name)
    if session.scalar(user) is None and session.scalar(select(Group.id).where(Group.name == name)) is None:
        raise _unknown("principal", "user or group", name, _known_names(session, giver))


def _known_names(session: Session, giver: Reader) -> list[str]:
    """Names that may be told: everybody's card, and the giver's own groups, or all of them to an administrator."""
    names = list(session.scalars(select(User.username).order_by(User.id).limit(SUGGESTED_FROM)))
    if not giver.is_admin:
        return [*names, *giver.groups]
    return [*names, *session.scalars(select(Group.name).order_by(Group.id).limit(SUGGESTED_FROM))]


def _is_about(own: Grant) -> ColumnElement[bool]:
    """That a stored grant is about what one of manage reaches; as `_reaches` says it of values."""
    if own.path is None:
        return and_(GrantRecord.dataset == own.dataset, GrantRecord.identity == own.identity)
    if own.path == "/":
        return GrantRecord.id.is_not(None)
    name = name_of(own.path)
    return or_(
        GrantRecord.path == own.path,
        GrantRecord.path.startswith(f"{own.path}/", autoescape=True),
        GrantRecord.dataset == name,
        GrantRecord.dataset.startswith(f"{name}.", autoescape=True),
    )


def _reaches(own: Grant, grant: Grant) -> bool:
    if own.path is None:
        return grant.dataset is not None and (own.dataset, own.identity) == (grant.dataset, grant.identity)
    return is_within(grant.path or path_of(grant.dataset or ""), own.path)


def _tell(session: Session, event_type: str, record: GrantRecord) -> None:
    data: dict[str, Any] = {
        "id": record.id,
        "principal": record.principal,
        "dataset": record.dataset,
        "path": record.path,
        "privileges": list(record.privileges),
    }
    events.record(session, type=event_type, subject=f"grants/{record.id}", data=data, audience="admin")


def _unknown(field: str, what: str, name: str, known: Sequence[str]) -> Invalid:
    near = nearest(name, known)
    hint = f"; did you mean {near!r}?" if near else ""
    return _wrong(field, f"Unknown {what} {name[:100]!r}{hint}", near)


def _wrong(field: str, detail: str, did_you_mean: str | None = None) -> Invalid:
    return Invalid(detail, errors=[FieldError(field, detail)], did_you_mean=did_you_mean)
