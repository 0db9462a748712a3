"""Subscribing: what each protocol says, and what it refuses."""

import json
import socket as sockets
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.gateway.conftest import GraphQL
from tests.gateway.subscribing import (
    ARTICLES,
    LEGACY,
    PATIENCE_SECONDS,
    TRANSPORT_WS,
    begun,
    opened,
    streamed,
    streams,
    subscribers,
    wait_until,
)
from tests.live import Live, LiveCore, call, gateway

CREATE = 'mutation { createArticle(title: "By socket", content: "") { success } }'
INIT_SECONDS, IDLE_SECONDS, ALIVE_SECONDS = 0.6, 1.0, 0.2
BOTH = pytest.mark.parametrize("names", [TRANSPORT_WS, LEGACY], ids=lambda each: each["protocol"])
PROTOCOL = TRANSPORT_WS["protocol"]


@dataclass(frozen=True)
class Place:
    """A gateway, and the tokens of a reader and an editor."""

    gateway: Live
    core: LiveCore
    reader: str
    editor: str

    def create(self, title: str) -> None:
        """A new article."""
        status, answer = self.core.call("POST", "/articles", {"title": title, "content": "Text"}, self.editor)
        assert status == 201, answer


@pytest.fixture(scope="module")
def place(live_core: LiveCore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A gateway that allows little."""
    with gateway(
        live_core.url,
        tmp_path_factory.mktemp("gateway"),
        SUBSCRIPTION_INIT_SECONDS=str(INIT_SECONDS),
        SUBSCRIPTION_IDLE_SECONDS=str(IDLE_SECONDS),
        SUBSCRIPTION_ALIVE_SECONDS=str(ALIVE_SECONDS),
        SUBSCRIPTION_CONNECTIONS="3",
        SUBSCRIPTIONS_PER_CONNECTION="4",
        SUBSCRIPTION_ORIGINS="https://shop.example.org",
        GRAPHQL_BODY_BYTES="20000",
    ) as live:
        yield Place(live, live_core, live_core.add_user("reader"), live_core.add_user("editor"))


@pytest.fixture(autouse=True)
def is_quiet(place: Place) -> Iterator[None]:
    """Each test leaves nothing behind: no subscriber, no stream of the core."""
    yield
    wait_until(lambda: subscribers(place.gateway) == streams(place.gateway) == 0)


@BOTH
def test_a_subscriber_is_told_of_each_change(place: Place, names: dict[str, str]) -> None:
    with begun(place.gateway, place.reader, names) as socket:
        key = socket.subscribe(ARTICLES)
        wait_until(lambda: subscribers(place.gateway) == 1)
        for title in ("First", "Second"):
            place.create(title)
            told = socket.data(key)
            assert (told["event"], told["article"]) == ("CREATED", {"title": title})
        socket.send({"type": names["stop"], "id": key})
        wait_until(lambda: streams(place.gateway) == 0)


@BOTH
def test_queries_and_mutations_go_over_sockets_too(place: Place, names: dict[str, str]) -> None:
    with begun(place.gateway, place.editor, names) as socket:
        created = socket.subscribe(CREATE)
        assert socket.data(created) == {"success": True}
        assert socket.next(created) == {"type": "complete", "id": created}
        query = "query First($n: Int) { articles(first: $n) { nodes { title author { username } } } }"
        read = socket.subscribe(query, n=1)
        assert len(socket.data(read)["nodes"]) == 1
        assert socket.next(read)["type"] == "complete"


@BOTH
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{ nothing }", "Cannot query field"),
        ("subscription { articleChanged { nothing } }", "Cannot query field"),
        ("subscription { articleChanged(id: true) { id } }", "Int cannot represent"),
        ("subscription A { articleChanged { id } } subscription B { articleChanged { id } }", "operation"),
        ("subscription { articleChanged { id } datasetChanged { dataset } }", "only one"),
        ("subscription { articleChanged @skip(if: true) { id } }", ""),
        ("subscription { jobProgressed(id: 999999) { id } }", "no such job"),
        ("{", "Syntax Error"),
    ],
)
def test_what_cannot_be_run_is_an_error_of_its_operation(
    place: Place, names: dict[str, str], query: str, message: str
) -> None:
    with begun(place.gateway, place.reader, names) as socket:
        key = socket.subscribe(query)
        answer = socket.next(key)
        assert answer["type"] == "error"
        errors = answer["payload"] if names is TRANSPORT_WS else [answer["payload"]]
        assert message in errors[0]["message"]
        assert errors[0]["extensions"]["requestId"]
        assert socket.data(socket.subscribe("{ me { role } }")) == {"role": "READER"}


@pytest.mark.parametrize(
    "payload",
    [{"authorization": "Bearer {}"}, {"Authorization": "bearer {}"}, {"headers": {"Authorization": "Bearer {}"}}],
)
def test_a_token_comes_in_the_payload_however_it_is_written(place: Place, payload: dict[str, Any]) -> None:
    with opened(place.gateway) as socket:
        socket.begin(json.loads(json.dumps(payload).replace("{}", place.reader)))
        assert socket.data(socket.subscribe("{ me { role } }")) == {"role": "READER"}


def test_a_token_comes_with_the_upgrade(place: Place) -> None:
    headers = {"Authorization": f"Bearer {place.reader}"}
    with opened(place.gateway, additional_headers=headers) as socket:
        socket.begin()
        assert socket.data(socket.subscribe("{ me { role } }")) == {"role": "READER"}


@pytest.mark.parametrize("token", [None, "nonsense", ""])
def test_nobody_subscribes_without_a_good_token(place: Place, token: str | None) -> None:
    with opened(place.gateway) as socket:
        socket.begin(None if token is None else {"Authorization": f"Bearer {token}"})
        error = socket.next(socket.subscribe(ARTICLES))
        assert error["type"] == "error"
        assert error["payload"][0]["extensions"]["code"] in ("UNAUTHENTICATED", "INVALID")


INIT = {"type": "connection_init"}
SUBSCRIBE = {"type": "subscribe", "id": "1", "payload": {"query": ARTICLES}}
CLOSED_BY = [
    (4400, ["nonsense"]),
    (4400, ["[]"]),
    (4400, ["{}"]),
    (4400, ['{"type": 1}']),
    (4400, ['{"type": "ping", "type": "pong"}']),
    (4400, [b"\x00\x01"]),
    (4400, ["[" * 10_000]),
    (4400, [{"type": "start", "id": "1"}]),
    (4400, [{"type": "connection_init", "payload": 1}]),
    (4400, [{"type": "connection_init", "payload": {"Authorization": "Bearer x\r\nX-Forwarded-For: 1.1.1.1"}}]),
    (4400, [{"type": "connection_init", "payload": {"Authorization": 7}}]),
    (4400, [{"type": "ping", "payload": "x"}]),
    (4400, [INIT, {"type": "subscribe", "payload": {"query": ARTICLES}}]),
    (4400, [INIT, {"type": "subscribe", "id": "", "payload": {"query": ARTICLES}}]),
    (4400, [INIT, {"type": "subscribe", "id": "x" * 129, "payload": {"query": ARTICLES}}]),
    (4400, [INIT, {"type": "subscribe", "id": "1"}]),
    (4400, [INIT, {"type": "subscribe", "id": "1", "payload": {"query": 1}}]),
    (4400, [INIT, {"type": "complete"}]),
    (4401, [SUBSCRIBE]),
    (4429, [INIT, INIT]),
    (1009, [json.dumps({"type": "ping", "payload": {"x": "y" * 20_000}})]),
]


@pytest.mark.parametrize(("code", "frames"), CLOSED_BY)
def test_what_the_protocol_does_not_know_closes_the_socket(place: Place, code: int, frames: list[Any]) -> None:
    with opened(place.gateway) as socket:
        for frame in frames:
            socket.send(frame)
        assert socket.closed()[0] == code


def test_an_id_is_taken_once_at_a_time(place: Place) -> None:
    with begun(place.gateway, place.reader) as socket:
        key = socket.subscribe(ARTICLES)
        wait_until(lambda: subscribers(place.gateway) == 1)
        socket.send({"type": "complete", "id": key})
        socket.send({**SUBSCRIBE, "id": key})
        socket.send({**SUBSCRIBE, "id": key})
        assert socket.closed() == (4409, f"Subscriber for {key} already exists")


def test_a_ping_is_answered_with_its_payload(place: Place) -> None:
    with opened(place.gateway) as socket:
        socket.send({"type": "ping", "payload": {"n": 1}})
        assert socket.receive() == {"type": "pong", "payload": {"n": 1}}


@BOTH
def test_who_does_not_begin_in_time_is_closed(place: Place, names: dict[str, str]) -> None:
    with opened(place.gateway, names) as socket:
        assert socket.closed()[0] == 4408


@BOTH
def test_a_socket_without_operations_is_closed_after_a_while(place: Place, names: dict[str, str]) -> None:
    with begun(place.gateway, place.reader, names) as socket:
        assert socket.closed() == (1000, "Nothing was asked for")


def test_the_gateway_shows_that_it_is_there_and_leaves_who_does_not_answer(place: Place) -> None:
    with begun(place.gateway, place.reader) as socket:
        socket.subscribe(ARTICLES)
        with pytest.raises(ConnectionClosed) as closed:
            deque(iter(lambda: socket.connection.recv(PATIENCE_SECONDS), None), maxlen=0)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


def test_legacy_frames_that_cannot_be_read_go_by(place: Place) -> None:
    with opened(place.gateway, LEGACY) as socket:
        for frame in ("nonsense", b"\x00", {"type": "subscribe"}, {"type": "start", "id": "1"}):
            socket.send(frame)
            assert socket.receive()["type"] == "connection_error"
        socket.begin({"Authorization": f"Bearer {place.reader}"})
        key = socket.subscribe(ARTICLES)
        socket.send({"type": "stop", "id": key})
        assert socket.next(key) == {"type": "complete", "id": key}
        socket.send({"type": "connection_terminate"})
        assert socket.closed()[0] == 1000


def test_a_connection_has_so_many_operations_at_once(place: Place) -> None:
    with begun(place.gateway, place.reader) as socket:
        for _ in range(4):
            socket.subscribe(ARTICLES)
        error = socket.next(socket.subscribe(ARTICLES))
        assert error["payload"][0]["extensions"]["code"] == "OVERLOADED"
        wait_until(lambda: subscribers(place.gateway) == 4)


def test_a_gateway_has_so_many_connections_at_once(place: Place) -> None:
    with begun(place.gateway, place.reader) as socket, opened(place.gateway), opened(place.gateway):
        socket.subscribe(ARTICLES)
        with pytest.raises(InvalidStatus) as refused, opened(place.gateway):
            pass
        assert refused.value.response.status_code == 503
        headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {place.reader}"}
        status, text, _ = call("POST", f"{place.gateway.url}/graphql", {"query": ARTICLES}, headers)
        assert (status, json.loads(text)["errors"][0]["extensions"]["code"]) == (503, "OVERLOADED")


@pytest.mark.parametrize(
    ("origin", "is_ours"),
    [
        ("http://{}", True),
        ("https://shop.example.org", True),
        ("https://evil.example.org", False),
        ("http://{}.evil.example.org", False),
        ("null", False),
        ("", False),
    ],
)
def test_pages_of_other_origins_open_no_sockets(place: Place, origin: str, is_ours: bool) -> None:
    headers = {"Origin": origin.replace("{}", place.gateway.url.removeprefix("http://"))}
    if is_ours:
        with opened(place.gateway, additional_headers=headers) as socket:
            return socket.begin()
    with pytest.raises(InvalidStatus) as refused, opened(place.gateway, additional_headers=headers):
        pass
    assert refused.value.response.status_code == 403
    return None


def test_a_protocol_that_we_do_not_speak_is_told_so(place: Place) -> None:
    with opened(place.gateway, {**TRANSPORT_WS, "protocol": "soap"}) as socket:
        assert socket.closed()[0] == 4406


def test_a_socket_that_vanishes_leaves_nothing(place: Place) -> None:
    with begun(place.gateway, place.reader) as socket:
        socket.subscribe(ARTICLES)
        wait_until(lambda: subscribers(place.gateway) == 1)
        socket.connection.socket.shutdown(sockets.SHUT_RDWR)
        wait_until(lambda: subscribers(place.gateway) == 0)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_changes_come_as_server_sent_events(place: Place, method: str) -> None:
    with streamed(place.gateway, place.reader, ARTICLES, method) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        wait_until(lambda: subscribers(place.gateway) == 1)
        place.create("By event")
        name, body = stream.next()
        assert (name, body["data"]["articleChanged"]["article"]) == ("next", {"title": "By event"})


def test_a_query_and_its_end_come_as_server_sent_events(place: Place) -> None:
    with streamed(place.gateway, place.reader, "{ me { role } }") as stream:
        name, body = stream.next()
        assert (name, body["data"]) == ("next", {"me": {"role": "READER"}})
        assert body["extensions"]["cost"]["requested"] == 2
        assert stream.next() == ("complete", None)
        assert stream.response.read() == b""


@pytest.mark.parametrize(("method", "query"), [("POST", "{ nothing }"), ("GET", CREATE), ("POST", "{")])
def test_what_cannot_be_run_is_told_as_an_event(place: Place, method: str, query: str) -> None:
    with streamed(place.gateway, place.editor, query, method) as stream:
        name, body = stream.next()
        assert (name, list(body)) == ("next", ["errors"])
        assert stream.next() == ("complete", None)


@pytest.mark.parametrize(("status", "body"), [(400, b"nonsense"), (400, {}), (413, {"query": "x" * 20_000})])
def test_what_is_no_graphql_request_begins_no_stream(place: Place, status: int, body: Any) -> None:
    headers = {"Accept": "text/event-stream"}
    answer = call("POST", f"{place.gateway.url}/graphql", body, headers)
    assert answer[0] == status
    assert answer[2]["content-type"] == "application/json"


def test_a_subscription_is_not_answered_by_an_ordinary_response(place: Place) -> None:
    client = GraphQL(place.gateway.url, {"Authorization": f"Bearer {place.reader}"})
    status, text, _ = client.post({"query": ARTICLES})
    assert status == 400
    assert "text/event-stream" in text


def test_gateways_stop_while_they_are_subscribed_to(place: Place, tmp_path: Any) -> None:
    with gateway(place.core.url, tmp_path) as live, begun(live, place.reader) as socket:
        socket.subscribe(ARTICLES)
        wait_until(lambda: subscribers(live) == 1)
        started = time.monotonic()
        live.process.terminate()
        live.process.wait(10)
        assert time.monotonic() - started < 4
