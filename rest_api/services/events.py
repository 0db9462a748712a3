"""Events: left in the transaction of their change, numbered in the order of commits, seen by who may see them.

CloudEvents 1.0 names the members. `sequence` is the order: a transaction takes its numbers under a lock that it holds
until it has committed, so that who has read up to a number has not missed a smaller one that comes later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, event, func, insert, or_, select, text
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker

from rest_api.database import utc_now
from rest_api.errors import Gone
from rest_api.models.event import Event, EventHorizon

SOURCE = "/lakeport"
_PENDING = "pending_events"
_NUMBERING_LOCK = 7_310_001


@dataclass(frozen=True)
class Watcher:
    """Who reads: an administrator sees every event, others what is everybody's and what is their own."""

    user_id: int
    is_admin: bool

    def may_see(self) -> list[ColumnElement[bool]]:
        """What restricts the events he sees."""
        if self.is_admin:
            return []
        return [or_(Event.owner_id == self.user_id, (Event.owner_id.is_(None)) & (Event.audience.is_(None)))]


def install(sessions: sessionmaker[Any] | Session) -> None:
    """Make sessions write the events recorded on them when they commit."""
    event.listen(sessions, "before_commit", _write)
    event.listen(sessions, "after_transaction_end", _forget)


def record(
    session: Session,
    *,
    type: str,  # noqa: A002  (the name CloudEvents gives it)
    subject: str,
    data: dict[str, Any],
    audience: str | None = None,
    owner_id: int | None = None,
) -> None:
    """Leave an event: for everybody who may call, for a role (`audience`), or for one user (`owner_id`)."""
    session.info.setdefault(_PENDING, []).append(
        {
            "id": uuid4().hex,
            "type": type,
            "subject": subject,
            "time": utc_now(),
            "data": data,
            "audience": audience,
            "owner_id": owner_id,
        }
    )


def read_events(
    connection: Connection, watcher: Watcher, types: Sequence[str], after: int | None, limit: int
) -> list[dict[str, Any]]:
    """The next events after a number, ascending; a type that ends in `.*` stands for all that begin so.

    Raises Gone where events after that number were deleted.
    """
    purged = connection.scalar(select(EventHorizon.purged_through)) or 0
    if after is not None and after < purged:
        raise Gone("Events after that one were deleted; begin again without after", code="events_gone")
    wanted = [or_(*(_is_of_type(each) for each in types))] if types else []
    rows = connection.execute(
        select(Event.__table__)
        .where(Event.sequence > (after or 0), *wanted, *watcher.may_see())
        .order_by(Event.sequence)
        .limit(limit)
    )
    return [as_cloud_event(row) for row in rows]


def last_sequence(connection: Connection) -> int:
    """The number of the newest event that was ever there."""
    newest = connection.scalar(select(func.max(Event.sequence)))
    return newest or connection.scalar(select(EventHorizon.purged_through)) or 0


def as_cloud_event(row: Any) -> dict[str, Any]:
    """The event on the wire: the members of CloudEvents 1.0, `sequence` as its extension of that name has it."""
    return {
        "specversion": "1.0",
        "id": row.id,
        "source": SOURCE,
        "type": row.type,
        "subject": row.subject,
        "time": row.time,
        "sequence": str(row.sequence),
        "datacontenttype": "application/json",
        "data": row.data,
    }


def purge(session: Session, before: datetime) -> int:
    """Delete events older than a time, oldest first without a gap, and remember how far. Returns how many."""
    kept = select(func.min(Event.sequence)).where(Event.time >= before)
    first_kept = session.scalar(kept) or (session.scalar(select(func.max(Event.sequence))) or 0) + 1
    deleted = session.query(Event).where(Event.sequence < first_kept).delete(synchronize_session=False)
    if deleted:
        session.merge(EventHorizon(id=1, purged_through=first_kept - 1))
    return deleted


def _is_of_type(wanted: str) -> ColumnElement[bool]:
    if wanted.endswith(".*"):
        return Event.type.startswith(wanted[:-1], autoescape=True)
    return Event.type == wanted


def _write(session: Session) -> None:
    pending = session.info.pop(_PENDING, None)
    if not pending:
        return
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _NUMBERING_LOCK})
    session.connection().execute(insert(Event), pending)


def _forget(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(_PENDING, None)
