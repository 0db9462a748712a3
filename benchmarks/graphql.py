"""What the GraphQL layer costs: `getArticle` through the gateway against the REST call that it makes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from benchmarks import governance
from benchmarks.http_client import HttpClient
from benchmarks.open_loop import Latency, interleaved
from benchmarks.report import LATENCY_COLUMNS, Report, added, latency_row
from tests import live

PER_SECOND = 100
SECONDS = 30
TARGET_P50_MS, TARGET_P99_MS = 3, 10
FIELDS = "id title content authorId origin externalId externalVersion version createdAt updatedAt"
QUERY = f"query Read($id: Int!) {{ getArticle(id: $id) {{ success errors code article {{ {FIELDS} }} }} }}"


def run(folder: Path) -> Report:
    """Measure it over a database in `folder`."""
    with _clients(folder) as (gateway, core):
        latencies = asyncio.run(_measure(gateway, core))
    return Report(
        f"GraphQL: `getArticle` beside `GET /articles/{{id}}` at {PER_SECOND} calls a second",
        LATENCY_COLUMNS,
        [latency_row(name, slices) for name, slices in latencies.items()],
        [
            added(latencies["GraphQL"], latencies["REST"], "p50", TARGET_P50_MS),
            added(latencies["GraphQL"], latencies["REST"], "p99", TARGET_P99_MS),
        ],
    )


@contextmanager
def _clients(folder: Path) -> Iterator[tuple[HttpClient, HttpClient]]:
    with (
        live.core(folder, options=governance.OPTIONS, ACCESS_TOKEN_SECONDS="3600") as core,
        live.gateway(core.url, folder / "gateway") as gateway,
    ):
        path = governance.make_article(core)
        bearer = {"Authorization": f"Bearer {core.add_user('reader')}"}
        body = orjson.dumps({"query": QUERY, "variables": {"id": int(path.rsplit("/", 1)[1])}})
        as_json = {**bearer, "Content-Type": "application/json"}
        yield HttpClient(f"{gateway.url}/graphql", "POST", as_json, body), HttpClient(core.url + path, "GET", bearer)


async def _measure(gateway: HttpClient, core: HttpClient) -> dict[str, list[Latency]]:
    answer, article = orjson.loads(await gateway.send()), orjson.loads(await core.send())
    told = answer["data"]["getArticle"]["article"]
    assert list(told.values()) == list(article.values()), "the two answers differ"
    return await interleaved({"GraphQL": gateway.call, "REST": core.call}, PER_SECOND, SECONDS)
