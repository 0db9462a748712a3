"""The outbox as a relay sees it: which messages are next for a topic, and through where a topic has them.

One worker at a time publishes, under a lease that the database's clock decides. A position is saved only under that
lease and after the messages before it were acknowledged; killed in between, they are sent again, with the same ids.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, groupby
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Row, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from rest_api.backends.event_log import Message
from rest_api.database import READ_ONLY, database_now, utc_now
from rest_api.lake.resending import TOPIC
from rest_api.models.event import Event, EventHorizon
from rest_api.models.pipeline_message import PipelineMessage
from rest_api.models.relay import RelayLease, RelayMark, RelayPosition
from rest_api.services import events
from rest_api.services.publications import MESSAGE_COLUMNS, PUBLICATIONS, Publication, of_pipeline, pipeline_message

BATCH_ROWS = 2_000
BATCH_BYTES = 8 << 20
ENVELOPE_BYTES = 500
"""About what a message has besides its content."""
FETCHED_ROWS = 50
SENT_KEPT = timedelta(days=7)
"""How long an event that was sent can be sent again."""
_LEASE = 1
_NOWHERE = -1


class Fenced(Exception):
    """Another worker publishes by now."""


@dataclass(frozen=True)
class Outgoing:
    """A message and its place; `spare` goes instead of it where the topic does not take it for its size."""

    place: int
    message: Message
    spare: Message | None = None


@dataclass(frozen=True)
class Batch:
    """What goes to a topic, in its order; when it was acknowledged, the topic's position goes on to `through`."""

    outgoing: Sequence[Outgoing]
    before: int
    through: int


class Stream(Protocol):
    """What is to be sent to one topic. Everything is said of a moment: what a connection sees."""

    @property
    def topic(self) -> str: ...

    def next(self, connection: Connection, without: frozenset[int]) -> Batch | None:
        """What is next; without messages where only the position is to be moved on, None where it is where it belongs.

        Places in `without` are passed over, where they can be.
        """

    def keep(self, connection: Connection, batch: Batch) -> None:
        """Say that a batch was acknowledged."""

    def oldest(self, connection: Connection) -> datetime | None:
        """Since when something waits."""

    def position(self, connection: Connection) -> int:
        """Through which place all was sent."""

    def rewind(self, connection: Connection, begin: "int | datetime") -> int:
        """Have everything from a place or a time on sent again. Returns the first place that is."""


@dataclass(frozen=True)
class EventStream:
    """The events of a topic; a place is an event's sequence, and places are reached one after the other."""

    publication: Publication

    @property
    def topic(self) -> str:
        return self.publication.topic

    def next(self, connection: Connection, without: frozenset[int]) -> Batch | None:  # noqa: ARG002
        # First of all: what is committed after it has a greater number and is found next time.
        newest = events.last_sequence(connection)
        saved, position = self._saved(connection), self.position(connection)
        if position >= newest:
            return None
        waiting = select(Event.__table__).where(*self._waiting(position), Event.sequence <= newest)
        rows, is_all = _some(connection, waiting.order_by(Event.sequence), _length_of_content)
        return Batch([self._outgoing(row) for row in rows], saved, newest if is_all else rows[-1].sequence)

    def keep(self, connection: Connection, batch: Batch) -> None:
        """Where the position was set back meanwhile, it stays there."""
        if batch.before == _NOWHERE:
            connection.execute(insert(RelayPosition).values(topic=self.topic, sequence=batch.through))
            return
        unmoved = RelayPosition.topic == self.topic, RelayPosition.sequence == batch.before
        connection.execute(update(RelayPosition).where(*unmoved).values(sequence=batch.through))

    def oldest(self, connection: Connection) -> datetime | None:
        waiting = self._waiting(self.position(connection))
        return connection.scalar(select(Event.time).where(*waiting).order_by(Event.sequence).limit(1))

    def position(self, connection: Connection) -> int:
        return max(self._saved(connection), *_deleted(connection))

    def rewind(self, connection: Connection, begin: int | datetime) -> int:
        first = begin if isinstance(begin, int) else _first_since(connection, begin)
        through = max(0, min(self.position(connection), first - 1))
        connection.execute(update(RelayPosition).where(RelayPosition.topic == self.topic).values(sequence=through))
        return max(through, *_deleted(connection)) + 1

    def _outgoing(self, row: Row[Any]) -> Outgoing:
        return Outgoing(row.sequence, self.publication.message(row), self.publication.reference(row))

    def _waiting(self, position: int) -> tuple[Any, Any]:
        return self.publication.belongs, Event.sequence > position

    def _saved(self, connection: Connection) -> int:
        saved = connection.scalar(select(RelayPosition.sequence).where(RelayPosition.topic == self.topic))
        return _NOWHERE if saved is None else saved


