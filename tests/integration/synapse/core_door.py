"""A door before the core that behaves as a test says: it is closed, slow, busy, answers 5xx, or cuts answers off."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.live import LOCALHOST, call
from tests.servers import free_port

PASSED_ON = ("Authorization", "Content-Type", "X-Forwarded-For", "X-Lakeport-Key")


@dataclass(frozen=True)
class Call:
    """A call as it came: its path, the headers that tests look at, its body."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What is answered; only so many bytes of the body are sent."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    sent_bytes: int | None = None


Behaviour = Callable[[Call, Callable[[], Answer]], Answer]


def faithful(_: Call, ask: Callable[[], Answer]) -> Answer:
    """As the core answers."""
    return ask()


def answering(answer: Answer) -> Behaviour:
    """To each batch the same, and the core is not asked."""
    return lambda each, ask: answer if each.path == "/articles/batch" else ask()


def slow(seconds: float) -> Behaviour:
    """As the core answers a batch, so much later."""

    def behave(each: Call, ask: Callable[[], Answer]) -> Answer:
        answer = ask()
        if each.path == "/articles/batch":
            time.sleep(seconds)
        return answer

    return behave


@dataclass
class CoreDoor:
    """Its URL, how it behaves, and which calls came."""

    core_url: str
    port: int = field(default_factory=free_port)
    behaviour: Behaviour = faithful
    calls: list[Call] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{LOCALHOST}:{self.port}"

    @property
    def batches(self) -> list[Call]:
        """The calls that bring changes."""
        return [each for each in self.calls if each.path == "/articles/batch"]

    @property
    def logins(self) -> list[Call]:
        """The calls that ask for a token."""
        return [each for each in self.calls if each.path == "/auth/token"]

    def open(self) -> None:
        """Listen; where it was closed, at the same port."""
        if self.server is None:
            self.server = ThreadingHTTPServer((LOCALHOST, self.port), lambda *given: _Handler(self, *given))
            threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


class _Handler(BaseHTTPRequestHandler):
    """One call."""

    def __init__(self, door: CoreDoor, *given: Any) -> None:
        self.door = door
        super().__init__(*given)

    def log_message(self, *_: Any) -> None:
        """Nothing is written."""

    def do_POST(self) -> None:
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        came = Call(self.path, headers, self._body())
        self.door.calls.append(came)
        answer = self.door.behaviour(came, lambda: self._ask(came))
        self.close_connection = True
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body[: answer.sent_bytes])

    def _body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _ask(self, came: Call) -> Answer:
        status, text, headers = call("POST", self.door.core_url + came.path, came.body, came.headers)
        kept: dict[str, str] = {name: headers[name] for name in ("content-type", "retry-after") if name in headers}
        return Answer(status, text.encode(), kept)


@contextmanager
def core_door(core_url: str) -> Iterator[CoreDoor]:
    """An open door to a core."""
    door = CoreDoor(core_url)
    door.open()
    try:
        yield door
    finally:
        door.close()


def short_lived(seconds: int) -> Behaviour:
    """As the core answers, but tokens are said to live no longer."""

    def behave(each: Call, ask: Callable[[], Answer]) -> Answer:
        answer = ask()
        if each.path != "/auth/token" or answer.status != 200:
            return answer
        tokens = {**json.loads(answer.body), "expires_in": seconds}
        return Answer(answer.status, json.dumps(tokens).encode(), answer.headers)

    return behave
