"""Reads bodies without waiting for ever: a client that sends slowly keeps few threads, and those not for long."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from queue import Empty, Full, Queue, SimpleQueue
from threading import BoundedSemaphore, Event, Thread
from typing import IO

from rest_api.errors import Invalid, Overloaded, RequestTimeout, TooLarge

SECONDS = 10.0
SLOWEST_BYTES_PER_SECOND = 100_000
PART_BYTES = 256 * 2**10
_LOOK_SECONDS = 1.0
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


def parts(
    stream: IO[bytes], length: int | None, most_bytes: int, seconds: float = SECONDS
) -> Generator[bytes, None, None]:
    """A body as it comes, never more than some megabytes of it at once; `length` is what its sender says of it.

    Raises RequestTimeout where less came than 100 kB a second after the first ten seconds, TooLarge, Invalid where it
    ends early.
    """
    waiting: Queue[Outcome] = Queue(maxsize=4)
    is_over = Event()
    Thread(target=_hand_over, args=(stream, length, waiting, is_over), name="upload", daemon=True).start()
    begun, received = time.monotonic(), 0
    try:
        while part := _next(waiting, begun + seconds + (received + PART_BYTES) / SLOWEST_BYTES_PER_SECOND):
            received += len(part)
            if received > most_bytes:
                raise TooLarge(f"The body is larger than {most_bytes} bytes")
            yield part
    finally:
        is_over.set()
    if received < (length or 0):
        raise Invalid("The body ended too early")


def _next(waiting: "Queue[Outcome]", deadline: float) -> bytes:
    try:
        outcome = waiting.get(timeout=max(0.0, deadline - time.monotonic()))
    except Empty:
        raise RequestTimeout("The body does not come fast enough") from None
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _hand_over(stream: IO[bytes], length: int | None, waiting: "Queue[Outcome]", is_over: Event) -> None:
    """Put the parts of a stream into a queue, and an empty one at its end."""
    left, part = length, b"x"
    while part and not is_over.is_set():
        part = b""
        try:
            part = stream.read(PART_BYTES if left is None else min(PART_BYTES, left)) if left != 0 else b""
            outcome: Outcome = part
        except Exception as error:  # noqa: BLE001  (raised where it is waited for)
            outcome = error
        left = None if left is None else left - len(part)
        _put(waiting, outcome, is_over)


def _put(waiting: "Queue[Outcome]", outcome: Outcome, is_over: Event) -> None:
    while not is_over.is_set():
        try:
            waiting.put(outcome, timeout=_LOOK_SECONDS)
        except Full:
            continue
        return


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
