"""Opening a dataset for somebody: what he may see of it, decided before anything is read."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from rest_api.backends.catalog import Catalog
from rest_api.backends.footers import CorruptFile, corrupt_dataset
from rest_api.errors import Conflict, Forbidden, Invalid, NotFound, nearest
from rest_api.lake.grants import MANAGE, PRIVILEGES, READ, Grant
from rest_api.lake.names import is_name
from rest_api.lake.snapshots import Snapshot
from rest_api.lake.views import View, view_of
from rest_api.services.rights import Reader, grants_of

SUGGESTIONS = 5
"""How many names near to an unknown one are tried."""


@dataclass(frozen=True)
class Asked:
    """Which dataset, for what, and at which version: the newest where neither number nor time is given."""

    name: str
    privilege: str = READ
    version: int | None = None
    as_of: datetime | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.as_of is not None:
            raise Invalid("Give version or as_of, not both")

    @property
    def is_of_a_version(self) -> bool:
        """Whether a version is asked for."""
        return self.version is not None or self.as_of is not None


@dataclass(frozen=True)
class Opened:
    """A dataset as somebody may see it. `grants` are those of his that are about it."""

    snapshot: Snapshot
    view: View
    grants: tuple[Grant, ...]

    @property
    def privileges(self) -> list[str]:
        """What he may do with it."""
        return [each for each in PRIVILEGES if any(grant.gives(each) for grant in self.grants)]

    @property
    def may_manage(self) -> bool:
        """Whether he manages it."""
        return any(grant.gives(MANAGE) for grant in self.grants)

    @property
    def may_read_all(self) -> bool:
        """Whether he sees every row and column as it is."""
        return any(grant.is_whole and grant.gives(READ) for grant in self.grants)


@dataclass(frozen=True)
class Datasets:
    """The datasets of a catalog, behind the rights that people have."""

    catalog: Catalog

    def open(self, session: Session, reader: Reader, asked: Asked) -> Opened:
        """A dataset for one purpose. Raises NotFound where he sees none of that name, Forbidden where he sees it.

        Whom no grant could admit is refused before the lake is touched.
        """
        return self.open_by(grants_of(session, reader), asked)

    def open_by(self, grants: Sequence[Grant], asked: Asked) -> Opened:
        """The same by grants that were looked up already."""
        about = tuple(grant for grant in grants if grant.may_cover(asked.name))
        if not about or not is_name(asked.name):
            raise self.absent(asked.name, grants)
        with self._telling(asked.name, about, grants):
            newest = self.catalog.snapshot(asked.name)
            if newest is None:
                raise self.absent(asked.name, grants)
            # What is hidden now tells nobody which versions it has, or that it has none.
            opened = self._opened(newest, asked, grants)
            return self._at_version(opened, asked, grants) if asked.is_of_a_version else opened

    def visible(self, grants: Sequence[Grant]) -> list[str]:
        """The names of what grants could admit to, in order; some may turn out to be gone."""
        paths = [grant.path for grant in grants if grant.path is not None]
        named = {grant.dataset for grant in grants if grant.dataset is not None}
        found = {name for name in self.catalog.names(paths) if any(grant.may_cover(name) for grant in grants)}
        return sorted(named | found)

    def readable(self, grants: Sequence[Grant], names: Iterable[str]) -> Iterator[Opened]:
        """Those of these datasets that are there and that grants let read, each opened when it is asked for.

        What is hidden, may only be written to or cannot be read is passed over: who opens it by name learns why.
        """
        found = (self._readable(name, grants) for name in names)
        return (each for each in found if each is not None)

    def is_there(self, name: str, identity: str) -> bool:
        """Whether the dataset of a name is this very one; one that cannot be read is not there."""
        try:
            return self.catalog.identity(name) == identity
        except (Conflict, NotFound):
            return False

    def absent(self, name: str, grants: Sequence[Grant]) -> NotFound:
        """The same refusal for what is not there and for what is hidden, naming the nearest visible name."""
        near = self._nearest(name, grants)
        hint = f"; did you mean {near!r}?" if near else ""
        return NotFound(f"There is no dataset {name[:100]!r}{hint}", did_you_mean=near)

    def _opened(self, snapshot: Snapshot, asked: Asked, grants: Sequence[Grant]) -> Opened:
        covering = tuple(grant for grant in grants if grant.covers(snapshot.name, snapshot.identity))
        if not _shows(snapshot, covering):
            raise self.absent(asked.name, grants)
        giving = [grant for grant in covering if grant.gives(asked.privilege)]
        view = view_of(snapshot, giving)
        if view is None:
            raise Forbidden(f"This call needs the privilege {asked.privilege} on the dataset")
        return Opened(snapshot, view, covering)

    def _readable(self, name: str, grants: Sequence[Grant]) -> Opened | None:
        about = [grant for grant in grants if grant.may_cover(name)]
        try:
            snapshot = self.catalog.snapshot(name) if about else None
        except (Conflict, CorruptFile, NotFound):
            return None
        if snapshot is None:
            return None
        covering = tuple(grant for grant in about if grant.covers(name, snapshot.identity))
        view = view_of(snapshot, [grant for grant in covering if grant.gives(READ)])
        return None if view is None else Opened(snapshot, view, covering)

    def _at_version(self, newest: Opened, asked: Asked, grants: Sequence[Grant]) -> Opened:
        version = asked.version
        if asked.as_of is not None:
            version = self.catalog.version_at(newest.snapshot, asked.as_of)
        snapshot = self.catalog.snapshot(asked.name, version)
        if snapshot is None:
            raise self.absent(asked.name, grants)
        return self._opened(snapshot, asked, grants)

    @contextmanager
    def _telling(self, name: str, about: Sequence[Grant], grants: Sequence[Grant]) -> Iterator[None]:
        """Tells of a dataset that cannot be read only whose grants are about this very one."""
        try:
            with telling_of_corruption(about):
                yield
        except Conflict as error:
            if self._is_another(name, about):
                raise self.absent(name, grants) from error
            raise

    def _is_another(self, name: str, about: Sequence[Grant]) -> bool:
        try:
            identity = self.catalog.identity(name)
        except Conflict:
            return False  # a table that cannot be opened does not say which one it is
        return identity is None or not any(grant.covers(name, identity) for grant in about)

    def _nearest(self, name: str, grants: Sequence[Grant]) -> str | None:
        others = [each for each in self.visible(grants) if each != name]
        for _ in range(SUGGESTIONS):
            near = nearest(name, others)
            if near is None or self._is_seen(near, grants):
                return near
            others.remove(near)
        return None

    def _is_seen(self, name: str, grants: Sequence[Grant]) -> bool:
        """Whether it is there and grants admit to some of it; what cannot be read is not."""
        try:
            identity = self.catalog.identity(name)
            covering = [grant for grant in grants if identity is not None and grant.covers(name, identity)]
            if any(grant.is_whole for grant in covering):
                return True
            snapshot = self.catalog.snapshot(name) if covering else None
        except (Conflict, CorruptFile):
            return False
        return snapshot is not None and _shows(snapshot, covering)


def _shows(snapshot: Snapshot, covering: Sequence[Grant]) -> bool:
    """Whether grants about a dataset admit to it: to some column, or to write."""
    if any(not grant.gives(READ) for grant in covering):
        return True
    return view_of(snapshot, covering) is not None


@contextmanager
def telling_of_corruption(grants: Sequence[Grant]) -> Iterator[None]:
    """Tells who manages a dataset which file of it is corrupt, and everybody else only that one is."""
    try:
        yield
    except CorruptFile as error:
        is_manager = any(grant.gives(MANAGE) for grant in grants)
        raise (error.refusal() if is_manager else corrupt_dataset()) from error
