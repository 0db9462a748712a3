"""A stand-in for the core that costs next to nothing: asks it once for each answer, then repeats that byte for byte.

Run as `python -m benchmarks.gateway.recorder CORE_URL PORT`. It also counts the calls by method and path. Streams of
events are passed on as they come, each time anew.
"""

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import cast
from urllib.parse import urlsplit

import orjson
import uvloop

COUNTS = "/-/counts"
HEAD_END = b"\r\n\r\n"
EVENT_STREAM = b"text/event-stream"
PART_BYTES = 65_536
# What an answer may depend on besides method, target and body.
VARYING = (b"authorization", b"if-none-match", b"accept")
Key = tuple[bytes, ...]


@dataclass(frozen=True)
class Recorder:
    """What was answered so far, and how often each route was called."""

    host: str
    port: int
    answers: dict[Key, bytes] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def known(self, head: bytes, body: bytes) -> bytes | None:
        """The answer to a request, if it was given before."""
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        if target == COUNTS.encode():
            return _answer(orjson.dumps(self.counts))
        kind = b"STREAM" if _is_stream(head) else method
        self.counts[f"{kind.decode()} {target.split(b'?')[0].decode()}"] += 1
        return self.answers.get(_key(head, body))

    async def ask(self, head: bytes, body: bytes, client: asyncio.Transport) -> None:
        """Pass the core's answer to a client as it comes, and remember it where it was no stream."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        writer.write(b"\r\n".join([*lines, b"Connection: close"]) + HEAD_END + body)
        try:
            if _is_stream(head):
                while part := await reader.read(PART_BYTES):
                    client.write(part)
                client.close()
            else:
                content = await reader.read(-1)
                answer = self.answers[_key(head, body)] = content.replace(b"connection: close\r\n", b"", 1)
                client.write(answer)
        finally:
            writer.close()


class Connection(asyncio.Protocol):
    """A client's connection: one request at a time, as clients of HTTP/1.1 ask."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._received = b""
        self._asking: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer when a request is whole."""
        self._received += data
        head, found, rest = self._received.partition(HEAD_END)
        if not found or len(rest) < int(_header(head, b"content-length") or 0):
            return
        self._received = b""
        answer = self._recorder.known(head, rest)
        if answer is None:
            self._asking = asyncio.ensure_future(self._recorder.ask(head, rest, self._transport))
        else:
            self._transport.write(answer)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Stop asking for whom nobody waits."""
        if self._asking is not None:
            self._asking.cancel()


def _is_stream(head: bytes) -> bool:
    return EVENT_STREAM in _header(head, b"accept")


def _key(head: bytes, body: bytes) -> Key:
    return (head.split(b"\r\n", 1)[0], body, *(_header(head, name) for name in VARYING))


def _header(head: bytes, name: bytes) -> bytes:
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return next((value.strip() for given, _, value in lines if given.lower() == name), b"")


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


async def serve(core_url: str, port: int) -> None:
    """Serve on a port of this machine until the process ends."""
    parts = urlsplit(core_url)
    assert parts.hostname
    assert parts.port
    recorder = Recorder(parts.hostname, parts.port)
    server = await asyncio.get_running_loop().create_server(partial(Connection, recorder), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
