"""Traces: the header that is passed on, and the spans that a collector gets."""

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from graphql_gateway.tracing import Traceparent
from tests.gateway.acting import ARTICLE, FOUND, READ
from tests.gateway.conftest import GraphQL, Upstream, replying, upstream
from tests.live import gateway
from tests.servers import free_port

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{SPAN}-01"
SECRET = "s3cr3t-title"
QUERY = f'query Named {{ getArticles(where: {{title: {{eq: "{SECRET}"}}}}) {{ articles {{ id }} }} }}'
PAGE = {"data": [{"id": 1}], "next": None}


@dataclass
class Collector:
    """Takes spans as an OpenTelemetry collector does."""

    url: str
    spans: list[Any] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)

    def named(self, name: str) -> Any:
        """The one span of this name, as soon as it has come."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = [span for span in self.spans if span.name == name]
            if found:
                (span,) = found
                return span
            self.came.wait(0.1)
            self.came.clear()
        raise AssertionError([span.name for span in self.spans])


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    found.spans.extend(scope.spans)
            found.came.set()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
    server.daemon_threads = True
    found = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Upstream, GraphQL, Collector]]:
    """An upstream, a client of a gateway before it, and the collector that gets its spans."""
    folder = tmp_path_factory.mktemp("gateway")
    with (
        upstream() as told,
        collecting() as collector,
        gateway(told.url, folder, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as live,
    ):
        yield told, GraphQL(live.url, {"Authorization": f"Bearer {secrets.token_hex(8)}"}), collector


@pytest.fixture(scope="module")
def untraced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Upstream, GraphQL]]:
    """An upstream, and a client of a gateway that has no collector."""
    with upstream() as told, gateway(told.url, tmp_path_factory.mktemp("gateway")) as live:
        yield told, GraphQL(live.url, {"Authorization": "Bearer t"})


def test_a_request_is_a_span_and_each_call_of_the_core_one_below_it(
    traced: tuple[Upstream, GraphQL, Collector],
) -> None:
    told, client, collector = traced
    told.will(replying(200, PAGE))
    client.post({"query": QUERY}, traceparent=GIVEN)
    call, request = collector.named("GET /articles"), collector.named("graphql Named")
    assert request.trace_id.hex() == call.trace_id.hex() == TRACE
    assert (request.parent_span_id.hex(), call.parent_span_id) == (SPAN, request.span_id)
    shown = {each.key: each.value.string_value or each.value.int_value for each in call.attributes}
    assert shown == {"http.request.method": "GET", "http.route": "/articles", "http.response.status_code": 200}
    assert {each.key: each.value.string_value for each in request.attributes} == {"graphql.operation.name": "Named"}
    assert told.received[0][2]["traceparent"] == f"00-{TRACE}-{call.span_id.hex()}-01"


def test_no_span_holds_a_token_a_value_or_a_host(traced: tuple[Upstream, GraphQL, Collector]) -> None:
    told, client, collector = traced
    told.will(replying(404, {"code": "not_found", "detail": SECRET}))
    client.post({"query": READ.replace("{", "query Hidden {", 1)})
    collector.named("graphql Hidden")
    text = str(collector.spans)
    token = client.headers["Authorization"].removeprefix("Bearer ")
    for inner in (token, SECRET, "127.0.0.1", told.url, "articles/1", "articles?"):
        assert inner not in text


def test_what_the_callers_trace_does_not_sample_is_not_recorded(traced: tuple[Upstream, GraphQL, Collector]) -> None:
    told, client, collector = traced
    told.will(replying(200, ARTICLE))
    client.post({"query": READ.replace("{", "query Unsampled {", 1)}, traceparent=GIVEN[:-1] + "0")
    client.post({"query": READ.replace("{", "query Sampled {", 1)})
    collector.named("graphql Sampled")
    assert "graphql Unsampled" not in {span.name for span in collector.spans}
    assert told.received[0][2]["traceparent"].startswith(f"00-{TRACE}-")
    assert told.received[0][2]["traceparent"].endswith("-00")


@pytest.mark.parametrize("silent", [True, False], ids=["hangs", "is away"])
def test_nobody_waits_for_a_collector_that(untraced: tuple[Upstream, GraphQL], tmp_path: Path, silent: bool) -> None:
    told, _ = untraced
    told.will(replying(200, ARTICLE))
    with listening(silent) as url, gateway(told.url, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url) as live:
        client = GraphQL(live.url)
        client.run(READ)
        started = time.monotonic()
        for _ in range(20):
            assert client.run(READ)["data"] == FOUND
        assert time.monotonic() - started < 2
        stopping = time.monotonic()
        live.process.terminate()
        live.process.wait(10)
        assert time.monotonic() - stopping < 5


@contextmanager
def listening(silent: bool) -> Iterator[str]:
    """Where connections are taken and nothing is answered; or where nobody listens."""
    port = free_port()
    if not silent:
        yield f"http://127.0.0.1:{port}"
        return
    with socket.create_server(("127.0.0.1", port)):
        yield f"http://127.0.0.1:{port}"


def test_without_a_collector_the_trace_passes_through(untraced: tuple[Upstream, GraphQL]) -> None:
    told, client = untraced
    told.will(replying(200, ARTICLE))
    client.post({"query": READ}, traceparent=GIVEN)
    client.post({"query": READ})
    client.post({"query": READ}, traceparent="00-secret")
    passed, begun, replaced = (headers["traceparent"] for _, _, headers in told.received)
    assert passed == GIVEN
    assert Traceparent.read([begun])
    assert Traceparent.read([replaced])
    assert begun != replaced


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (GIVEN, GIVEN),
        (GIVEN[:-2] + "ff", GIVEN[:-2] + "03"),
        (f"01-{TRACE}-{SPAN}-01-what-comes-later", GIVEN),
        (f"cc-{TRACE}-{SPAN}-00", GIVEN[:-2] + "00"),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"01-{TRACE}-{SPAN}-01more", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (GIVEN.upper(), None),
        (GIVEN + "\n", None),
        (f" {GIVEN}", None),
        (f"00-{TRACE[:-1]}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-0", None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_by_its_grammar(given: str, expected: str | None) -> None:
    found = Traceparent.read([given])
    assert (None if found is None else str(found)) == expected


def test_two_traceparents_are_none() -> None:
    assert Traceparent.read([GIVEN, GIVEN]) is None
