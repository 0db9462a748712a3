"""A light HTTP client on kept-alive connections: it must not eat the time that it measures."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class HttpClient:
    """Sends one prepared request again and again, on as many connections as calls overlap."""

    url: str
    method: str
    headers: dict[str, str]
    body: bytes = b""
    _free: list[Connection] = field(default_factory=list)

    async def send(self) -> bytes:
        """The body of the answer. Raises RuntimeError for any status but 200."""
        connection = await self._connection()
        reader, writer = connection
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        content = await reader.readexactly(_content_length(head))
        self._free.append(connection)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{self.method} {self.url}: {head.splitlines()[0]!r} {content[:300]!r}")
        return content

    async def call(self) -> None:
        """The same, for its time alone."""
        await self.send()

    def close(self) -> None:
        """Give the connections up."""
        while self._free:
            self._free.pop()[1].close()

    async def _connection(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if not connection[0].at_eof():  # servers close the ones that were idle
                return connection
            connection[1].close()
        return await self._connect()

    async def _connect(self) -> Connection:
        parts = urlsplit(self.url)
        return await asyncio.open_connection(parts.hostname, parts.port)

    @property
    def _request(self) -> bytes:
        parts = urlsplit(self.url)
        given = {"Host": parts.netloc, "Content-Length": str(len(self.body)), **self.headers}
        lines = [f"{self.method} {parts.path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise RuntimeError(f"an answer without Content-Length: {head!r}")
