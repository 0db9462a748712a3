"""Reads bodies without waiting for ever: a client that sends slowly keeps few threads, and those not for long."""

from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread
from typing import IO

from rest_api.errors import Overloaded, RequestTimeout

SECONDS = 10.0
SLOWEST_BYTES_PER_SECOND = 100_000
Outcome = bytes | Exception


@dataclass(frozen=True)
class BodyReader:
    """Reads so many bodies at once; each must be there after ten seconds, a large one after some more."""

    places: int
    seconds: float = SECONDS
    _free: BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_free", BoundedSemaphore(self.places))

    def read(self, stream: IO[bytes], most_bytes: int) -> bytes:
        """Up to `most_bytes` of a body. Raises RequestTimeout, Overloaded where too many are being read."""
        if not self._free.acquire(timeout=self.seconds / 10):
            raise Overloaded("Too many clients are sending at once; try again", retry_after_seconds=1)
        try:
            return _within(self.seconds + most_bytes / SLOWEST_BYTES_PER_SECOND, lambda: _all(stream, most_bytes))
        finally:
            self._free.release()


def _within(seconds: float, read: Callable[[], bytes]) -> bytes:
    # The server's own reading has no end in time. The thread goes when the answer has closed the connection.
    outcomes: SimpleQueue[Outcome] = SimpleQueue()

    def work() -> None:
        try:
            outcomes.put(read())
        except Exception as error:  # noqa: BLE001  (raised where it is waited for)
            outcomes.put(error)

    Thread(target=work, name="body", daemon=True).start()
    try:
        outcome = outcomes.get(timeout=seconds)
    except Empty:
        raise RequestTimeout("The body did not come in time") from None
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _all(stream: IO[bytes], most_bytes: int) -> bytes:
    parts, left = [], most_bytes
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
