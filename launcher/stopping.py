"""The wish to stop: Ctrl-C, SIGTERM, or a terminal that closes."""

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Somebody asked us to stop."""


class StopSwitch:
    """Set by a signal, looked at where it is safe: no process is lost between its birth and our knowing it."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def install(self) -> None:
        """Take the signals over."""
        for number in SIGNALS:
            signal.signal(number, self._ask)

    def check(self) -> None:
        """Raises Stopped when somebody asked."""
        if self._asked.is_set():
            raise Stopped

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked.set()
