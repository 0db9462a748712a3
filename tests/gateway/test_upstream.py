"""The way to the core, when it is down, slow, strange or behind proxies."""

import json
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import GraphQL, Upstream, hanging_up, replying, upstream
from tests.live import Live, LiveCore, call, gateway
from tests.servers import free_port

READ = "{ getArticle(id: 1) { success errors code article { id } } }"
WRITE = 'mutation { createArticle(title: "a", content: "") { success article { id } } }'
ARTICLE = {"id": 1, "title": "a", "content": "", "author_id": 1, "version": 1}


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Upstream, GraphQL]]:
    """An upstream that does as told, and a client of a gateway before it."""
    with (
        upstream() as told,
        gateway(told.url, tmp_path_factory.mktemp("gateway"), GATEWAY_DEADLINE_SECONDS="0.5") as live,
    ):
        yield told, GraphQL(live.url, {"Authorization": "Bearer t"})


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphQL]:
    """A client of a gateway whose core accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", free_port()))
        listening.listen(64)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        folder = tmp_path_factory.mktemp("gateway")
        one_at_once = {"GATEWAY_CONNECTIONS": "1", "GATEWAY_WAITING_CALLS": "1"}
        with gateway(url, folder, workers=1, GATEWAY_DEADLINE_SECONDS="0.3", **one_at_once) as live:
            yield GraphQL(live.url)


def test_a_core_that_is_down_is_told_at_once_and_the_gateway_stays_live(tmp_path: Path) -> None:
    port = free_port()
    with gateway(f"http://127.0.0.1:{port}", tmp_path) as live:
        client = GraphQL(live.url)
        client.run("{ __typename }")
        for document in (READ, WRITE):
            started = time.monotonic()
            answer = client.run(document)
            assert time.monotonic() - started < 1
            assert answer["data"] is None
            assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
            assert answer["errors"][0]["message"] == "The core cannot be reached"
        assert live.get("/health/live")[0] == live.get("/health")[0] == 200
        status, text = live.get("/health/ready")
        assert (status, str(port) in text) == (503, False)
        assert client.samples("graphql_upstream_errors_total") == {
            'code="UPSTREAM_UNAVAILABLE",method="GET",route="/articles/{article_id}"': 1,
            'code="UPSTREAM_UNAVAILABLE",method="POST",route="/articles"': 1,
            'code="UPSTREAM_UNAVAILABLE",method="GET",route="/health/ready"': 1,
        }
        assert_nothing_leaks(answer, live, port)


def assert_nothing_leaks(answer: Any, live: Live, port: int) -> None:
    """Neither an answer nor a log line tells of the machine behind, and no traceback was worth one."""
    for inner in (str(port), "127.0.0.1", "Traceback", "requests", "urllib3", "Errno"):
        assert inner not in str(answer)
    assert "Traceback" not in live.log.read_text()


def test_the_gateway_finds_a_core_that_comes_and_goes(tmp_path: Path) -> None:
    port = free_port()
    with gateway(f"http://127.0.0.1:{port}", tmp_path) as live:
        client = GraphQL(live.url)
        for _ in range(2):
            assert client.error(READ)["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
            assert live.get("/health/ready")[0] == 503
            with upstream(port) as told:
                told.will(replying(200, ARTICLE))
                assert client.result(READ)["article"] == {"id": 1}
                assert live.get("/health/ready")[0] == 200
                told.will(hanging_up)
                assert client.error(READ)["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"


def test_a_slow_core_ends_at_the_deadline(silent: GraphQL) -> None:
    started = time.monotonic()
    answer = silent.run(f"{{ a: {READ.strip('{} ')} }} }} b: {READ.strip('{} ')} }} }} }}")
    assert 0.25 < time.monotonic() - started < 2
    codes = {error["extensions"]["code"] for error in answer["errors"]}
    assert codes == {"UPSTREAM_TIMEOUT"}
    assert silent.error(WRITE)["message"] == "The core did not answer in time; a change may have been made"
    assert call("GET", f"{silent.url}/health/live")[0] == 200


def test_more_calls_than_may_wait_are_refused_at_once(silent: GraphQL) -> None:
    fields = " ".join(f"a{n}: getArticle(id: {n}) {{ success }}" for n in range(5))
    answer = silent.run(f"{{ {fields} }}")
    assert "OVERLOADED" in {error["extensions"]["code"] for error in answer["errors"]}


def test_an_answer_that_drips_ends_at_the_deadline(acting: tuple[Upstream, GraphQL]) -> None:
    told, client = acting

    def drip(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.close_connection = True
        for _ in range(20):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return
            time.sleep(0.1)

    told.will(drip)
    started = time.monotonic()
    assert client.error(READ)["extensions"]["code"] == "UPSTREAM_TIMEOUT"
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b"<html>", {}),
        (200, b"[]", {}),
        (200, b"", {}),
        (404, b"Not Found", {}),
        (404, {"message": "no problem document"}, {}),
        (500, b"Traceback (most recent call last): secret", {}),
        (302, b"", {"Location": "http://127.0.0.1:1/elsewhere"}),
        (200, b"\xff", {}),
    ],
)
def test_an_answer_that_is_not_the_cores_is_a_failure_without_details(
    acting: tuple[Upstream, GraphQL], status: int, body: Any, headers: dict[str, str]
) -> None:
    told, client = acting
    told.will(replying(status, body, **headers))
    answer = client.run(READ)
    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
    assert "secret" not in str(answer)
    assert all(path == "/articles/1" for _, path, _ in told.received)


def test_an_answer_without_a_promised_field_tells_nothing_of_the_inside(acting: tuple[Upstream, GraphQL]) -> None:
    told, client = acting
    told.will(replying(200, {"id": 1}))
    answer = client.run("{ getArticle(id: 1) { article { title } } }")
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], error["message"]) == ("INTERNAL", "An internal error occurred")


@pytest.mark.parametrize(
    ("status", "code", "where"),
    [
        (400, "invalid", "answer"),
        (403, "forbidden", "answer"),
        (404, "not_found", "answer"),
        (409, "conflict", "answer"),
        (412, "precondition_failed", "answer"),
        (401, "unauthenticated", "top"),
        (429, "rate_limited", "top"),
        (503, "overloaded", "top"),
        (503, "unavailable", "top"),
        (504, "timeout", "top"),
        (500, "internal", "top"),
    ],
)
def test_a_problem_keeps_its_code_in_capitals(
    acting: tuple[Upstream, GraphQL], status: int, code: str, where: str
) -> None:
    told, client = acting
    told.will(replying(status, {"code": code, "detail": "Why not", "status": status}, Retry_After="7"))
    answer = client.run(READ)
    if where == "answer":
        refused = answer["data"]["getArticle"]
        assert refused == {"success": False, "errors": ["Why not"], "code": code.upper(), "article": None}
        assert "errors" not in answer
        return
    (error,) = answer["errors"]
    assert answer["data"] is None
    assert (error["message"], error["extensions"]["code"]) == ("Why not", code.upper())
    assert error["extensions"]["retryAfterSeconds"] == 7


def test_a_read_is_tried_again_when_the_connection_breaks(acting: tuple[Upstream, GraphQL]) -> None:
    told, client = acting
    told.will(hanging_up, replying(200, ARTICLE))
    assert client.result(READ)["article"] == {"id": 1}
    assert len(told.received) == 2


def test_a_change_is_never_sent_twice_and_its_loss_is_told(acting: tuple[Upstream, GraphQL]) -> None:
    told, client = acting
    told.will(replying(201, ARTICLE), hanging_up, replying(201, ARTICLE))
    assert client.result(WRITE)["success"]
    error = client.error(WRITE)
    assert error["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
    assert error["message"].endswith("a change may have been made")
    assert len(told.received) == 2


def test_nothing_of_one_caller_reaches_the_call_of_another(acting: tuple[Upstream, GraphQL]) -> None:
    told, client = acting
    told.will(replying(200, ARTICLE, Set_Cookie="session=secret; Path=/", ETag='"1"'))
    client.result(READ)
    GraphQL(client.url, {"Cookie": "a=b", "X-Custom": "c"}).result(READ)
    _, _, first = told.received[0]
    _, _, second = told.received[1]
    assert first["authorization"] == "Bearer t"
    assert "authorization" not in second
    assert not {"cookie", "x-custom"} & set(second)


def test_the_request_id_goes_on_to_the_core_and_back(acting: tuple[Upstream, GraphQL]) -> None:
    told, client = acting
    told.will(replying(200, ARTICLE))
    _, _, headers = client.post({"query": READ}, **{"X-Request-ID": "trace-1"})
    assert headers["x-request-id"] == told.received[0][2]["x-request-id"] == "trace-1"


def test_a_forwarded_address_counts_from_a_trusted_proxy_only(acting: tuple[Upstream, GraphQL], tmp_path: Path) -> None:
    told, client = acting
    told.will(replying(200, ARTICLE))
    claimed = {"X-Forwarded-For": "203.0.113.9, unknown, 203.0.113.1, [2001:db8::1]:443, 198.51.100.2:8080"}
    client.post({"query": READ}, **claimed)
    assert told.received[0][2]["x-forwarded-for"] == "127.0.0.1"
    with gateway(told.url, tmp_path, TRUSTED_PROXIES="127.0.0.0/8") as live:
        GraphQL(live.url).post({"query": READ}, **claimed)
        _, _, headers = call("GET", f"{live.url}/health", headers={"X-Forwarded-Proto": "https"})
        assert "strict-transport-security" in headers
    expected = "203.0.113.1, 2001:db8::1, 198.51.100.2, 127.0.0.1"
    assert told.received[1][2]["x-forwarded-for"] == expected


def test_the_core_counts_failed_logins_of_each_client_address(live_core: LiveCore, tmp_path: Path) -> None:
    guess = 'mutation { login(username: "nobody_here", password: "x") { code } }'
    with gateway(live_core.url, tmp_path, TRUSTED_PROXIES="127.0.0.1") as live:
        attacker = GraphQL(live.url, {"X-Forwarded-For": "203.0.113.66"})
        codes = [attacker.run(guess) for _ in range(11)]
        assert codes[0]["data"]["login"]["code"] == "UNAUTHENTICATED"
        assert codes[-1]["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        other = GraphQL(live.url, {"X-Forwarded-For": "203.0.113.67"})
        assert other.result(guess)["code"] == "UNAUTHENTICATED"


def test_changes_repeated_under_their_requests_key_are_made_once(editor: GraphQL) -> None:
    one = 'createArticle(title: "once", content: "") { success article { id } }'
    document = {"query": f"mutation {{ a: {one} b: {one} }}"}

    def ids(key: str) -> list[int]:
        _, text, _ = editor.post(document, **{"Idempotency-Key": key})
        return [made["article"]["id"] for made in json.loads(text)["data"].values()]

    key = secrets.token_hex(8)
    made = ids(key)
    assert len(set(made)) == 2
    assert ids(key) == made
    assert not set(ids(secrets.token_hex(8))) & set(made)
    other = {"query": document["query"].replace("once", "twice")}
    _, text, _ = editor.post(other, **{"Idempotency-Key": key})
    assert {error["extensions"]["code"] for error in json.loads(text)["errors"]} == {"IDEMPOTENCY_KEY_REUSED"}
