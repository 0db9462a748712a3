"""What somebody is told of the events: chosen by his rights at the moment of reading, in the order of commits.

Who may read a dataset is told of its changes; a hidden dataset's are not there, and cost him no look at it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, tuple_
from sqlalchemy.orm import Session

from rest_api.errors import Gone
from rest_api.lake.grants import READ, Grant
from rest_api.models.event import Event, EventHorizon
from rest_api.services import events
from rest_api.services.datasets import Datasets
from rest_api.services.rights import Reader, grants_of, policy_of

SOURCE = "/lakeport"
Identified = tuple[str, str]
"""A dataset's name and identity."""


@dataclass(frozen=True)
class Subscriber:
    """Who is told, with his rights of this moment."""

    user_id: int
    role: str
    reader: Reader


@dataclass(frozen=True)
class Asked:
    """Which events: of `types` (all where none is named), after a number, and how many at most.

    A type that ends in `.*` stands for all that begin so.
    """

    types: tuple[str, ...]
    after: int | None
    limit: int


@dataclass(frozen=True)
class Told:
    """Events as CloudEvents, ascending, the number to go on after, and the policy that they were chosen under."""

    events: list[dict[str, Any]]
    at: int
    policy: str


@dataclass(frozen=True)
class Sight:
    """Whose changes he is told: `read` says of the datasets that he reads whether he sees all of each.

    Of the datasets that are only `reached` by a grant, he is told what he did himself.
    """

    reached: frozenset[Identified]
    read: Mapping[Identified, bool]


def read(session: Session, datasets: Datasets, subscriber: Subscriber, asked: Asked) -> Told:
    """The next events that he may see. Raises Gone where some after that number were deleted, Unavailable."""
    grants = grants_of(session, subscriber.reader)
    # First of all: what is committed after it has a greater number and is found next time.
    newest = events.last_sequence(session.connection())
    _require_kept(session, asked.after)
    within = [Event.sequence > (asked.after or 0), Event.sequence <= newest, *_of_types(asked.types)]
    sight = Sight(frozenset(), {}) if subscriber.reader.is_admin else _sight(session, datasets, grants, within)
    visible = [] if subscriber.reader.is_admin else [_is_visible(subscriber, sight)]
    chosen = select(Event.__table__).where(*within, *visible).order_by(Event.sequence).limit(asked.limit)
    rows = session.execute(chosen).all()
    policy = policy_of(subscriber.role, grants)
    at = rows[-1].sequence if len(rows) == asked.limit else max(newest, asked.after or 0)
    told = [{**cloud_event(row), "policy": policy, "data": _data(row, subscriber, sight)} for row in rows]
    return Told(told, at, policy)


def _require_kept(session: Session, after: int | None) -> None:
    purged = session.scalar(select(EventHorizon.purged_through)) or 0
    if after is not None and after < purged:
        raise Gone("Events after that one were deleted; begin again without after", code="events_gone")


def _of_types(types: Sequence[str]) -> list[ColumnElement[bool]]:
    return [or_(*(_is_of_type(each) for each in types))] if types else []


def _is_of_type(wanted: str) -> ColumnElement[bool]:
    if wanted.endswith(".*"):
        return Event.type.startswith(wanted[:-1], autoescape=True)
    return Event.type == wanted


def _sight(
    session: Session, datasets: Datasets, grants: Sequence[Grant], within: Sequence[ColumnElement[bool]]
) -> Sight:
    """What he sees of the datasets that changed. Only those that a grant of his reaches are looked at."""
    if not grants:
        return Sight(frozenset(), {})
    changed = select(Event.dataset, Event.identity).where(Event.dataset.is_not(None), *within).distinct()
    pairs = sorted((str(row.dataset), str(row.identity)) for row in session.execute(changed))
    reached = [pair for pair in pairs if any(grant.covers(*pair) for grant in grants)]
    read = [pair for pair in reached if _reads(datasets, grants, pair)]
    return Sight(frozenset(reached), {pair: _sees_all(grants, pair) for pair in read})


def _reads(datasets: Datasets, grants: Sequence[Grant], pair: Identified) -> bool:
    """Whether this very dataset is there, and he sees some of it."""
    name, identity = pair
    if _sees_all(grants, pair):
        return datasets.is_there(name, identity)
    return any(opened.snapshot.identity == identity for opened in datasets.readable(grants, [name]))


def _sees_all(grants: Sequence[Grant], pair: Identified) -> bool:
    return any(grant.is_whole and grant.gives(READ) and grant.covers(*pair) for grant in grants)


def _is_visible(subscriber: Subscriber, sight: Sight) -> ColumnElement[bool]:
    is_own = Event.owner_id == subscriber.user_id
    is_open = Event.owner_id.is_(None) & Event.audience.is_(None)
    dataset = tuple_(Event.dataset, Event.identity)
    return or_(
        and_(Event.dataset.is_(None), or_(is_own, is_open)),
        dataset.in_(sorted(sight.read)),
        and_(is_own, dataset.in_(sorted(sight.reached))),
    )


def _data(row: Any, subscriber: Subscriber, sight: Sight) -> dict[str, Any]:
    """What an event is about. Who sees a part of a dataset is not told what a change did, as of a version."""
    is_told = row.dataset is None or subscriber.reader.is_admin or row.owner_id == subscriber.user_id
    if is_told or sight.read[row.dataset, row.identity]:
        return dict(row.data)
    return {**row.data, "kind": None, "rows": None}


def cloud_event(row: Any) -> dict[str, Any]:
    """The event without its data: the members of CloudEvents 1.0, `sequence` as its extension of that name has it."""
    return {
        "specversion": "1.0",
        "id": row.id,
        "source": SOURCE,
        "type": row.type,
        "subject": row.subject,
        "time": row.time,
        "sequence": str(row.sequence),
        "datacontenttype": "application/json",
    }
