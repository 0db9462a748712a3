"""A connection's bytes on the event loop, for code that was written for sockets that block.

Such code runs in a greenlet. Where a socket would block, the greenlet stands still, and the loop goes on.
"""

import asyncio
import io
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

Result = TypeVar("Result")


def waited(work: "asyncio.Task[Result]") -> Result:
    """What a task gives, for the greenlet that asks, which stands still until then. Raises what the task raises."""
    running = getcurrent()
    work.add_done_callback(lambda _: running.switch())
    _stand_still()
    return work.result()


def _stand_still() -> None:
    loop = getcurrent().parent
    if loop is None:
        raise RuntimeError("only a greenlet can stand still")
    loop.switch()


class Stream(asyncio.Protocol):
    """What `http.client` needs of a socket; at rest between exchanges, when nothing may come."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._reader: greenlet | None = None
        self._is_at_rest = self._is_closed = self._is_over = False

    @property
    def is_open(self) -> bool:
        """Whether another exchange may begin."""
        return not self._is_closed and not self._is_over

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Pass on what has come; what nobody asked for is not kept for the next who asks."""
        if self._is_at_rest:
            self.abort()
            return
        self._received += data
        self._wake()

    def eof_received(self) -> None:
        """Tell that nothing more comes."""
        self._end()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Tell that nothing more comes."""
        self._end()

    # What a socket's user calls.

    def sendall(self, data: bytes) -> None:
        """Send it; it is on its way when this returns, but need not have left."""
        if not self.is_open:
            raise BrokenPipeError
        self._is_at_rest = False
        self._transport.write(data)

    def recv_into(self, buffer: memoryview) -> int:
        """Put what has come into a buffer; gives the number of bytes, 0 at the end."""
        if not self._received and not self._is_over:
            self._reader = getcurrent()
            _stand_still()
        size = min(len(buffer), len(self._received))
        buffer[:size] = self._received[:size]
        del self._received[:size]
        return size

    def makefile(self, _mode: str) -> io.BufferedReader:
        """A file to read one answer from."""
        return io.BufferedReader(_Raw(self))

    def settimeout(self, _seconds: float | None) -> None:
        """Leave it to those who wait: they know when to abort."""

    def close(self) -> None:
        """Begin no other exchange; what comes may be read until `rest`."""
        self._is_closed = True

    # What a connection calls besides.

    def rest(self) -> None:
        """End an exchange."""
        self._is_at_rest = True
        if self._is_closed or self._received:
            self.abort()

    def abort(self) -> None:
        """End the stream at once: the other side sees it close, and who reads is told that nothing more comes."""
        self._is_closed = True
        self._transport.abort()

    def _end(self) -> None:
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.switch()


class _Raw(io.RawIOBase):
    """The reading side of a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._stream.recv_into(buffer)
