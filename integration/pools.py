"""Threads that nobody waits for where the work beside them ends early."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def hurried_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool for as long as the block lasts; what is still on its way then is believed by nobody."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
