"""The loop of the Kafka route: it reads while batches are on their way, and commits only what was confirmed."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import NamedTuple

from integration.backlog import Backlog
from integration.kafka_client import Partition, Record, Subscription
from integration.route_metrics import RouteMetrics

IDLE_POLL_MS = 1_000
BUSY_POLL_MS = 20
STOP_SECONDS = 10.0
IN_FLIGHT = 2
"""Batches on their way at once, of different partitions: one is made and sent while the core commits the other."""
Deliver = Callable[[Sequence[Record]], None]
log = logging.getLogger(__name__)


class Place(NamedTuple):
    """The offset to go on from, and the time of the record before it, in ms since 1970."""

    offset: int
    at_ms: int


@dataclass(frozen=True)
class Flight:
    """A batch on its way, and the partitions it is of; `positions` are where to go on in ours when it has arrived."""

    partitions: frozenset[Partition]
    positions: dict[Partition, Place]
    oldest_ms: int
    arrival: "Future[None]"


@dataclass
class KafkaRoute:
    """A member of the group. One batch of a partition at a time is on its way, so each keeps its order.

    Nothing waits but `poll`: a member that sleeps elsewhere loses its place in the group.
    """

    subscription: Subscription
    deliver: Deliver
    metrics: RouteMetrics
    backlog: Backlog = field(default_factory=Backlog)
    flights: list[Flight] = field(default_factory=list)
    confirmed: dict[Partition, Place] = field(default_factory=dict)
    is_resting: bool = False
    oldest_ms: int | None = None

    def run(self, stopping: Event) -> None:
        """Work until told to stop; then wait a while for what is on its way. Raises KafkaAway, and as `deliver`."""
        self.metrics.measure_lag(lambda: self.oldest_ms)
        while not stopping.is_set():
            self._turn()
        self._end()

    def _turn(self) -> None:
        self._read(BUSY_POLL_MS if self.flights else IDLE_POLL_MS)
        self._land()
        self._take_off()
        self._rest()

    def _read(self, timeout_ms: int) -> None:
        polled = self.subscription.poll(timeout_ms)
        self._lose(polled.lost)
        self.backlog.add(polled.records)
        self._note_oldest()

    def _rest(self) -> None:
        """Read no more than there is room for; partitions that are new rest with the others."""
        if self.backlog.is_full:
            self.subscription.hold()
        elif self.backlog.is_low:
            self.subscription.go_on()
        else:
            return
        if self.is_resting != self.backlog.is_full:
            self.is_resting = self.backlog.is_full
            log.info("reading %s: %d messages wait", "rests" if self.is_resting else "goes on", self.backlog.rows)

    def _take_off(self) -> None:
        while len(self.flights) < IN_FLIGHT:
            records = self.backlog.take({each for flight in self.flights for each in flight.partitions})
            if not records:
                return
            positions = {record.partition: Place(record.offset + 1, record.at_ms) for record in records}
            oldest_ms = min(record.at_ms for record in records)
            arrival = _in_background(self.deliver, records)
            self.flights.append(Flight(frozenset(positions), positions, oldest_ms, arrival))

    def _land(self) -> None:
        for flight in [each for each in self.flights if each.arrival.done()]:
            flight.arrival.result()
            self.confirmed.update(flight.positions)
            self.flights.remove(flight)
        self._note_oldest()
        if self.confirmed and self.subscription.commit({of: place.offset for of, place in self.confirmed.items()}):
            self._tell_committed()
            self.confirmed.clear()

    def _tell_committed(self) -> None:
        for partition, place in self.confirmed.items():
            self.metrics.committed(partition.number, place.offset)
            self.metrics.moved(f"{partition.topic}/{partition.number}", place.at_ms / 1_000)
        self.metrics.succeeded()

    def _end(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while self.flights and time.monotonic() < deadline:
            self.subscription.hold()
            self._read(BUSY_POLL_MS)
            self._land()

    def _lose(self, partitions: frozenset[Partition]) -> None:
        """What is on its way may arrive, but its offsets are another's; what he reads again is told `unchanged`."""
        if not partitions:
            return
        self.backlog.forget(partitions)
        for positions in (self.confirmed, *(flight.positions for flight in self.flights)):
            for partition in partitions:
                positions.pop(partition, None)

    def _note_oldest(self) -> None:
        """Keep it for the thread that tells metrics, before others see what is committed."""
        waiting = self.backlog.oldest_ms()
        oldest = [flight.oldest_ms for flight in self.flights] + ([] if waiting is None else [waiting])
        self.oldest_ms = min(oldest, default=None)


def _in_background(deliver: Deliver, records: Sequence[Record]) -> "Future[None]":
    """Run it beside the loop; a daemon, because a core that is away shall not keep the process from ending."""
    arrival: Future[None] = Future()

    def work() -> None:
        try:
            deliver(records)
        except BaseException as error:  # noqa: BLE001  (the loop raises it)
            arrival.set_exception(error)
        else:
            arrival.set_result(None)

    Thread(target=work, daemon=True).start()
    return arrival
