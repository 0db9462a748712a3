"""A light HTTP client for any of the servers: with a query in the URL, for answers of known length or in chunks."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.http_client import HttpClient


@dataclass(frozen=True)
class Client(HttpClient):
    """Sends one prepared request again and again, on as many connections as calls overlap."""

    async def send(self) -> bytes:
        """The body of the answer. Raises RuntimeError for any status but 200."""
        connection = await self._connection()
        reader, writer = connection
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        content = await _content(reader, _fields(head))
        self._free.append(connection)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{self.method} {self.url}: {head.splitlines()[0]!r} {content[:300]!r}")
        return content

    @property
    def _request(self) -> bytes:
        parts = urlsplit(self.url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        given = {"Host": parts.netloc, "Content-Length": str(len(self.body)), **self.headers}
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


async def _content(reader: asyncio.StreamReader, fields: dict[bytes, bytes]) -> bytes:
    if b"content-length" in fields:
        return await reader.readexactly(int(fields[b"content-length"]))
    if fields.get(b"transfer-encoding") != b"chunked":
        raise RuntimeError(f"an answer of unknown length: {fields!r}")
    parts = [part async for part in _Chunks(reader)]
    return b"".join(parts)


@dataclass(frozen=True)
class _Chunks:
    reader: asyncio.StreamReader

    def __aiter__(self) -> "_Chunks":
        return self

    async def __anext__(self) -> bytes:
        size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
        chunk = await self.reader.readexactly(size + 2)
        if not size:
            raise StopAsyncIteration
        return chunk[:-2]


def _fields(head: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)
    return {name.lower(): value.strip() for name, _, value in lines}
