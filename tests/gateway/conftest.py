"""What the gateway's tests share: a client that speaks GraphQL, and an upstream that fails as told."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import Live, LiveCore, call
from tests.servers import free_port

if TYPE_CHECKING:
    from tests.gateway.lake import LiveLake

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class GraphQL:
    """A client of a gateway."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def post(self, body: Any, **headers: str) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers of a POST."""
        return call("POST", f"{self.url}/graphql", body, {**self.headers, **headers})

    def run(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer to a document."""
        _, text, _ = self.post({"query": query, "variables": variables})
        answer: dict[str, Any] = json.loads(text)
        return answer

    def result(self, query: str, **variables: Any) -> dict[str, Any]:
        """The one root field of an answer without errors."""
        answer = self.run(query, **variables)
        assert "errors" not in answer, answer["errors"]
        (value,) = answer["data"].values()
        found: dict[str, Any] = value
        return found

    def error(self, query: str, **variables: Any) -> dict[str, Any]:
        """The one error of an answer."""
        answer = self.run(query, **variables)
        (error,) = answer["errors"]
        found: dict[str, Any] = error
        return found

    def samples(self, name: str) -> dict[str, float]:
        """The samples of a metric by their labels."""
        _, text, _ = call("GET", f"{self.url}/metrics")
        return {labels: float(value) for metric, labels, value in SAMPLE.findall(text) if metric == name}


@pytest.fixture(scope="session")
def editor(live_core: LiveCore, live_gateway: Live) -> GraphQL:
    """A client with an editor's token."""
    return GraphQL(live_gateway.url, {"Authorization": f"Bearer {live_core.add_user('editor')}"})


@pytest.fixture(scope="session")
def reader(live_core: LiveCore, live_gateway: Live) -> GraphQL:
    """A client with a reader's token."""
    return GraphQL(live_gateway.url, {"Authorization": f"Bearer {live_core.add_user('reader')}"})


@pytest.fixture(scope="session")
def nobody(live_gateway: Live) -> GraphQL:
    """A client without a token."""
    return GraphQL(live_gateway.url)


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator["LiveLake"]:
    """A core with a lake, and a gateway before it; who changes something writes a table of his own."""
    from tests.gateway.lake import live_lake  # it imports this module

    with live_lake(tmp_path_factory.mktemp("lake")) as found:
        yield found


@dataclass
class Upstream:
    """In the core's place: keeps what it is sent and answers each call with the next of `replies`, else the last."""

    url: str
    received: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    replies: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)

    def will(self, *replies: Callable[[BaseHTTPRequestHandler], None]) -> None:
        """Forget what came, and answer so from now on."""
        self.received.clear()
        self.replies[:] = replies

    def reply(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one call."""
        length = int(handler.headers.get("Content-Length", 0))
        handler.rfile.read(length)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.received.append((handler.command, handler.path, headers))
        answer = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        answer(handler)


def replying(status: int, body: Any, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """A reply with a JSON body, or with bytes as they are."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return reply


def hanging_up(handler: BaseHTTPRequestHandler) -> None:
    """No reply; the connection ends."""
    handler.close_connection = True


@contextmanager
def upstream(port: int | None = None) -> Iterator[Upstream]:
    """A server in the core's place until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.reply(self)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port or free_port()), Handler)
    server.daemon_threads = True
    found = Upstream(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
