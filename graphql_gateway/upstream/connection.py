"""One connection to the core, kept open from one exchange to the next; the only module that imports `requests`."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from socket import socket
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from graphql_gateway.errors import Problem
from graphql_gateway.upstream.stream import Stream, waited

# Servers close idle connections; one that was idle for so long is not trusted with a change that cannot be repeated.
MAX_IDLE_SECONDS = 4.0
CONNECT_SECONDS = 1.0


@dataclass(frozen=True)
class Message:
    """A request as it goes over the wire; `target` is path and parameters."""

    method: str
    target: str
    headers: Mapping[str, str]
    content: bytes | None = None


@dataclass(frozen=True)
class Reply:
    """What came back; the content is as it came, never decompressed."""

    status: int
    content: bytes
    retry_after_seconds: int | None
    tag: str | None

    @property
    def problem(self) -> Problem | None:
        """The problem document in it."""
        try:
            return Problem.read(self.status, orjson.loads(self.content))
        except ValueError:
            return None


class Broken(Exception):
    """The connection could not be made, or ended before the reply had come."""

    def __init__(self, *, was_sent: bool) -> None:
        super().__init__("the connection broke")
        self.was_sent = was_sent


class Late(Exception):
    """The reply did not come in time."""

    def __init__(self, *, was_sent: bool) -> None:
        super().__init__("the reply is late")
        self.was_sent = was_sent


class Unreadable(Exception):
    """The reply is larger than is taken, or compressed though nobody asked for that."""


class Connection:
    """Used by one greenlet at a time, the event loop going on meanwhile; `abort` belongs to others."""

    def __init__(self, core_url: str, answer_bytes: int) -> None:
        parts = urlsplit(core_url)
        self._prefix = parts.path
        self._answer_bytes = answer_bytes
        self._http = (_Https if parts.scheme == "https" else _Http)(parts.hostname or "", parts.port)
        self._adapter = _Adapter(_Pool(self._http))
        self._used_at = 0.0

    def exchange(self, message: Message) -> Reply:
        """The reply to a message. Raises Broken and Unreadable."""
        if time.monotonic() - self._used_at > MAX_IDLE_SECONDS or not self._http.is_connected:
            self.abort()
            self._http.close()
        try:
            return self._exchange(message)
        except (requests.RequestException, HTTPException) as error:
            self.abort()
            raise Broken(was_sent=True) from error
        except Exception:
            self.abort()
            raise

    def abort(self) -> None:
        """End the running exchange at once, so that the core sees the connection close."""
        self._http.abort()

    def _exchange(self, message: Message) -> Reply:
        received = self._adapter.send(_Prepared(message, self._prefix), stream=True)
        content = self._content(cast(HTTPResponse, received.raw))
        self._http.rest()
        self._used_at = time.monotonic()
        headers = received.raw.headers
        return Reply(received.status_code, content, _seconds(headers.get("Retry-After", "")), headers.get("ETag"))

    def _content(self, raw: HTTPResponse) -> bytes:
        if raw.headers.get("Content-Encoding", "identity") != "identity":
            raise Unreadable("the reply is compressed")
        content = raw.read(self._answer_bytes + 1)
        if len(content) > self._answer_bytes:
            raise Unreadable("the reply is too large")
        if raw.length:
            raise Broken(was_sent=True)
        return content


class _Adapter(HTTPAdapter):
    """Sends to one server, without what calls of a known server need not: proxies, cookies, redirects, hooks."""

    def __init__(self, pool: HTTPConnectionPool) -> None:
        super().__init__()
        self._pool = pool

    def get_connection_with_tls_context(self, *_: object, **__: object) -> HTTPConnectionPool:
        return self._pool

    def cert_verify(self, *_: object) -> None:
        """Leave it to the connection, which always verifies."""

    def request_url(self, request: requests.PreparedRequest, _proxies: object) -> str:
        return request.url or "/"

    def build_response(self, _request: requests.PreparedRequest, resp: Any) -> "_Received":
        return _Received(resp)


class _Prepared(requests.PreparedRequest):
    """A request that needs no preparation: its message says it all."""

    def __init__(self, message: Message, prefix: str) -> None:
        self.method = message.method
        self.url = prefix + message.target
        # Each name is given once and is sent as it is, so that a plain dict does.
        self.headers = cast(CaseInsensitiveDict[str], message.headers)
        self.body = message.content


class _Received(requests.Response):
    """A response without cookies or history."""

    def __init__(self, raw: HTTPResponse) -> None:
        self.status_code = raw.status
        self.raw = raw


class _Pool(HTTPConnectionPool):
    """A pool of one connection, that sends once."""

    def __init__(self, connection: "_Http") -> None:
        super().__init__(connection.host, connection.port)
        self._connection = connection

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, body: Any = None, headers: Any = None, **_: Any
    ) -> Any:
        self._connection.request(method, url, body=body, headers=headers)
        return self._connection.getresponse()


class _Http(HTTPConnection):
    """urllib3's connection, over a stream in place of a socket."""

    def __init__(self, host: str, port: int | None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(host, port)
        self._tls = tls
        self._stream: Stream | None = None
        self._opening: asyncio.Task[Stream] | None = None

    @property
    def is_connected(self) -> bool:
        return self._stream is not None and self._stream.is_open

    def connect(self) -> None:
        """Open a stream. Raises Broken."""
        self._opening = asyncio.ensure_future(self._open())
        try:
            self.sock = cast(socket, waited(self._opening))
        except (OSError, asyncio.CancelledError) as error:
            raise Broken(was_sent=False) from error
        finally:
            self._opening = None

    def rest(self) -> None:
        """End an exchange whose answer has been read."""
        if self._stream is not None:
            self._stream.rest()

    def abort(self) -> None:
        """End the stream, or stop opening one."""
        if self._opening is not None:
            self._opening.cancel()
        if self._stream is not None:
            self._stream.abort()

    def getresponse(self) -> Any:
        # As http.client has it: what urllib3 puts around it is for pools, and for what is compressed.
        return super(HTTPConnection, self).getresponse()

    async def _open(self) -> Stream:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS):
            _, self._stream = await loop.create_connection(Stream, self.host, self.port, ssl=self._tls)
        return self._stream


class _Https(_Http):
    """The same over TLS."""

    default_port = HTTPSConnection.default_port  # type: ignore[misc]  # as urllib3 does

    def __init__(self, host: str, port: int | None) -> None:
        super().__init__(host, port, ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH))


def _seconds(retry_after: str) -> int | None:
    return int(retry_after) if retry_after.isdecimal() and len(retry_after) < 10 else None
