"""When a call is tried again, and after what pause: pure but for the jitter."""

import random
from dataclasses import dataclass

from graphql_gateway.errors import CircuitOpen, Failure, UpstreamTimeout, UpstreamUnavailable, UpstreamUnreadable
from graphql_gateway.upstream.connection import Reply

MAX_ATTEMPTS = 3
PAUSE_SECONDS = 0.02
RETRIED = (502, 503)


@dataclass(frozen=True)
class Retries:
    """The rule for one call; `is_repeatable` where sending it twice has the effect of once.

    Each method says how many seconds to wait before the next attempt, and None when there is to be none. `attempts`
    have been made, and `now` and the deadline are of time.monotonic.
    """

    is_repeatable: bool
    deadline: float

    def pause_after_failure(self, failure: Failure, attempts: int, now: float) -> float | None:
        """After an attempt that was lost on its way; what was not sent or not understood is not sent again."""
        is_lost = isinstance(failure, UpstreamTimeout | UpstreamUnavailable)
        is_final = not is_lost or isinstance(failure, CircuitOpen | UpstreamUnreadable)
        return None if is_final else self._pause(attempts, now, 0)

    def pause_after_reply(self, reply: Reply, attempts: int, now: float) -> float | None:
        """After a reply, which is final unless it asks to come again."""
        is_unfinished = reply.status in RETRIED or (attempts > 1 and _is_in_progress(reply))
        return self._pause(attempts, now, reply.retry_after_seconds or 0) if is_unfinished else None

    def _pause(self, attempts: int, now: float, least_seconds: int) -> float | None:
        """Full jitter over a doubling pause (Brooker, "Exponential Backoff and Jitter") after what the core asks."""
        if not self.is_repeatable or attempts >= MAX_ATTEMPTS:
            return None
        pause = least_seconds + random.uniform(0, PAUSE_SECONDS * 2 ** (attempts - 1))
        return pause if now + pause < self.deadline else None


def _is_in_progress(reply: Reply) -> bool:
    """Whether the attempt before, whose end we did not see, still runs."""
    found = reply.problem if reply.status == 409 else None
    return found is not None and found.code == "IDEMPOTENCY_IN_PROGRESS"
