"""One run: what changed in base A since the last one is delivered, and the watermark follows what was confirmed."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta

from integration.batches import NO_KEY, Batch, Deliver, batches
from integration.core_client import Verdict
from integration.errors import Misconfigured
from integration.pools import hurried_pool
from integration.rows import Position, Row, earlier, microseconds
from integration.script_metrics import ScriptMetrics
from integration.sources import PAGE_ROWS, TOMBSTONES, Source, Stream
from integration.watermarks import Parked, State, Window

IN_FLIGHT = 2
"""Batches on their way at once: the next one is read and sent while the one before is being confirmed."""
Advance = Callable[[int], object]


@dataclass
class Tally:
    """What a run did: rows by outcome; those that were refused are `parked`."""

    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """All of them."""
        return self.outcomes.total()

    def text(self) -> str:
        """It for a person."""
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"{self.rows:,} rows read" + (f": {told}" if told else "")


@dataclass(frozen=True)
class Reading:
    """What a run reads of a stream: from where its window goes on to its end as it is now, which may lie behind it.

    The watermark moves to the end of the window only: what commits late was counted from its beginning.
    """

    stream: Stream
    window: Window
    upper: Position


@dataclass(frozen=True)
class Plan:
    """What a run has to read of each stream, and how many rows that is."""

    readings: list[Reading]
    rows: int


@dataclass(frozen=True)
class Sync:
    """A route from base A to where batches are delivered, with its memory."""

    source: Source
    deliver: Deliver
    state: State
    origin: str
    overlap: timedelta
    metrics: ScriptMetrics

    def plan(self) -> Plan:
        """What the next run reads: behind what the last one left, else behind the watermark, up to now."""
        readings = []
        for stream in self.source.streams():
            end, unfinished = self._end(stream), self.state.window(stream.name)
            if unfinished is not None:
                readings.append(Reading(stream, unfinished, end or unfinished.upper))
            elif end is not None:
                readings.append(Reading(stream, self._next_window(stream, end), end))
        return Plan(readings, sum(self.source.count(each.stream, each.window.after, each.upper) for each in readings))

    def run(self, plan: Plan, advance: Advance) -> Tally:
        """Apply it; killed at any moment, the next run goes on behind the last batch that was confirmed."""
        tally, started = Tally(), time.monotonic()
        self._retry_parked(tally)
        self._park_keyless()
        for reading in plan.readings:
            stream = reading.stream.name
            self.state.open(stream, reading.window)
            for batch, verdicts in self._applied(self._rows(reading)):
                parked, settled = parked_and_settled(batch, verdicts)
                self.state.confirm(stream, batch.rows[-1].position, parked, settled)
                self._count(tally, batch, verdicts)
                advance(len(batch.rows))
            self.state.finish(stream, reading.window.upper)
            self.metrics.moved(stream, microseconds(reading.window.upper.at))
        self.metrics.ran(time.monotonic() - started, len(self.state.parked()))
        return tally

    def rehearse(self, plan: Plan, judge: Deliver) -> Iterator[tuple[Row, Verdict]]:
        """What a run would do to each row, as it is judged; nothing is delivered."""
        for rows in (self._parked_rows(), *(self._rows(each) for each in plan.readings)):
            for batch in batches(rows, self.origin):
                yield from zip(batch.rows, judge(batch), strict=True)

    def _next_window(self, stream: Stream, end: Position) -> Window:
        watermark = self.state.watermark(stream.name)
        return Window(None if watermark is None else Position(earlier(watermark, self.overlap), None), end)

    def _end(self, stream: Stream) -> Position | None:
        end = self.source.last(stream)
        try:
            if end is not None:
                microseconds(end.at)
        except ValueError as error:
            raise Misconfigured(f"The times of base A's {stream.name} are none: {end and end.at!r}") from error
        return end

    def _rows(self, reading: Reading) -> Iterator[Row]:
        return self.source.rows(reading.stream, reading.window.after, reading.upper)

    def _applied(self, rows: Iterator[Row]) -> Iterator[tuple[Batch, list[Verdict]]]:
        """Batches in their order, each with what became of it."""
        with hurried_pool(IN_FLIGHT) as pool:
            on_their_way: deque[tuple[Batch, Future[list[Verdict]]]] = deque()
            for batch in batches(rows, self.origin):
                on_their_way.append((batch, pool.submit(self._apply, batch)))
                if len(on_their_way) == IN_FLIGHT:
                    yield _arrived(on_their_way)
            while on_their_way:
                yield _arrived(on_their_way)

    def _apply(self, batch: Batch) -> list[Verdict]:
        with self.metrics.time_batch():
            return self.deliver(batch)

    def _count(self, tally: Tally, batch: Batch, verdicts: list[Verdict]) -> None:
        count_outcomes(tally, verdicts)
        self.metrics.count(zip(batch.rows, verdicts, strict=True))

    def _parked_rows(self) -> Iterator[Row]:
        """Parked rows as base A has them now."""
        for stream in self.source.streams():
            for some in self._parked(stream):
                yield from self.source.current(stream, [each.key for each in some]).values()

    def _parked(self, stream: Stream) -> Iterator[list[Parked]]:
        is_gone = stream.name == TOMBSTONES
        parked = [each for each in self.state.parked() if each.is_gone == is_gone and each.code != NO_KEY]
        return (parked[start : start + PAGE_ROWS] for start in range(0, len(parked), PAGE_ROWS))

    def _retry_parked(self, tally: Tally) -> None:
        """Try parked keys again, as base A has them now."""
        for stream in self.source.streams():
            for some in self._parked(stream):
                rows = self.source.current(stream, [each.key for each in some])
                # Rows that are gone from base A are its tombstones' business, or found by a reconcile.
                gone = [each.external_id for each in some if not each.is_gone and each.external_id not in rows]
                self.state.settle([], gone)
                self._deliver_parked(rows.values(), tally)

    def _deliver_parked(self, rows: Iterable[Row], tally: Tally) -> None:
        for batch in batches(rows, self.origin):
            verdicts = self._apply(batch)
            self.state.settle(*parked_and_settled(batch, verdicts))
            self._count(tally, batch, verdicts)

    def _park_keyless(self) -> None:
        """Rows without a key are parked together, since nothing tells one from another."""
        known = [each.external_id for each in self.state.parked() if each.code == NO_KEY]
        found = [parked for stream in self.source.streams() for parked in _keyless(stream, self.source.keyless(stream))]
        if known or found:
            self.state.settle(found, known)


def _keyless(stream: Stream, count: int) -> Iterator[Parked]:
    if count:
        name = f"{stream.name} without a key"
        yield Parked(name, None, stream.name == TOMBSTONES, NO_KEY, f"{count:,} rows without a key cannot be named")


def _arrived(on_their_way: "deque[tuple[Batch, Future[list[Verdict]]]]") -> tuple[Batch, list[Verdict]]:
    batch, future = on_their_way.popleft()
    return batch, future.result()


def parked_and_settled(batch: Batch, verdicts: list[Verdict]) -> tuple[list[Parked], list[str]]:
    """The rows of a batch that were refused, and the keys of those that were not."""
    told = list(zip(batch.rows, verdicts, strict=True))
    parked = [
        Parked(row.external_id, row.position.key, row.is_gone, verdict.code, verdict.detail)
        for row, verdict in told
        if verdict.outcome is None
    ]
    return parked, [row.external_id for row, verdict in told if verdict.outcome is not None]


def count_outcomes(tally: Tally, verdicts: list[Verdict]) -> None:
    """Add what became of a batch."""
    tally.outcomes.update(verdict.outcome or "parked" for verdict in verdicts)
