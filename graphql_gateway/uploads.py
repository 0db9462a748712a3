"""Passes files on to the core as they come: each over a connection of its own, a piece at a time."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from secrets import token_hex
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

import certifi
import orjson
from urllib3.util.wait import wait_for_read

from graphql_gateway.errors import (
    UNSURE,
    Overloaded,
    Problem,
    Refusal,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from graphql_gateway.observability import GatewayMetrics
from graphql_gateway.trail import Step

CONNECT_SECONDS = 1.0
SOCKET_SECONDS = 30.0
ANSWER_BYTES = 1 << 20
UNREACHABLE = "The core cannot be reached"
UNREADABLE = "The core gave an answer that cannot be read"
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """An answer of the core, its content as it came."""

    status: int
    content: bytes
    retry_after: str


class Uploads:
    """Sends so many files at once at most, each within `seconds`."""

    def __init__(self, core_url: str, places: int, seconds: float, metrics: GatewayMetrics) -> None:
        self._core_url = core_url
        self._places = places
        self._seconds = seconds
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(places, thread_name_prefix="upload")
        self._running = 0

    async def send(self, route: str, headers: Mapping[str, str], form: "Form", step: Step) -> dict[str, Any]:
        """The core's answer to a form.

        Raises Refusal for an answer of 400 or above, also where it comes before the file has been sent; Overloaded,
        UpstreamTimeout, UpstreamUnavailable and what reading the file raises: then the core has half a body, of which
        it keeps nothing.
        """
        if self._running >= self._places:
            raise Overloaded("Too many files are being uploaded; try again", retry_after_seconds=5)
        self._running += 1
        try:
            return await self._counted(route, self._within(route, headers, form), step)
        finally:
            self._running -= 1

    def close(self) -> None:
        """Give the threads up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _counted(self, route: str, answer: Awaitable[Answer], step: Step) -> dict[str, Any]:
        started = time.monotonic()
        try:
            found = await answer
            step.status = found.status
        except (UpstreamTimeout, UpstreamUnavailable) as failure:
            step.failure = failure.code
            self._metrics.upstream_errors.labels("POST", route, failure.code).inc()
            raise
        finally:
            self._metrics.observe_call("POST", route, time.monotonic() - started, step.status)
        return _accepted(found)

    async def _within(self, target: str, headers: Mapping[str, str], form: "Form") -> Answer:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._send(target, headers, form)
        except TimeoutError as error:
            raise _late() from error

    async def _send(self, target: str, headers: Mapping[str, str], form: "Form") -> Answer:
        exchange = _Exchange(self._core_url)
        try:
            await self._in_thread(exchange.begin, target, {**headers, "Content-Type": form.content_type})
            async with aclosing(form.body()) as body:
                async for piece in body:
                    if not await self._in_thread(exchange.send, piece):
                        break
            return await self._in_thread(exchange.answer, self._seconds)
        finally:
            exchange.shut()
            self._threads.submit(exchange.close)

    async def _in_thread(self, work: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)


@dataclass(frozen=True)
class Form:
    """A body of multipart/form-data: the fields, so that the core can refuse them early, and then the file."""

    fields: Mapping[str, str]
    filename: str
    content: AsyncGenerator[bytes, None]
    boundary: str = field(default_factory=partial(token_hex, 16))

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The body as the file comes, and an empty piece at its end."""
        filename = self.filename.translate({ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"})
        heads = [self._head(f'name="{name}"') + value for name, value in self.fields.items()]
        file_head = self._head(f'name="file"; filename="{filename}"', "Content-Type: application/octet-stream\r\n")
        yield "\r\n".join([*heads, file_head]).encode("utf-8", "replace")
        async with aclosing(self.content) as content:
            async for piece in content:
                yield piece
        yield f"\r\n--{self.boundary}--\r\n".encode()
        yield b""

    def _head(self, disposition: str, more: str = "") -> str:
        return f"--{self.boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n"


class _Exchange:
    """One request, whose length nobody knows; its methods block, but for `shut`."""

    def __init__(self, core_url: str) -> None:
        parts = urlsplit(core_url)
        self._connection = _connection(parts.scheme, parts.hostname or "", parts.port)
        self._prefix = parts.path
        self._lock = Lock()

    def begin(self, target: str, headers: Mapping[str, str]) -> None:
        """Send the head. Raises UpstreamUnavailable."""
        with self._lock:
            try:
                self._connection.putrequest("POST", self._prefix + target, skip_accept_encoding=True)
                for name, value in {**headers, "Transfer-Encoding": "chunked", "Accept": "application/json"}.items():
                    self._connection.putheader(name, value)
                self._connection.endheaders()
                self._connection.sock.settimeout(SOCKET_SECONDS)
            except (OSError, HTTPException) as error:
                raise UpstreamUnavailable(UNREACHABLE) from error

    def send(self, piece: bytes) -> bool:
        """Send a piece, the empty one last. Gives False when the core has answered already, or takes no more."""
        with self._lock:
            if _has_answered(self._connection.sock):
                return False
            try:
                self._connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            except OSError:
                return False  # it may have answered before it closed
            return True

    def answer(self, seconds: float) -> Answer:
        """The core's answer. Raises UpstreamTimeout and UpstreamUnavailable."""
        with self._lock:
            try:
                self._connection.sock.settimeout(seconds)
                response = self._connection.getresponse()
                content = response.read(ANSWER_BYTES)
            except TimeoutError as error:
                raise _late() from error
            except (OSError, HTTPException) as error:
                raise UpstreamUnavailable(UNREACHABLE + UNSURE) from error
        return Answer(response.status, content, response.getheader("Retry-After", ""))

    def shut(self) -> None:
        """End it, done or not, also under a thread that waits for it."""
        if self._connection.sock is not None:
            with suppress(OSError):
                # Of the socket itself: what TLS has put around it belongs to the thread that uses it.
                socket.socket.shutdown(self._connection.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection up."""
        with self._lock:
            self._connection.close()


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(host, port, timeout=CONNECT_SECONDS)
    context = ssl.create_default_context(cafile=certifi.where())
    return HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)


def _has_answered(opened: socket.socket) -> bool:
    """Whether there is something to read before the body has ended.

    Over TLS nobody can tell: a server sends tickets of its own accord. Then an early answer is read at the end.
    """
    return not isinstance(opened, ssl.SSLSocket) and bool(wait_for_read(opened, timeout=0))


def _accepted(answer: Answer) -> dict[str, Any]:
    try:
        body = orjson.loads(answer.content)
    except ValueError:
        body = None
    if 200 <= answer.status < 300 and isinstance(body, dict):
        return body
    problem = Problem.read(answer.status, body)
    if answer.status < 400 or problem is None:
        raise UpstreamUnavailable(f"{UNREADABLE}{UNSURE}")
    wait = answer.retry_after
    raise Refusal(problem, int(wait) if wait.isdecimal() and len(wait) < 10 else None)


def _late() -> UpstreamTimeout:
    return UpstreamTimeout(f"The upload did not end in time{UNSURE}")