@dataclass(frozen=True)
class PipelineStream:
    """Messages for the beginning of the pipeline; a place is a message's sequence, each sent by itself."""

    topic: str = TOPIC

    def next(self, connection: Connection, without: frozenset[int]) -> Batch | None:
        waiting = select(*MESSAGE_COLUMNS).where(of_pipeline(), PipelineMessage.sequence.not_in(without))
        rows, _ = _some(connection, waiting.order_by(PipelineMessage.sequence), _length_of_value)
        if not rows:
            return None
        return Batch([Outgoing(row.sequence, pipeline_message(row)) for row in rows], _NOWHERE, rows[-1].sequence)

    def keep(self, connection: Connection, batch: Batch) -> None:
        runs = _runs([each.place for each in batch.outgoing])
        among = PipelineMessage.sequence.between(bindparam("first"), bindparam("last"))
        sent = update(PipelineMessage).where(of_pipeline(), among).values(sent_at=utc_now())
        if runs:
            connection.execute(sent, [{"first": first, "last": last} for first, last in runs])

    def oldest(self, connection: Connection) -> datetime | None:
        return connection.scalar(select(func.min(PipelineMessage.created_at)).where(of_pipeline()))

    def position(self, connection: Connection) -> int:
        waiting = connection.scalar(select(func.min(PipelineMessage.sequence)).where(of_pipeline()))
        newest = connection.scalar(select(func.max(PipelineMessage.sequence)))
        return waiting - 1 if waiting else newest or 0

    def rewind(self, connection: Connection, begin: int | datetime) -> int:
        place = PipelineMessage.sequence if isinstance(begin, int) else PipelineMessage.created_at
        again = update(PipelineMessage).where(PipelineMessage.topic == self.topic, place >= begin)
        connection.execute(again.values(sent_at=None))
        return self.position(connection) + 1


STREAMS: tuple[Stream, ...] = (*(EventStream(each) for each in PUBLICATIONS), PipelineStream())


