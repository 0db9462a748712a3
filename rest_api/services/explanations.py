"""Why somebody may do something with a dataset or not: by which grants, and on which view."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from rest_api.errors import Forbidden, NotFound
from rest_api.lake.grants import MANAGE, Grant, strength
from rest_api.lake.narrowing import legible
from rest_api.lake.views import ViewColumn, view_of
from rest_api.models.group import Group, Membership
from rest_api.models.user import User
from rest_api.services.datasets import Asked, Datasets, Opened
from rest_api.services.grants import require_principal, sleeps
from rest_api.services.rights import Reader, grants_of


@dataclass(frozen=True)
class SeenColumn:
    """A column of a view; `mask` is the strongest one that is on some of its values."""

    name: str
    type: str
    mask: str | None


@dataclass(frozen=True)
class SeenView:
    """A view as it is told; `filter` joins those of several grants."""

    columns: tuple[SeenColumn, ...]
    filter: str | None
    is_whole: bool


@dataclass(frozen=True)
class Explanation:
    """Whether a call would be allowed, why, and by which grants; the view where there is one."""

    allowed: bool
    reason: str
    grants: tuple[int, ...] = ()
    view: SeenView | None = None


@dataclass(frozen=True)
class Question:
    """Whether a user or group may do something, with these columns; `manager` is who asks about another."""

    subject: Reader
    asked: Asked
    columns: tuple[str, ...] = ()
    manager: Opened | None = None


def explain_own(session: Session, datasets: Datasets, question: Question) -> Explanation:
    """What somebody may do himself. Raises NotFound for a dataset that is hidden from him or absent."""
    asked = question.asked
    try:
        opened = datasets.open(session, question.subject, asked)
    except Forbidden as refusal:
        covering = [each for each in grants_of(session, question.subject) if each.may_cover(asked.name)]
        return Explanation(False, refusal.detail, _ids([each for each in covering if not sleeps(datasets, each)]))
    return _explained(opened, question)


def explain_other(
    session: Session, datasets: Datasets, caller: Reader, principal: str, question: Question
) -> Explanation:
    """What another may do, as far as who manages the dataset may see. Raises as `Datasets.open` does, Invalid."""
    manager = datasets.open(session, caller, Asked(question.asked.name, MANAGE))
    require_principal(session, caller, principal)
    subject = _subject(session, principal)
    if subject is None:
        return Explanation(False, "The user is disabled")
    try:
        return explain_own(session, datasets, Question(subject, question.asked, question.columns, manager))
    except NotFound:
        return Explanation(False, "No grant admits to the dataset")


def _subject(session: Session, name: str) -> Reader | None:
    """Whose rights a name stands for, those of a group alone too; None for who is disabled."""
    user = session.scalar(select(User).where(User.username == name))
    if user is None:
        return Reader(name, (), is_admin=False)
    groups = select(Group.name).join(Membership).where(Membership.user_id == user.id).order_by(Group.name)
    found = Reader(name, tuple(session.scalars(groups)), is_admin=user.role == "admin")
    return None if user.disabled_at is not None else found


def _explained(opened: Opened, question: Question) -> Explanation:
    privilege = question.asked.privilege
    giving = [each for each in opened.grants if each.gives(privilege) and view_of(opened.snapshot, [each]) is not None]
    view = SeenView(
        columns=tuple(_seen(column) for column in _told(opened, question.manager)),
        filter=_filter(_legible(giving, question.manager)),
        is_whole=opened.view.is_whole,
    )
    names = {column.name for column in view.columns}
    lacking = [name for name in question.columns if name not in names]
    if lacking:
        return Explanation(False, f"The view has no column {lacking[0][:100]!r}", _ids(giving), view)
    return Explanation(True, _reason(giving, privilege), _ids(giving), view)


def _told(opened: Opened, manager: Opened | None) -> list[ViewColumn]:
    """The columns of a view that who asks may see himself."""
    return [each for each in opened.view.columns if manager is None or each.name in manager.view.by_name]


def _legible(giving: Sequence[Grant], manager: Opened | None) -> list[str | None]:
    """The filters, with a mark for those that name what who asks may not see."""
    if manager is None:
        return [each.filter for each in giving]
    own = [each for each in manager.grants if each.gives(MANAGE)]
    return [None if each.filter is None else legible(each, own).filter or "…" for each in giving]


def _filter(filters: Sequence[str | None]) -> str | None:
    texts = list(dict.fromkeys(text for text in filters if text is not None))
    if None in filters or not texts:
        return None
    return texts[0] if len(texts) == 1 else " or ".join(f"({text})" for text in texts)


def _seen(column: ViewColumn) -> SeenColumn:
    return SeenColumn(column.name, column.type.value, max((each.mask for each in column.alternatives), key=strength))


def _reason(giving: Sequence[Grant], privilege: str) -> str:
    ids = ", ".join(str(each) for each in _ids(giving))
    by_role = "the role admin" if any(each.id is None for each in giving) else ""
    by_grants = f"grant {ids}" if ids else ""
    return f"Allowed: {' and '.join(filter(None, (by_role, by_grants)))} gives {privilege}"


def _ids(grants: Sequence[Grant]) -> tuple[int, ...]:
    return tuple(each.id for each in grants if each.id is not None)
