"""When a call is tried again, and after what pause: pure."""

import random
from dataclasses import dataclass

MAX_ATTEMPTS = 3
PAUSE_SECONDS = 0.02
RETRIED = (502, 503)


@dataclass(frozen=True)
class Retries:
    """The rule for one call; `is_repeatable` where sending it twice has the effect of once."""

    is_repeatable: bool
    deadline: float

    def pause_seconds(self, attempts: int, now: float, retry_after_seconds: int | None = None) -> float | None:
        """How long to wait before the next attempt; None when there is to be none or no time is left for it.

        Full jitter over a doubling pause (Brooker, "Exponential Backoff and Jitter"), on top of what the core asks for.
        """
        if not self.is_repeatable or attempts >= MAX_ATTEMPTS:
            return None
        pause = (retry_after_seconds or 0) + random.uniform(0, PAUSE_SECONDS * 2 ** (attempts - 1))
        return pause if now + pause < self.deadline else None
