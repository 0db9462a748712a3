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


@dataclass(frozen=True)
class Latency:
    """Percentiles in milliseconds over `calls` calls."""

    calls: int
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Latency":
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        return cls(len(seconds), *(round(cut * 1_000, 3) for cut in (cuts[49], cuts[94], cuts[98])))


async def interleaved(calls: dict[str, Call], per_second: float, seconds: float) -> dict[str, Latency]:
    """Load each of `calls` at `per_second`, all in the same run, their turns alternating in short slices."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    slice_seconds = 2.0
    for _ in range(max(1, round(seconds / slice_seconds))):
        for name, call in calls.items():
            taken[name] += await _slice(call, per_second, slice_seconds)
    return {name: Latency.of(values) for name, values in taken.items()}


async def _slice(call: Call, per_second: float, seconds: float) -> list[float]:
    start = time.perf_counter() + 0.05
    tasks = []
    for number in range(round(per_second * seconds)):
        due = start + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(_timed(call, due)))
    return list(await asyncio.gather(*tasks))


async def _timed(call: Call, due: float) -> float:
    await call()
    return time.perf_counter() - due
