"""A proxy before the core that answers a part of the calls with 5xx, cuts answers off, and sends calls twice."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.live import LOCALHOST, call
from tests.servers import free_port

FAULTS = ("refused", "overloaded", "cut", "doubled", "lost")
FOREIGN = {"html": b"<html>hello</html>", "foreign": b'{"data": [], "errors": []}', "listed": b"[1]"}
"""Answers with 200 that are none of a core."""
RETRY_AFTER_SECONDS = 1
BATCH = "/articles/batch"
Interfere = Callable[[str, bytes], str]
"""Which fault a call of this path and body gets; empty for chance's."""


def at_batch(number: int, then: Callable[[], object]) -> Interfere:
    """Do something when the n-th batch comes, counted from 1, before it is passed on."""
    seen = Counter[str]()

    def interfere(path: str, body: bytes) -> str:
        seen[path] += 1
        if (path, seen[path]) == (BATCH, number):
            then()
        return ""

    return interfere


def faults_of_batches(*faults: str) -> Interfere:
    """These faults for the first batches, one each."""
    left = list(faults)
    return lambda path, body: left.pop(0) if path == BATCH and left else ""


@dataclass
class FaultyProxy:
    """Its URL, which calls came when (by the monotonic clock), and which faults it made how often."""

    url: str
    core_url: str
    share: float
    chance: random.Random
    outage: range
    interfere: Interfere = lambda path, body: ""
    calls: list[tuple[float, str]] = field(default_factory=list)
    made: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, path: str, body: bytes) -> str:
        """What goes wrong with a call."""
        fault = self.interfere(path, body)
        with self.lock:
            self.calls.append((time.monotonic(), path))
            if fault:
                self.made[fault] += 1
                return fault
            fault = self.chance.choice(FAULTS) if self.chance.random() < self.share else "none"
            if self.made.total() in self.outage:
                fault = "lost"
            self.made[fault] += 1
        return fault


class _Handler(BaseHTTPRequestHandler):
    """Passes calls on, most of them."""

    def __init__(self, proxy: FaultyProxy, *given: Any) -> None:
        self.proxy = proxy
        super().__init__(*given)

    def log_message(self, *_: Any) -> None:
        """Nothing is written."""

    def do_GET(self) -> None:
        self._pass_on(None)

    def do_POST(self) -> None:
        self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

    def _pass_on(self, body: bytes | None) -> None:
        fault = self.proxy.next_fault(self.path, body or b"")
        if fault in FOREIGN:
            return self._answer(200, FOREIGN[fault], {})
        if fault == "busy":
            return self._answer(429, b"", {"retry-after": str(RETRY_AFTER_SECONDS)})
        if fault == "refused":
            return self._answer(500, b"<html>oops</html>", {})
        if fault == "overloaded":
            return self._answer(503, b"", {"retry-after": "0"})
        if fault == "closed" or (fault == "lost" and self.proxy.outage):
            return self._answer(0, b"", {}, 0)
        answer = self._forward(body)
        if fault == "doubled":
            answer = self._forward(body)
        if fault == "slow":
            self.connection.recv(1)  # until the caller has left
        return self._answer(*answer, part={"cut": 0.5, "lost": 0.0, "slow": 0.0}.get(fault, 1.0))

    def _forward(self, body: bytes | None) -> tuple[int, bytes, dict[str, str]]:
        kept = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
        status, text, headers = call(self.command, self.proxy.core_url + self.path, body, kept)
        return status, text.encode(), {"content-type": headers.get("content-type", "")}

    def _answer(self, status: int, body: bytes, headers: dict[str, str], part: float = 1.0) -> None:
        self.close_connection = True
        if part == 0:
            return
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(BrokenPipeError):
            self.wfile.write(body[: round(len(body) * part)])


@contextmanager
def faulty_proxy(core_url: str, share: float, seed: int, outage: range = range(0)) -> Iterator[FaultyProxy]:
    """A proxy that makes a share of the calls go wrong, and those of an outage all, counted from 0."""
    proxy = FaultyProxy(f"http://{LOCALHOST}:{free_port()}", core_url, share, random.Random(seed), outage)
    port = int(proxy.url.rsplit(":", 1)[1])
    server = ThreadingHTTPServer((LOCALHOST, port), lambda *given: _Handler(proxy, *given))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
