"""What a person is told while the core is away: once that it is waited for, and once that it answers again."""

import time
from collections.abc import Callable
from threading import Lock

TOLD_AFTER_SECONDS = 2.0
"""Shorter waits are not worth a word."""
Tell = Callable[[str], object]


class Outage:
    """The time since an answer was last missed; all threads that call the core share it."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = Lock()
        self._since: float | None = None
        self._is_told = False

    def lasts(self, why: str, pause_seconds: float) -> None:
        """No usable answer came, and none is asked for in the next seconds."""
        with self._lock:
            now = time.monotonic()
            self._since = self._since or now
            if not self._is_told and now + pause_seconds - self._since >= TOLD_AFTER_SECONDS:
                self._is_told = True
                self._tell(f"The core is away ({why}); waiting for it")

    def ends(self, asked_at: float) -> None:
        """A usable answer came to what was asked at that time; one from before the outage ends nothing."""
        with self._lock:
            if self._since is None or asked_at < self._since:
                return
            if self._is_told:
                self._tell(f"The core answers again after {time.monotonic() - self._since:.0f} s")
            self._since, self._is_told = None, False
