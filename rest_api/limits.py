"""Protection of the rest: a rate for each principal, and a bounded queue for each process."""

import time
from dataclasses import dataclass, field
from threading import BoundedSemaphore

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from rest_api.errors import Overloaded, RateLimited


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
    """Calls of each principal in a minute, counted in this process."""

    def __init__(self, requests_per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(requests_per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def take(self, principal: str) -> Allowance:
        """Count a call. Raises RateLimited when the minute's calls are used up."""
        is_admitted = self._limiter.hit(self._item, principal)
        stats = self._limiter.get_window_stats(self._item, principal)
        reset = max(1, round(stats.reset_time - time.time()))
        if not is_admitted:
            raise RateLimited("Too many calls; wait a little", retry_after_seconds=reset)
        return Allowance(self._item.amount, max(0, stats.remaining), reset)


@dataclass(frozen=True)
class Queue:
    """Lets so many requests work at once; others wait for their turn, but not for long."""

    running: int
    wait_seconds: int
    _turns: BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_turns", BoundedSemaphore(self.running))

    def enter(self) -> None:
        """Take a turn. Raises Overloaded when none comes free in time."""
        if not self._turns.acquire(timeout=self.wait_seconds):
            raise Overloaded("The server is busy; try again", retry_after_seconds=max(1, self.wait_seconds))

    def leave(self) -> None:
        """Give the turn back."""
        self._turns.release()
