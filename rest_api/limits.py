"""Protection of the rest: a rate for each principal, and a bounded queue for each process."""

import time
from collections import Counter
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock

from rest_api.errors import Overloaded, RateLimited

WINDOW_SECONDS = 60
LONGEST_LINE = 32


@dataclass(frozen=True)
class Allowance:
    """What is left of a principal's rate: calls, and seconds until the window has moved on."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """The header fields of draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit-Policy": f'"default";q={self.limit};w=60',
            "RateLimit": f'"default";r={self.remaining};t={self.reset_seconds}',
        }


class RateLimit:
    """Calls of each principal in a minute, counted in this process: a sliding window from two fixed ones.

    Of the minute before, as much counts as lies within the last sixty seconds, as if its calls had come evenly.
    """

    def __init__(self, requests_per_minute: int) -> None:
        self._limit = requests_per_minute
        self._lock = Lock()
        self._minute = 0
        self._counts: Counter[str] = Counter()
        self._counts_before: Counter[str] = Counter()

    def take(self, principal: str) -> Allowance:
        """Count a call. Raises RateLimited when the minute's calls are used up."""
        minute, seconds = divmod(time.monotonic(), WINDOW_SECONDS)
        with self._lock:
            self._move_to(int(minute))
            before = self._counts_before.get(principal, 0)
            used = self._counts[principal] + before * (1 - seconds / WINDOW_SECONDS)
            is_admitted = used + 1 <= self._limit
            self._counts[principal] += is_admitted
        reset = max(1, round(WINDOW_SECONDS - seconds))
        if not is_admitted:
            raise RateLimited("Too many calls; wait a little", retry_after_seconds=reset)
        return Allowance(self._limit, int(self._limit - used - 1), reset)

    def _move_to(self, minute: int) -> None:
        if minute == self._minute:
            return
        self._counts_before = self._counts if minute == self._minute + 1 else Counter()
        self._counts = Counter()
        self._minute = minute


@dataclass(frozen=True)
class Queue:
    """Lets so many requests work at once; others wait for their turn, but not for long."""

    running: int
    wait_seconds: int
    _turns: BoundedSemaphore = field(init=False)
    _line: BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_turns", BoundedSemaphore(self.running))
        # A thread is held by each that waits, so that not all may: the probes must be answered too.
        object.__setattr__(self, "_line", BoundedSemaphore(LONGEST_LINE))

    def enter(self) -> None:
        """Take a turn. Raises Overloaded when none comes free in time."""
        if self._turns.acquire(blocking=False):
            return
        is_in_line = self._line.acquire(blocking=False)
        try:
            has_turn = is_in_line and self._turns.acquire(timeout=self.wait_seconds)
        finally:
            if is_in_line:
                self._line.release()
        if not has_turn:
            raise Overloaded("The server is busy; try again", retry_after_seconds=max(1, self.wait_seconds))

    def leave(self) -> None:
        """Give the turn back."""
        self._turns.release()
