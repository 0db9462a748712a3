"""Interrupts what takes too long: no engine here has a time limit of its own."""

import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread


class Watchdog:
    """One thread for all running queries; it starts with the first."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is how long each may run."""
        self._seconds = seconds
        self._changed = Condition()
        self._waiting: list[tuple[float, int]] = []
        self._running: dict[int, Callable[[], None]] = {}
        self._numbers = itertools.count()
        self._thread: Thread | None = None

    @contextmanager
    def watching(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Calls `interrupt` when the block runs too long, and never after it has ended."""
        number = self._begin(interrupt)
        try:
            yield
        finally:
            with self._changed:
                self._running.pop(number, None)

    def _begin(self, interrupt: Callable[[], None]) -> int:
        with self._changed:
            number = next(self._numbers)
            self._running[number] = interrupt
            heapq.heappush(self._waiting, (time.monotonic() + self._seconds, number))
            if self._thread is None:
                self._thread = Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            if len(self._waiting) == 1:
                self._changed.notify()
            return number

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._wait()
                _, number = heapq.heappop(self._waiting)
                interrupt = self._running.pop(number, None)
                if interrupt is not None:
                    interrupt()

    def _wait(self) -> None:
        """Until the next deadline, which all later ones come after."""
        while not self._waiting:
            self._changed.wait()
        while self._waiting[0][1] in self._running and (left := self._waiting[0][0] - time.monotonic()) > 0:
            self._changed.wait(left)
