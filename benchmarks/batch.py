"""How fast batches are taken: `POST /articles/batch` on SQLite, beside the driver's own upsert of the same rows."""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from benchmarks import governance
from benchmarks.http_client import HttpClient
from benchmarks.report import Finding, Report
from rest_api.database import create_engine_for, utc_now
from rest_api.models.article import Article
from tests import live

BATCH = 1_000
BATCHES = 200
# The last batches change rows that are there; the others bring new ones.
NEW = BATCHES // 2
TARGET_PER_SECOND = 5_000
TARGET_GROWTH_MIB = 32
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CONTENT = "The water is clear now, and the reeds have turned. " * 4


def run(folder: Path) -> Report:
    """Measure it over databases in `folder`."""
    baseline = _baseline(folder)
    with live.core(folder / "core", options=governance.OPTIONS, ACCESS_TOKEN_SECONDS="3600") as core:
        served, memory = asyncio.run(_served(core))
    return _report(served, baseline, memory)


async def _served(core: live.LiveCore) -> tuple[list[float], list[float]]:
    """Seconds of each batch, and the server's memory in MiB after each."""
    headers = {"Authorization": f"Bearer {core.add_user('editor')}", "Content-Type": "application/json"}
    seconds, memory = [], []
    for number in range(BATCHES):
        client = HttpClient(f"{core.url}/articles/batch", "POST", headers, orjson.dumps({"operations": _batch(number)}))
        started = time.perf_counter()
        answer = orjson.loads(await client.send())
        seconds.append(time.perf_counter() - started)
        client.close()
        expected = "created" if number < NEW else "updated"
        assert {each["outcome"] for each in answer["data"]} == {expected}, answer["errors"][:3]
        memory.append(_memory_mib(core.process.pid))
    return seconds, memory


def _baseline(folder: Path) -> list[float]:
    """Seconds of each batch, upserted by SQLAlchemy Core into the same table: no versions, events or audit."""
    engine = create_engine_for(f"sqlite:///{folder / 'baseline.db'}")
    Article.metadata.create_all(engine)
    seconds = []
    for number in range(BATCHES):
        rows = [_row(operation) for operation in _batch(number)]
        started = time.perf_counter()
        with engine.begin() as connection:
            _upsert(connection, rows)
        seconds.append(time.perf_counter() - started)
    engine.dispose()
    return seconds


def _upsert(connection: Connection, rows: list[dict[str, object]]) -> None:
    upsert = sqlite_insert(Article)
    changed = {name: upsert.excluded[name] for name in ("title", "content", "external_version", "updated_at")}
    connection.execute(upsert.on_conflict_do_update(index_elements=["origin", "external_id"], set_=changed), rows)


def _batch(number: int) -> list[dict[str, object]]:
    first = number % NEW * BATCH
    return [
        {
            "op": "upsert",
            "origin": "base_a",
            "external_id": str(key),
            "external_version": number + 1,
            "title": f"Article {key} as of {number}",
            "content": CONTENT,
        }
        for key in range(first, first + BATCH)
    ]


def _row(operation: dict[str, object]) -> dict[str, object]:
    now = utc_now()
    given = {name: value for name, value in operation.items() if name != "op"}
    return {**given, "version": 1, "created_at": now, "updated_at": now}


def _memory_mib(pid: int) -> float:
    """Resident memory of a server: its first process and the ones it started."""
    pages = [int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in (pid, *_children(pid))]
    return sum(pages) * PAGE_BYTES / 2**20


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield from (child, *_children(child))


def _report(served: list[float], baseline: list[float], memory: list[float]) -> Report:
    rate = BATCH * BATCHES / sum(served)
    growth = statistics.median(memory[-10:]) - statistics.median(memory[BATCHES // 10 : BATCHES // 10 + 10])
    ratio = sum(served) / sum(baseline)
    return Report(
        f"Batches: {BATCH * BATCHES:,} upserts by `POST /articles/batch` on SQLite, {BATCH:,} a call",
        ("way", "created a second", "updated a second", "slowest of 20 calls, ms", "seconds in all"),
        [_rates("POST /articles/batch", served), _rates("SQLAlchemy Core, no versions, events, audit", baseline)],
        [
            Finding("upserts a second", f"{rate:,.0f}", f"at least {TARGET_PER_SECOND:,}", rate >= TARGET_PER_SECOND),
            Finding("memory from a tenth to the end", f"{growth:+.1f} MiB", "flat", growth <= TARGET_GROWTH_MIB),
            Finding("time beside the baseline", f"{ratio:.1f} times", "none", is_met=True),
        ],
    )


def _rates(name: str, seconds: list[float]) -> tuple[str, ...]:
    created, updated = (BATCH / statistics.median(part) for part in (seconds[:NEW], seconds[NEW:]))
    slow = statistics.quantiles(seconds, n=20, method="inclusive")[-1] * 1_000
    return name, f"{created:,.0f}", f"{updated:,.0f}", f"{slow:.0f}", f"{sum(seconds):.1f}"
