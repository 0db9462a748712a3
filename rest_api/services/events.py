"""Events: left in the transaction of their change, numbered in the order of commits.

`sequence` is the order: a transaction takes its numbers under a lock that it holds until it has committed, so that who
has read up to a number has not missed a smaller one that comes later.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, event, func, insert, select, text
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker

from rest_api.database import utc_now
from rest_api.models.event import Event, EventHorizon

_PENDING = "pending_events"
_NUMBERING_LOCK = 7_310_001


@dataclass(frozen=True)
class Watcher:
    """Who looks on: an administrator sees everything, others what is their own."""

    user_id: int
    is_admin: bool


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
    dataset: str | None = None,
    identity: str | None = None,
) -> None:
    """Leave an event: for everybody who may call, for a role (`audience`), or for one user (`owner_id`).

    One about a `dataset` of that `identity` is also for who may read it when the event is told.
    """
    session.info.setdefault(_PENDING, []).append(
        {
            "id": uuid4().hex,
            "type": type,
            "subject": subject,
            "time": utc_now(),
            "data": data,
            "audience": audience,
            "owner_id": owner_id,
            "dataset": dataset,
            "identity": identity,
        }
    )


def last_sequence(connection: Connection) -> int:
    """The number of the newest event that was ever there."""
    newest = connection.scalar(select(func.max(Event.sequence)))
    return newest or connection.scalar(select(EventHorizon.purged_through)) or 0


def purge(session: Session, before: datetime, through: float) -> int:
    """Delete events older than a time, oldest first without a gap, and remember how far. Returns how many.

    What comes after the number `through` is kept, however old.
    """
    kept = select(func.min(Event.sequence)).where(Event.time >= before)
    first_young = session.scalar(kept) or (session.scalar(select(func.max(Event.sequence))) or 0) + 1
    first_kept = int(min(first_young, through + 1))
    deleted = session.query(Event).where(Event.sequence < first_kept).delete(synchronize_session=False)
    if deleted:
        session.merge(EventHorizon(id=1, purged_through=first_kept - 1))
    return deleted


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
