"""One connection to the core, kept open from one exchange to the next; the only module that imports `requests`."""

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse, HTTPResponse

from graphql_gateway.errors import Problem

# Servers close idle connections; one that was idle for so long is not trusted with a change that cannot be repeated.
MAX_IDLE_SECONDS = 4.0
CONNECT_SECONDS = 1.0
LEAST_SECONDS = 0.001
UNCONNECTED = ("NewConnectionError", "NameResolutionError")


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
    """Used by one thread; `renew` and `abort` belong to another one, that which gives it work."""

    def __init__(self, core_url: str, answer_bytes: int) -> None:
        parts = urlsplit(core_url)
        self._prefix = parts.path
        self._answer_bytes = answer_bytes
        self._adapter = _Adapter(_pool(parts.scheme, parts.hostname or "", parts.port, self))
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._is_aborted = False
        self._used_at = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether the server has no reason yet to close it."""
        return time.monotonic() - self._used_at < MAX_IDLE_SECONDS

    def exchange(self, message: Message, deadline: float) -> Reply:
        """The reply to a message. Raises Broken, Late and Unreadable."""
        left = max(deadline - time.monotonic(), LEAST_SECONDS)
        try:
            received = self._adapter.send(
                _Prepared(message, self._prefix), stream=True, timeout=(min(left, CONNECT_SECONDS), left)
            )
            content = self._content(received.raw)
        except (requests.ReadTimeout, ReadTimeoutError) as error:
            raise Late(was_sent=True) from error
        except (requests.RequestException, HTTPError) as error:
            raise Broken(was_sent=not _is_unconnected(error)) from error
        self._used_at = time.monotonic()
        headers = received.raw.headers
        return Reply(received.status_code, content, _seconds(headers.get("Retry-After", "")), headers.get("ETag"))

    def renew(self) -> None:
        """Make ready for the next message."""
        self._is_aborted = False

    def abort(self) -> None:
        """End the running exchange at once, so that the core sees the connection close."""
        with self._lock:
            self._is_aborted = True
            if self._socket is not None:
                _shut(self._socket)

    def opened(self, opened: socket.socket) -> None:
        """Keep the socket for `abort`. Raises ConnectionAbortedError when that has come already."""
        with self._lock:
            self._socket = opened
            if self._is_aborted:
                raise ConnectionAbortedError

    def closing(self) -> None:
        """Forget the socket, which another file may get the number of."""
        with self._lock:
            self._socket = None

    def _content(self, raw: HTTPResponse) -> bytes:
        if raw.headers.get("Content-Encoding", "identity") != "identity":
            raw.close()
            raise Unreadable("the reply is compressed")
        content = raw.read(self._answer_bytes + 1, decode_content=False)
        if len(content) > self._answer_bytes:
            raw.close()
            raise Unreadable("the reply is too large")
        if raw.length_remaining:
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
        """Leave it to the pool, which was made to verify."""

    def request_url(self, request: requests.PreparedRequest, _proxies: object) -> str:
        return request.url or "/"

    def build_response(self, _request: requests.PreparedRequest, resp: BaseHTTPResponse) -> requests.Response:
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

    def __init__(self, raw: BaseHTTPResponse) -> None:
        self.status_code = raw.status
        self.raw = raw


class _Kept(HTTPConnection):
    """urllib3's connection, whose socket another thread can shut."""

    def __init__(self, *args: Any, keeper: Connection, **options: Any) -> None:
        super().__init__(*args, **options)
        self._keeper = keeper

    @property
    def is_connected(self) -> bool:
        return self._keeper.is_fresh and super().is_connected

    def connect(self) -> None:
        super().connect()
        if self.sock is not None:
            self._keeper.opened(self.sock)

    def close(self) -> None:
        self._keeper.closing()
        super().close()


class _KeptTls(_Kept, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Kept


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _KeptTls


def _pool(scheme: str, host: str, port: int | None, keeper: Connection) -> HTTPConnectionPool:
    if scheme == "http":
        return _Pool(host, port, maxsize=1, keeper=keeper)
    return _TlsPool(host, port, maxsize=1, keeper=keeper, cert_reqs="CERT_REQUIRED", ca_certs=DEFAULT_CA_BUNDLE_PATH)


def _shut(opened: socket.socket) -> None:
    try:
        # Of the socket itself: what TLS has put around it belongs to the thread that reads.
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already


def _is_unconnected(error: Exception) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in UNCONNECTED


def _seconds(retry_after: str) -> int | None:
    return int(retry_after) if retry_after.isdecimal() and len(retry_after) < 10 else None
