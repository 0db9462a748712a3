"""A closed-loop load: each of some clients sends its next call as soon as the one before is answered."""

import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.open_loop import Call

SECONDS = 4.0
SLICE_SECONDS = 1.0
WARM_UP_SECONDS = 0.5
FEWEST_CALLS = 3


@dataclass(frozen=True)
class Load:
    """What some clients saw: the seconds of each call, and the seconds in which all were made."""

    calls: tuple[float, ...]
    seconds: float

    @property
    def p50(self) -> float:
        """Milliseconds of half of the calls, at most."""
        return statistics.median(self.calls) * 1_000

    @property
    def p95(self) -> float:
        """Milliseconds of 95 of 100 calls, at most; the slowest where there are few."""
        return sorted(self.calls)[min(len(self.calls) - 1, round(len(self.calls) * 0.95))] * 1_000

    @property
    def per_second(self) -> float:
        """Calls answered in a second."""
        return len(self.calls) / self.seconds

    @property
    def is_enough(self) -> bool:
        """Whether it says something about a typical call."""
        return self.seconds >= SECONDS and len(self.calls) >= FEWEST_CALLS

    def __add__(self, other: "Load") -> "Load":
        return Load(self.calls + other.calls, self.seconds + other.seconds)


async def interleaved(calls: Mapping[str, Call], clients: int) -> dict[str, Load]:
    """Load each of `calls` for some seconds, their turns alternating in short slices.

    A call that takes longer than all that is made a few times nevertheless.
    """
    for call in calls.values():
        await _slice(call, 1, WARM_UP_SECONDS)
    loads = dict.fromkeys(calls, Load((), 0.0))
    turn = 0
    while waiting := [name for name in calls if not loads[name].is_enough]:
        for place in range(len(waiting)):
            # Each goes first as often as the others: what a slice leaves to be done falls on the next one.
            name = waiting[(place + turn) % len(waiting)]
            loads[name] += await _slice(calls[name], clients, SLICE_SECONDS)
        turn += 1
    return loads


async def _slice(call: Call, clients: int, seconds: float) -> Load:
    started = time.perf_counter()
    answered = await asyncio.gather(*(_client(call, started + seconds) for _ in range(clients)))
    return Load(tuple(each for one in answered for each in one), time.perf_counter() - started)


async def _client(call: Call, deadline: float) -> list[float]:
    seconds: list[float] = []
    while not seconds or time.perf_counter() < deadline:
        started = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - started)
    return seconds
