"""A thread that does one thing for a call while the call goes on."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock


class Clerk:
    """Takes one errand at a time. Its thread begins with the first one and ends with the clerk."""

    def __init__(self) -> None:
        self._free = Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clerk")

    def take(self, work: Callable[[], None]) -> Future[None] | None:
        """Have something done beside the caller, who waits for its result in the end; None where the clerk is busy."""
        if not self._free.acquire(blocking=False):
            return None
        begun = Lock()
        begun.acquire()
        errand = self._thread.submit(_run, work, begun, self._free)
        # The clerk's thread waits for Python's lock, which who goes on at once would keep.
        begun.acquire()
        return errand


def _run(work: Callable[[], None], begun: Lock, free: Lock) -> None:
    begun.release()
    try:
        work()
    finally:
        free.release()
