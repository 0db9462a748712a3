"""Whatever answers in the core's place, a client learns nothing of it and waits for nothing beyond his deadline."""

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.acting import ARTICLE, FOUND, READ, WRITE, chunks, raw
from tests.gateway.conftest import GraphQL, Upstream, hanging_up, replying, upstream
from tests.live import Live, gateway

DEADLINE_SECONDS = 0.5
BOMB = gzip.compress(b" " * 50_000_000)
HTML = b"<html><h1>Internal Server Error</h1>Traceback (most recent call last): File /srv/core/app.py secret</html>"
OK = b"HTTP/1.1 200 OK\r\n"
UNAVAILABLE, TIMEOUT = "UPSTREAM_UNAVAILABLE", "UPSTREAM_TIMEOUT"
REPLIES: dict[str, tuple[Any, str]] = {
    "reset": (hanging_up, UNAVAILABLE),
    "HTML 500": (replying(500, HTML, Content_Type="text/html"), UNAVAILABLE),
    "HTML 502": (replying(502, HTML, Content_Type="text/html"), UNAVAILABLE),
    "HTML 403": (replying(403, HTML, Content_Type="text/html"), UNAVAILABLE),
    "HTML 200": (replying(200, HTML, Content_Type="text/html"), UNAVAILABLE),
    "redirect": (replying(302, b"", Location="http://127.0.0.1:1/secret"), UNAVAILABLE),
    "not modified, unasked": (raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"), UNAVAILABLE),
    "empty 401": (replying(401, b""), "UNAUTHENTICATED"),
    "HTML 401": (replying(401, HTML), "UNAUTHENTICATED"),
    "gzip bomb": (replying(200, BOMB, Content_Encoding="gzip"), UNAVAILABLE),
    "gzip bomb, chunked": (raw(OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"), UNAVAILABLE),
    "endless chunks": (chunks(b" " * 8_000), UNAVAILABLE),
    "endless small chunks": (chunks(b" "), TIMEOUT),
    "endless continuations": (raw(b"HTTP/1.1 100 Continue\r\n\r\n", again=True), TIMEOUT),
    "endless headers": (raw(OK + b"X-Secret: 1\r\n" * 1_000, again=True), UNAVAILABLE),
    "endless header line": (raw(OK + b"X-Secret: " + b"a" * 1_000_000), UNAVAILABLE),
    "huge length": (raw(OK + b"Content-Length: 99999999999999999999\r\n\r\n{}"), UNAVAILABLE),
    "negative length": (raw(OK + b"Content-Length: -5\r\n\r\n{"), UNAVAILABLE),
    "cut short": (raw(OK + b"Content-Length: 100\r\n\r\n" + json.dumps(ARTICLE).encode()), UNAVAILABLE),
    "bad chunk": (raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"), UNAVAILABLE),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.9 secret\r\n"), UNAVAILABLE),
    "bad status": (raw(b"HTTP/1.1 9999 Secret\r\n\r\n"), UNAVAILABLE),
    "bad JSON": (replying(200, b'{"id": 1,'), UNAVAILABLE),
    "deep JSON": (replying(200, b"[" * 100_000), UNAVAILABLE),
    "not UTF-8": (replying(200, b'{"title": "\xff"}'), UNAVAILABLE),
    "a list": (replying(200, b"[1]"), UNAVAILABLE),
    "nothing": (replying(200, b""), UNAVAILABLE),
    "problem without a code": (replying(404, {"detail": "secret"}), UNAVAILABLE),
}


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Upstream, GraphQL, Live]]:
    """An upstream that does as told, a client of a gateway before it, and that gateway."""
    settings = {
        "GATEWAY_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
        "GATEWAY_BREAKER_FAILURES": "1000",
        "GATEWAY_ANSWER_BYTES": "1000000",
    }
    with upstream() as told, gateway(told.url, tmp_path_factory.mktemp("gateway"), workers=1, **settings) as live:
        yield told, GraphQL(live.url, {"Authorization": "Bearer t"}), live


@pytest.mark.parametrize("query", [READ, WRITE], ids=["read", "change"])
@pytest.mark.parametrize("name", REPLIES)
def test_an_answer_tells_nothing_of_what_is_behind(
    acting: tuple[Upstream, GraphQL, Live], name: str, query: str
) -> None:
    told, client, live = acting
    reply, expected = REPLIES[name]
    told.will(reply)
    started = time.monotonic()
    status, text, headers = client.post({"query": query})
    assert time.monotonic() - started < DEADLINE_SECONDS + 1.5
    (error,) = json.loads(text)["errors"]
    assert (status, error["extensions"]["code"]) == (200, expected)
    port = told.url.rpartition(":")[2]
    for inner in (port, "127.0.0.1", "http", "Traceback", "ecret", "urllib3", "requests", "Errno", "/srv", "html"):
        assert inner not in text + str(headers), inner
    assert "Traceback" not in live.log.read_text()


@pytest.mark.parametrize("body", [{}, [], {"data": [1], "next": None}, {"data": None, "next": 7}, b"", b"<html>"])
def test_a_catalog_that_is_none_tells_nothing_either(acting: tuple[Upstream, GraphQL, Live], body: Any) -> None:
    told, client, live = acting
    told.will(replying(200, body))
    assert client.error("{ __schema { queryType { name } } }")["extensions"]["code"] == UNAVAILABLE
    assert "Traceback" not in live.log.read_text()


def test_the_gateway_is_whole_after_all_that(acting: tuple[Upstream, GraphQL, Live]) -> None:
    told, client, _ = acting
    told.will(replying(200, ARTICLE))
    assert client.run(READ)["data"] == FOUND


def test_a_change_whose_answer_was_lost_may_have_been_made_and_one_that_was_refused_was_not(
    acting: tuple[Upstream, GraphQL, Live],
) -> None:
    told, client, _ = acting
    for reply in (hanging_up, replying(500, HTML), replying(200, HTML)):
        told.will(reply)
        assert client.error(WRITE)["message"].endswith("a change may have been made")
    told.will(replying(401, b""))
    assert "may have been made" not in client.error(WRITE)["message"]
