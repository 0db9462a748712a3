"""What governance costs: `GET /articles/{id}` with and without JWT check, rights and a synced audit, on one server."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks import bare_core, ungoverned_core
from benchmarks.disk import synced_insert
from benchmarks.http_client import HttpClient
from benchmarks.open_loop import Call, Latency, interleaved
from benchmarks.report import LATENCY_COLUMNS, Finding, Report, added, latency_row
from tests import live

PER_SECOND = 100
SECONDS = 30
TARGET_MS = 0.8
# As `start.sh` serves it, but one process: which of two answers would be one more difference.
OPTIONS = ("--no-ws", "--log-level", "error", "--blocking-threads", "64", "--backpressure", "64")


def run(folder: Path) -> Report:
    """Measure it over a database in `folder`."""
    with _clients(folder) as clients, synced_insert(folder) as floor:
        latencies = asyncio.run(_measure(clients, floor.call))
    return _report(latencies)


@contextmanager
def _clients(folder: Path) -> Iterator[dict[str, HttpClient]]:
    with (
        live.core(folder, options=OPTIONS, ACCESS_TOKEN_SECONDS="3600") as core,
        live.core(folder, app=ungoverned_core.APP, options=OPTIONS) as ungoverned,
        live.core(folder, app=bare_core.APP, ready_path="/health/live", options=OPTIONS) as bare,
    ):
        path = make_article(core)
        headers = {"Authorization": f"Bearer {core.add_user('reader')}"}
        servers = {"governed": core, "ungoverned": ungoverned, "bare": bare}
        yield {name: HttpClient(server.url + path, "GET", headers) for name, server in servers.items()}


def make_article(core: live.LiveCore) -> str:
    """The path of a new article of some length."""
    editor = core.add_user("editor")
    status, article = core.call("POST", "/articles", {"title": "Measured", "content": "A quiet lake. " * 40}, editor)
    assert status == 201, article
    return f"/articles/{article['id']}"


async def _measure(clients: dict[str, HttpClient], floor: Call) -> dict[str, list[Latency]]:
    answers = [await client.send() for client in clients.values()]
    assert all(answer == answers[0] for answer in answers), "the answers differ"
    calls = {name: client.call for name, client in clients.items()}
    return await interleaved({**calls, "a synced insert alone": floor}, PER_SECOND, SECONDS)


def _report(latencies: dict[str, list[Latency]]) -> Report:
    return Report(
        f"Governance: `GET /articles/{{id}}` at {PER_SECOND} calls a second",
        LATENCY_COLUMNS,
        [latency_row(name, slices) for name, slices in latencies.items()],
        [_added(latencies, "ungoverned", TARGET_MS), replace(_added(latencies, "bare", math.inf), target="none")],
    )


def _added(latencies: dict[str, list[Latency]], without: str, target_ms: float) -> Finding:
    found = added(latencies["governed"], latencies[without], "p50", target_ms)
    return replace(found, what=f"governed beside {without}: {found.what}")
