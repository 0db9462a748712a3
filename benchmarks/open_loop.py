"""An open-loop load: calls leave on schedule whether or not earlier ones were answered.

Latency counts from the scheduled moment, so that a stall is not hidden by calls that were never sent
("coordinated omission", Gil Tene).
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Call = Callable[[], Awaitable[None]]
SLICE_SECONDS = 2.0
WARM_UP_CALLS = 200
# The event loop's timers are a millisecond coarse: the rest of the way to a call's moment is spent spinning.
TIMER_SECONDS = 0.0015


@dataclass(frozen=True)
class Latency:
    """Percentiles in milliseconds over `calls` calls."""

    calls: int
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Latency":
        """The latency of calls that took so long."""
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        return cls(len(seconds), *(round(cut * 1_000, 3) for cut in (cuts[49], cuts[94], cuts[98])))


async def interleaved(calls: dict[str, Call], per_second: float, seconds: float) -> dict[str, list[Latency]]:
    """Load each of `calls` at `per_second`, all in the same run, their turns alternating in short slices.

    Gives the latency of every slice, so that a slice of one call can be set against the one beside it.
    """
    for call in calls.values():
        for _ in range(WARM_UP_CALLS):
            await call()
    taken: dict[str, list[Latency]] = {name: [] for name in calls}
    for turn in range(max(1, round(seconds / SLICE_SECONDS))):
        # Each goes first as often as the others: what a slice leaves to be done falls on the next one.
        names = list(calls)[turn % len(calls) :] + list(calls)[: turn % len(calls)]
        for name in names:
            taken[name].append(Latency.of(await _slice(calls[name], per_second)))
    return taken


async def _slice(call: Call, per_second: float) -> list[float]:
    start = time.perf_counter() + 0.05
    tasks = []
    for number in range(round(per_second * SLICE_SECONDS)):
        due = start + number / per_second
        await _until(due)
        tasks.append(asyncio.create_task(_timed(call, due)))
    return list(await asyncio.gather(*tasks))


async def _until(due: float) -> None:
    await asyncio.sleep(max(0.0, due - time.perf_counter() - TIMER_SECONDS))
    while time.perf_counter() < due:
        await asyncio.sleep(0)


async def _timed(call: Call, due: float) -> float:
    await call()
    return time.perf_counter() - due
