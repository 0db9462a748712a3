"""The core's streams of server-sent events: each read in a thread of its own, for as long as somebody listens."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field

import orjson
import requests
from urllib3.exceptions import HTTPError

from graphql_gateway.errors import Failure, Overloaded, Problem, Refusal, UpstreamUnavailable
from graphql_gateway.rest_client import UNREACHABLE, UNREADABLE, Call, Caller

# The core says every 10 seconds that it is still there.
SILENCE_SECONDS = 25.0
CONNECT_SECONDS = 1.0
CHUNK_BYTES = 65_536
HEADERS = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "User-Agent": "lakeport-gateway"}
ROOM = 64
"""Frames that may wait for their reader; until he takes one, no more is read from the core."""


@dataclass(frozen=True)
class Frame:
    """One server-sent event."""

    id: str
    event: str
    data: bytes


OPENED = Frame("", "open", b"")
"""Told first: the core has begun its answer."""


@dataclass
class FrameReader:
    """Makes frames of bytes as they come (the HTML standard, section 9.2); comments are none."""

    most_bytes: int
    _rest: bytes = b""
    _lines: list[bytes] = field(default_factory=list)
    _size_bytes: int = 0

    def feed(self, part: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete. Raises ValueError for one that is too large."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            yield from self._take(line.rstrip(b"\r"))
        if self._size_bytes + len(self._rest) > self.most_bytes:
            raise ValueError("the event is too large")

    def _take(self, line: bytes) -> Iterator[Frame]:
        if line:
            self._size_bytes += len(line)
            self._lines.append(line)
            return
        lines, self._lines, self._size_bytes = self._lines, [], 0
        fields = [each.partition(b": ")[::2] for each in lines if not each.startswith(b":")]
        data = [value for name, value in fields if name == b"data"]
        if data:
            given = {name: value.decode("utf-8", "replace") for name, value in fields if name in (b"id", b"event")}
            yield Frame(given.get(b"id", ""), given.get(b"event", "message"), b"\n".join(data))


class RestStreams:
    """Opens streams, so many at once at most."""

    def __init__(self, core_url: str, most: int, frame_bytes: int) -> None:
        self._core_url = core_url
        self._most = most
        self._frame_bytes = frame_bytes
        self._open = 0

    @property
    def open(self) -> int:
        """How many are open."""
        return self._open

    async def frames(self, call: Call, caller: Caller) -> AsyncGenerator[Frame]:
        """What the core tells until it ends the stream; who stops listening closes it.

        Raises Refusal for an answer of 400 or above, Overloaded and UpstreamUnavailable.
        """
        if self._open >= self._most:
            raise Overloaded("The gateway follows too many streams of the core; try again", retry_after_seconds=5)
        reading = _Reading(self._request(call, caller), FrameReader(self._frame_bytes), asyncio.get_running_loop())
        self._open += 1
        threading.Thread(target=reading.run, name="events", daemon=True).start()
        try:
            while (frame := await reading.next()) is not None:
                yield frame
        finally:
            self._open -= 1
            reading.stop()

    def _request(self, call: Call, caller: Caller) -> requests.PreparedRequest:
        return requests.Request("GET", self._core_url + call.target, headers={**caller.headers, **HEADERS}).prepare()


class _Reading:
    """One stream, between the thread that reads it and the loop that wants its frames."""

    def __init__(self, request: requests.PreparedRequest, frames: FrameReader, loop: asyncio.AbstractEventLoop) -> None:
        self._request = request
        self._frames = frames
        self._loop = loop
        self._told: asyncio.Queue[Frame | Failure | None] = asyncio.Queue()
        self._room = threading.Semaphore(ROOM)
        self._lock = threading.Lock()
        self._response: requests.Response | None = None
        self._stopped = threading.Event()

    async def next(self) -> Frame | None:
        """The next frame; None after the last. Raises what ended the stream."""
        told = await self._told.get()
        self._room.release()
        if isinstance(told, Failure):
            raise told
        return told

    def stop(self) -> None:
        """Let the thread end, wherever it is."""
        with self._lock:
            self._stopped.set()
            self._room.release()
            if self._response is not None:
                _wake(self._response)

    def run(self) -> None:
        """Read to the end."""
        try:
            self._tell(self._read())
        except RuntimeError:
            return  # the loop has ended before us: nobody listens any more

    def _read(self) -> Failure | None:
        try:
            with requests.Session() as session:
                session.trust_env = False
                return self._exchange(session)
        except (requests.RequestException, HTTPError, OSError):
            return UpstreamUnavailable(UNREACHABLE)
        except ValueError:
            return UpstreamUnavailable(UNREADABLE)

    def _exchange(self, session: requests.Session) -> Failure | None:
        timeouts = (CONNECT_SECONDS, SILENCE_SECONDS)
        with session.send(self._request, stream=True, timeout=timeouts, allow_redirects=False) as response:
            if response.status_code != 200:
                return _refused(response)
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                return UpstreamUnavailable(UNREADABLE)
            with self._lock:
                self._response = response
            try:
                self._tell(OPENED)
                self._follow(response)
            finally:
                with self._lock:
                    self._response = None
        return None

    def _follow(self, response: requests.Response) -> None:
        parts = response.raw.stream(CHUNK_BYTES, decode_content=True)
        for frame in (frame for part in parts for frame in self._frames.feed(part)):
            self._room.acquire()
            if self._stopped.is_set():
                return
            self._tell(frame)

    def _tell(self, told: Frame | Failure | None) -> None:
        self._loop.call_soon_threadsafe(self._told.put_nowait, told)


def _wake(response: requests.Response) -> None:
    """End the read that the stream's thread waits in."""
    try:
        response.raw.shutdown()
    except (OSError, ValueError, RuntimeError):
        return  # it has ended by itself


def _refused(response: requests.Response) -> Failure:
    content = response.raw.read(CHUNK_BYTES, decode_content=True)
    try:
        problem = Problem.read(response.status_code, orjson.loads(content))
    except ValueError:
        problem = None
    if response.status_code < 400 or problem is None:
        return UpstreamUnavailable(UNREADABLE)
    wait = response.headers.get("Retry-After", "")
    return Refusal(problem, int(wait) if wait.isdecimal() and len(wait) < 10 else None)
