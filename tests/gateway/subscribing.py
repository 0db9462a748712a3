"""Clients that subscribe: by WebSocket in either protocol, and by server-sent events."""

import http.client
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.gateway.conftest import GraphQL
from tests.live import Live

PATIENCE_SECONDS = 20.0
ARTICLES = "subscription { articleChanged { event id sequence article { title } } }"
Message = dict[str, Any]


@dataclass
class Socket:
    """A socket in one of the protocols; what comes between is kept until it is asked for."""

    connection: ClientConnection
    names: dict[str, str]
    ids: int = 0
    came: list[Message] = field(default_factory=list)

    def send(self, message: Message | str | bytes) -> None:
        """A message, or a frame as it is."""
        self.connection.send(json.dumps(message) if isinstance(message, dict) else message)

    def begin(self, payload: Any = None) -> None:
        """connection_init, and its answer."""
        self.send({"type": "connection_init", **({} if payload is None else {"payload": payload})})
        assert self.receive()["type"] == "connection_ack"

    def subscribe(self, query: str, **variables: Any) -> str:
        """Ask for an operation; gives its id."""
        self.ids += 1
        payload = {"query": query, "variables": variables}
        self.send({"type": self.names["subscribe"], "id": str(self.ids), "payload": payload})
        return str(self.ids)

    def receive(self, seconds: float = PATIENCE_SECONDS) -> Message:
        """The next message but signs of life."""
        ends_at = time.monotonic() + seconds
        while True:
            message: Message = json.loads(self.connection.recv(max(0.0, ends_at - time.monotonic())))
            if message["type"] == "ping":
                self.send({"type": "pong"})
            elif message["type"] != "ka":
                return message

    def next(self, key: str, seconds: float = PATIENCE_SECONDS) -> Message:
        """The next message of an operation."""
        found = next((each for each in self.came if each.get("id") == key), None)
        if found is not None:
            self.came.remove(found)
            return found
        while (message := self.receive(seconds)).get("id") != key:
            self.came.append(message)
        return message

    def data(self, key: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """The one root field of an operation's next result."""
        message = self.next(key, seconds)
        assert message["type"] == self.names["next"], message
        assert "errors" not in message["payload"], message
        (value,) = message["payload"]["data"].values()
        return value

    def closed(self) -> tuple[int, str]:
        """Code and reason of the server's close."""
        with pytest.raises(ConnectionClosed) as closed:
            deque(iter(self.receive, None), maxlen=0)
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason


TRANSPORT_WS = {"protocol": "graphql-transport-ws", "subscribe": "subscribe", "next": "next", "stop": "complete"}
LEGACY = {"protocol": "graphql-ws", "subscribe": "start", "next": "data", "stop": "stop"}


@contextmanager
def opened(gateway: Live, names: dict[str, str] = TRANSPORT_WS, **options: Any) -> Iterator[Socket]:
    """An open socket, on which nothing was said."""
    url = gateway.url.replace("http", "ws", 1) + "/graphql"
    with connect(url, subprotocols=[names["protocol"]], max_size=None, proxy=None, **options) as connection:  # type: ignore[list-item]
        yield Socket(connection, names)


@contextmanager
def begun(gateway: Live, token: str, names: dict[str, str] = TRANSPORT_WS) -> Iterator[Socket]:
    """A socket that has begun with a token."""
    with opened(gateway, names) as socket:
        socket.begin({"Authorization": f"Bearer {token}"})
        yield socket


@dataclass
class EventStream:
    """A stream of server-sent events."""

    response: http.client.HTTPResponse

    def next(self) -> tuple[str, Any]:
        """Name and data of the next event."""
        lines: list[str] = []
        while (line := self.response.readline().decode()).strip() or not lines:
            assert line, "the stream has ended"
            if line.strip() and not line.startswith(":"):
                lines.append(line.rstrip("\n"))
        fields = dict(each.split(":", 1) for each in lines)
        data = fields["data"].strip()
        return fields["event"].strip(), json.loads(data) if data else None


@contextmanager
def streamed(gateway: Live, token: str, query: str, method: str = "POST") -> Iterator[EventStream]:
    """The stream that answers an operation."""
    host = urlsplit(gateway.url).netloc
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_SECONDS)
    headers = {"Accept": "text/event-stream", "Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    is_read = method == "GET"
    path = f"/graphql?{urlencode({'query': query})}" if is_read else "/graphql"
    connection.request(method, path, None if is_read else json.dumps({"query": query}), headers)
    try:
        yield EventStream(connection.getresponse())
    finally:
        connection.close()


def subscribers(gateway: Live, operation: str | None = None) -> float:
    """How many subscribers there are, of an operation."""
    samples = GraphQL(gateway.url).samples("graphql_subscriptions_active")
    wanted = "" if operation is None else f'operation="{operation}"'
    return sum(number for labels, number in samples.items() if wanted in labels)


def streams(gateway: Live) -> float:
    """How many streams of the core the gateway follows."""
    return sum(GraphQL(gateway.url).samples("graphql_event_streams").values())


def wait_until(is_so: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a state."""
    ends_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends_at, "it did not come to that"
        time.sleep(0.01)