@dataclass
class Outbox:
    """What a worker has to do with it: `is_mine` before anything is published, `keep` after."""

    engine: Engine
    lease_seconds: float
    worker: str
    _epoch: int | None = None
    _renewed_at: float = -math.inf

    def is_mine(self) -> bool:
        """Whether this worker publishes; it takes or prolongs the lease where that is due."""
        if self._epoch is not None and time.monotonic() - self._renewed_at < self.lease_seconds / 3:
            return True
        if self._epoch is None and self._is_held():
            return False
        self._renewed_at = time.monotonic()
        try:
            with self.engine.begin() as connection:
                self._epoch = self._take(connection)
        except IntegrityError:
            self._epoch = None  # another worker was quicker with the first lease of all
        return self._epoch is not None

    def next(self, wanted: Iterable[tuple[Stream, frozenset[int]]]) -> list[Batch | None]:
        """What is next for each of the topics, without some places."""
        with self._reading() as connection:
            return [stream.next(connection, without) for stream, without in wanted]

    def keep(self, kept: Iterable[tuple[Stream, Batch]]) -> None:
        """Say that batches were acknowledged. Raises Fenced, and keeps nothing then."""
        with self.engine.begin() as connection:
            held = select(RelayLease.epoch).where(RelayLease.id == _LEASE).with_for_update()
            if self._epoch is None or connection.scalar(held) != self._epoch:
                self._epoch = None
                raise Fenced
            for stream, batch in kept:
                stream.keep(connection, batch)

    def release(self) -> None:
        """Let another worker publish at once."""
        held = RelayLease.id == _LEASE, RelayLease.epoch == self._epoch
        with self.engine.begin() as connection:
            connection.execute(update(RelayLease).where(*held).values(lease_until=0))
        self._epoch = None

    def lag_seconds(self, stream: Stream) -> float:
        """How long the oldest event that is not sent has waited; not a number while the database does not answer."""
        try:
            with self._reading() as connection:
                since = stream.oldest(connection)
        except SQLAlchemyError:
            return math.nan
        return 0.0 if since is None else max(0.0, (utc_now() - since).total_seconds())

    def position(self, stream: Stream) -> float:
        """Through where a topic has everything; not a number while the database does not answer."""
        try:
            with self._reading() as connection:
                return float(stream.position(connection))
        except SQLAlchemyError:
            return math.nan

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(**READ_ONLY)

    def _is_held(self) -> bool:
        """Asked for without the write lock, by those who do not publish."""
        running = RelayLease.lease_until > self._now
        held = select(RelayLease.id).where(running, RelayLease.worker != self.worker)
        with self._reading() as connection:
            return connection.scalar(held) is not None

    def _take(self, connection: Connection) -> int | None:
        lease = connection.execute(select(RelayLease.__table__, self._now.label("now")).with_for_update()).first()
        until = self._now + self.lease_seconds
        if lease is None:
            connection.execute(insert(RelayLease).values(id=_LEASE, worker=self.worker, epoch=1, lease_until=until))
            return 1
        if lease.worker != self.worker and lease.lease_until > lease.now:
            return None
        epoch: int = lease.epoch + (lease.worker != self.worker)
        connection.execute(update(RelayLease).values(worker=self.worker, epoch=epoch, lease_until=until))
        return epoch

    @property
    def _now(self) -> Any:
        return database_now(self.engine.dialect.name)


def mark(connection: Connection) -> int:
    """Remember through where everything is sent by now. Returns through where it was a week ago, and still is.

    It is called now and then: what lies between two marks is kept until the later one is a week old.
    """
    now = utc_now()
    sent = min(each.position(connection) for each in STREAMS if isinstance(each, EventStream))
    connection.execute(insert(RelayMark).values(at=now, sequence=sent))
    is_old = RelayMark.at <= now - SENT_KEPT
    newest_old = connection.scalar(select(func.max(RelayMark.at)).where(is_old))
    if newest_old is None:
        return 0
    connection.execute(delete(RelayMark).where(RelayMark.at < newest_old))
    return min(sent, connection.scalar(select(RelayMark.sequence).where(RelayMark.at == newest_old)) or 0)


def all_of_them(_: Connection) -> float:
    """Through where events may be deleted where nobody else has to have them."""
    return math.inf


def _some(connection: Connection, wanted: Any, length: Callable[[Row[Any]], int]) -> tuple[list[Row[Any]], bool]:
    """The first rows, as many as make a batch, and whether these are all; `length` is about that of a message."""
    taken: list[Row[Any]] = []
    size = 0
    with connection.execute(wanted.limit(BATCH_ROWS).execution_options(yield_per=FETCHED_ROWS)) as rows:
        for row in chain.from_iterable(rows.partitions()):
            taken.append(row)
            size += ENVELOPE_BYTES + length(row)
            if size >= BATCH_BYTES:
                return taken, False
    return taken, len(taken) < BATCH_ROWS


def _length_of_content(row: Row[Any]) -> int:
    return len(row.data.get("content") or "")


def _length_of_value(row: Row[Any]) -> int:
    return len(row.value)


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """The first and last of each run of places without a gap, of places that ascend."""
    runs = [list(run) for _, run in groupby(enumerate(places), lambda each: each[1] - each[0])]
    return [(run[0][1], run[-1][1]) for run in runs]


def _deleted(connection: Connection) -> list[int]:
    """Through where events were deleted."""
    return [0, *connection.scalars(select(EventHorizon.purged_through))]


def _first_since(connection: Connection, begin: datetime) -> int:
    first = connection.scalar(select(func.min(Event.sequence)).where(Event.time >= begin))
    return first or events.last_sequence(connection) + 1
