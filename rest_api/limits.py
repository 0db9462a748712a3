"""Protection of the rest: a rate for each principal, and a bounded queue for each process."""

import time
from collections import Counter
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock

from rest_api.errors import Overloaded, RateLimited
from rest_api.places import Places

WINDOW_SECONDS = 60
LONGEST_LINE = 32
LONGEST_OF_ONE = 24
"""How many of them one caller may have in line: a crowd of his leaves others a place."""


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


class Queue:
    """Lets so many requests work at once; others wait in line for their turn, but not for long."""

    def __init__(self, running: int, wait_seconds: int) -> None:
        self._turns = BoundedSemaphore(running)
        self._wait_seconds = wait_seconds
        # A thread is held by each that waits, so that not all may: the probes must be answered too.
        self._line = Places(LONGEST_LINE, LONGEST_OF_ONE)

    def enter(self, caller: str) -> None:
        """Take a turn. Raises Overloaded when none comes free in time, or enough wait already."""
        if not (self._turns.acquire(blocking=False) or self._waited(caller)):
            raise Overloaded("The server is busy; try again", retry_after_seconds=max(1, self._wait_seconds))

    def _waited(self, caller: str) -> bool:
        try:
            leave_the_line = self._line.take(caller)
        except (Overloaded, RateLimited):
            return False
        try:
            return self._turns.acquire(timeout=self._wait_seconds)
        finally:
            leave_the_line()

    def leave(self) -> None:
        """Give the turn back."""
        self._turns.release()
