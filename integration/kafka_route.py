"""The loop of the Kafka route: it reads while a batch is on its way, and commits only what was confirmed."""

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
Deliver = Callable[[Sequence[Record]], None]


class Place(NamedTuple):
    """The offset to go on from, and the time of the record before it, in ms since 1970."""

    offset: int
    at_ms: int


@dataclass(frozen=True)
class Flight:
    """A batch on its way; `positions` are the places to go on from when it has arrived."""

    positions: dict[Partition, Place]
    oldest_ms: int
    arrival: "Future[None]"


@dataclass
class KafkaRoute:
    """A member of the group. One batch at a time is on its way, so each partition keeps its order.

    Nothing waits but `poll`: a member that sleeps elsewhere loses its place in the group.
    """

    subscription: Subscription
    deliver: Deliver
    metrics: RouteMetrics
    backlog: Backlog = field(default_factory=Backlog)
    flight: Flight | None = None
    confirmed: dict[Partition, Place] = field(default_factory=dict)

    def run(self, stopping: Event) -> None:
        """Work until told to stop; then wait a while for the batch on its way. Raises what `deliver` raised."""
        self.metrics.measure_lag(self._oldest_ms)
        while not stopping.is_set():
            self._turn()
        self._end()

    def _turn(self) -> None:
        self._read(BUSY_POLL_MS if self.flight else IDLE_POLL_MS)
        self._land()
        self._take_off()
        if self.backlog.is_full:
            self.subscription.hold()
        elif self.backlog.is_low:
            self.subscription.go_on()

    def _read(self, timeout_ms: int) -> None:
        polled = self.subscription.poll(timeout_ms)
        self._lose(polled.lost)
        self.backlog.add(polled.records)

    def _take_off(self) -> None:
        if self.flight is not None:
            return
        records = self.backlog.take()
        if records:
            positions = {record.partition: Place(record.offset + 1, record.at_ms) for record in records}
            oldest_ms = min(record.at_ms for record in records)
            self.flight = Flight(positions, oldest_ms, _in_background(self.deliver, records))

    def _land(self) -> None:
        if self.flight is not None and self.flight.arrival.done():
            self.flight.arrival.result()
            self.confirmed.update(self.flight.positions)
            self.flight = None
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
        while self.flight is not None and time.monotonic() < deadline:
            self.subscription.hold()
            self._read(BUSY_POLL_MS)
            self._land()

    def _lose(self, partitions: frozenset[Partition]) -> None:
        """What is on its way may arrive, but its offsets are another's; what he reads again is told `unchanged`."""
        if not partitions:
            return
        self.backlog.forget(partitions)
        for positions in (self.confirmed, self.flight.positions if self.flight else {}):
            for partition in partitions:
                positions.pop(partition, None)

    def _oldest_ms(self) -> int | None:
        if self.flight is not None:
            return self.flight.oldest_ms
        first = next(iter(self.backlog.records), None)
        return None if first is None else first.at_ms


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
