"""What governance costs: `GET /articles/{id}` with and without identity, rights and a synced audit, on one server."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import bare_core
from benchmarks.disk import synced_insert
from benchmarks.http_client import HttpClient
from benchmarks.open_loop import Call, Latency, interleaved
from benchmarks.report import LATENCY_COLUMNS, Report, added, latency_row
from tests import live

PER_SECOND = 100
SECONDS = 30
TARGET_MS = 0.8
# As `start.sh` serves it, but one process: which of two answers would be one more difference.
OPTIONS = ("--no-ws", "--log-level", "error", "--blocking-threads", "64", "--backpressure", "64")


def run(folder: Path) -> Report:
    """Measure it over a database in `folder`."""
    with _clients(folder) as (governed, bare), synced_insert(folder) as floor:
        latencies = asyncio.run(_measure(governed, bare, floor.call))
    return _report(latencies)


@contextmanager
def _clients(folder: Path) -> Iterator[tuple[HttpClient, HttpClient]]:
    with (
        live.core(folder, options=OPTIONS, ACCESS_TOKEN_SECONDS="3600") as core,
        live.core(folder, app=bare_core.APP, ready_path="/health/live", options=OPTIONS) as bare,
    ):
        path = make_article(core)
        headers = {"Authorization": f"Bearer {core.add_user('reader')}"}
        yield HttpClient(core.url + path, "GET", headers), HttpClient(bare.url + path, "GET", headers)


def make_article(core: live.LiveCore) -> str:
    """The path of a new article of some length."""
    editor = core.add_user("editor")
    status, article = core.call("POST", "/articles", {"title": "Measured", "content": "A quiet lake. " * 40}, editor)
    assert status == 201, article
    return f"/articles/{article['id']}"


async def _measure(governed: HttpClient, bare: HttpClient, floor: Call) -> dict[str, list[Latency]]:
    assert await governed.send() == await bare.send(), "the two answers differ"
    calls = {"governed": governed.call, "bare": bare.call, "a synced insert alone": floor}
    return await interleaved(calls, PER_SECOND, SECONDS)


def _report(latencies: dict[str, list[Latency]]) -> Report:
    return Report(
        f"Governance: `GET /articles/{{id}}` at {PER_SECOND} calls a second",
        LATENCY_COLUMNS,
        [latency_row(name, slices) for name, slices in latencies.items()],
        [added(latencies["governed"], latencies["bare"], "p50", TARGET_MS)],
    )
