"""A thread that does one thing for a call while the call goes on."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from weakref import finalize


class Errand:
    """Something given to the clerk: whoever gave it waits for its end."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._begun, self._ended = Lock(), Lock()
        self._begun.acquire()
        self._ended.acquire()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do it; what it raises is kept for who waits."""
        self._begun.release()
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  (whatever it was, who waits is told)
            self._error = error

    def end(self) -> None:
        """Let go who waits."""
        self._ended.release()

    def wait_for_beginning(self) -> None:
        """Wait until the clerk's thread runs: it waits for Python's lock, which who goes on would keep."""
        self._begun.acquire()

    def wait(self) -> None:
        """Wait for the end, once. Raises what the work raised."""
        self._ended.acquire()
        if self._error is not None:
            raise self._error


class Clerk:
    """Takes one errand at a time. Its thread begins with the first one and ends with the clerk."""

    def __init__(self) -> None:
        self._free = Lock()
        self._given: SimpleQueue[Errand | None] = SimpleQueue()
        self._thread: Thread | None = None

    def take(self, work: Callable[[], None]) -> Errand | None:
        """Have something done beside the caller; None where the clerk is busy."""
        if not self._free.acquire(blocking=False):
            return None
        if self._thread is None:
            self._begin()
        errand = Errand(work)
        self._given.put(errand)
        errand.wait_for_beginning()
        return errand

    def _begin(self) -> None:
        # The thread must not know the clerk, or neither would ever end.
        self._thread = Thread(target=_run, args=(self._given, self._free), name="clerk", daemon=True)
        self._thread.start()
        finalize(self, self._given.put, None)


def _run(given: "SimpleQueue[Errand | None]", free: Lock) -> None:
    while (errand := given.get()) is not None:
        errand.run()
        free.release()
        errand.end()
        del errand  # with all that the call held, until the next one comes
