"""The relay: what waits in the database is published to the event log, by one of the workers.

Each topic goes its own way: one that is missing, or takes nothing, keeps only its own events waiting.
"""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from rest_api.backends.event_log import EventLog, LogAway, MessageTooLarge, open_event_log
from rest_api.observability import RelayMetrics
from rest_api.services.relays import STREAMS, Batch, Fenced, Outbox, Outgoing, Stream
from rest_api.settings import Settings

MOVE_ON_SECONDS = 1.0
"""How often positions of topics are saved that had nothing to send."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
TOO_LARGE = "too_large"
log = structlog.get_logger(__name__)


@dataclass
class Pause:
    """When a topic is tried again after it took nothing."""

    until: float = -math.inf
    failures: int = 0

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.until

    def begin(self) -> None:
        """Half of a doubling pause, and by chance up to the whole of it."""
        self.failures += 1
        seconds = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self.failures, 10))
        self.until = time.monotonic() + random.uniform(seconds / 2, seconds)

    def end(self) -> None:
        """It took something."""
        self.failures = 0


@dataclass
class Lane:
    """A topic on its way; what it does not take at all is `stuck`, until the next worker tries again."""

    stream: Stream
    pause: Pause = field(default_factory=Pause)
    stuck: frozenset[int] = frozenset()


def _lanes() -> list[Lane]:
    return [Lane(each) for each in STREAMS]


@dataclass
class Relay:
    """Publishes while it has the lease."""

    outbox: Outbox
    event_log: EventLog
    metrics: RelayMetrics
    lanes: Sequence[Lane] = field(default_factory=_lanes)
    moved_on_at: float = -math.inf

    def deliver(self) -> int:
        """Publish a batch to each topic that has one. Returns how much; raises SQLAlchemyError."""
        is_mine = self.outbox.is_mine()
        self.metrics.publishing.set(is_mine)
        lanes = [lane for lane in self.lanes if lane.pause.is_over] if is_mine else []
        batches = self.outbox.next([(lane.stream, lane.stuck) for lane in lanes])
        found = [(lane, batch) for lane, batch in zip(lanes, batches, strict=True) if batch is not None]
        self._move_on([(lane.stream, batch) for lane, batch in found if not batch.outgoing])
        return sum(self._deliver(lane, batch) for lane, batch in found if batch.outgoing)

    def close(self) -> None:
        """Let another worker publish at once."""
        self.event_log.close()
        try:
            self.outbox.release()
        except SQLAlchemyError:
            log.warning("the lease of the relay is left to run out")

    def _deliver(self, lane: Lane, batch: Batch) -> int:
        if not self.outbox.is_mine():
            return 0
        try:
            sent = self._publish(lane, batch)
        except LogAway as away:
            self._tell_failure(lane, str(away))
            lane.pause.begin()
            return 0
        lane.pause.end()
        self._keep([(lane.stream, sent)])
        self.metrics.published.labels(lane.stream.topic).inc(len(sent.outgoing))
        return len(sent.outgoing)

    def _publish(self, lane: Lane, batch: Batch) -> Batch:
        """Have it acknowledged. Returns what was; raises LogAway, and then all of it is to be sent again."""
        try:
            self.event_log.publish([each.message for each in batch.outgoing])
        except MessageTooLarge:
            taken = [each for each in batch.outgoing if self._is_taken(lane, each)]
            return replace(batch, outgoing=taken)
        return batch

    def _is_taken(self, lane: Lane, outgoing: Outgoing) -> bool:
        """Whether the topic takes it, or what goes in its place."""
        try:
            self.event_log.publish([outgoing.message])
        except MessageTooLarge:
            self._tell_failure(lane, TOO_LARGE)
            return self._is_spare_taken(lane, outgoing)
        return True

    def _is_spare_taken(self, lane: Lane, outgoing: Outgoing) -> bool:
        if outgoing.spare is None:
            lane.stuck |= {outgoing.place}
            return False
        self.event_log.publish([outgoing.spare])
        return True

    def _move_on(self, idle: Sequence[tuple[Stream, Batch]]) -> None:
        if idle and time.monotonic() - self.moved_on_at > MOVE_ON_SECONDS:
            self.moved_on_at = time.monotonic()
            self._keep(idle)

    def _keep(self, kept: Sequence[tuple[Stream, Batch]]) -> None:
        try:
            self.outbox.keep(kept)
        except Fenced:
            log.warning("another worker publishes by now")

    def _tell_failure(self, lane: Lane, reason: str) -> None:
        self.metrics.failures.labels(lane.stream.topic, reason).inc()
        log.warning("events wait", topic=lane.stream.topic, reason=reason)


def relay_of(settings: Settings, database: Engine, registry: CollectorRegistry) -> Relay:
    """The relay to `EVENTS_URL`."""
    outbox = Outbox(database, settings.job_lease_seconds, uuid4().hex)
    lags = {each.topic: partial(outbox.lag_seconds, each) for each in STREAMS}
    positions = {each.topic: partial(outbox.position, each) for each in STREAMS}
    return Relay(outbox, open_event_log(settings), RelayMetrics.on(registry, lags, positions))
