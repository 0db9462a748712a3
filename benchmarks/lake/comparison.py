"""How fast the governed lake answers, beside servers that publish the same rows without governing them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import orjson

from benchmarks.lake import accesses, answers, findings, history, ours, peers, rows
from benchmarks.lake.measuring import Cell, Measured, answer, measure
from benchmarks.lake.memory import Memory
from benchmarks.lake.questions import FIRST_PAGE, Places, Question, questions
from benchmarks.lake.servers import Core, Server
from benchmarks.report import Report
from tests import live

ROWS = 10_000_000


def run(folder: Path, row_count: int = ROWS) -> Report:
    """Measure it over so many rows, made in `folder`."""
    parquet = folder / "core" / "lake" / rows.TABLE / "part-0.parquet"
    rows.write_parquet(parquet, row_count)
    history.write(parquet.parents[1] / history.TABLE, parquet)
    with ours.core(folder / "core") as core:
        compared, memory = _beside_peers(core, parquet, folder)
        versions = asyncio.run(_versions(ours.reader(core, history.TABLE), row_count))
    measured = [*compared, *versions, *_accesses(folder)]
    return Report(
        f"Lake: {row_count:,} rows of 11 columns, governed, beside servers that govern nothing",
        findings.COLUMNS,
        [findings.row(each) for each in measured],
        findings.findings(measured, memory),
    )


def _beside_peers(core: live.LiveCore, parquet: Path, folder: Path) -> tuple[list[Measured], dict[str, Memory]]:
    caller = ours.reader(core, rows.TABLE, filter=ours.GRANT_FILTER)
    with rows.open_parquet(parquet) as data, _peers(parquet, folder) as others:
        places = Places.of(data)
        asked = questions(places, ours.cursor_at(core, caller, places))
        servers = [caller, *others]
        measured = asyncio.run(_compared(asked, servers, data))
        return measured, {server.name: Memory.of(server.pid) for server in servers}


@contextmanager
def _peers(parquet: Path, folder: Path) -> Iterator[list[Server]]:
    programs, database = peers.install(), folder / "lake.db"
    rows.write_sqlite(parquet, database)
    with ExitStack() as running:
        names = (peers.ON_FILE, peers.IN_MEMORY)
        roapis = [running.enter_context(peers.roapi(programs, parquet, folder, name)) for name in names]
        yield [*roapis, running.enter_context(peers.datasette(programs, database, folder))]


async def _compared(
    asked: Sequence[Question], servers: Sequence[Server], data: duckdb.DuckDBPyConnection
) -> list[Measured]:
    measured = []
    for question in asked:
        cells = [Cell(question, server) for server in servers if server.client(question)]
        given = {cell.server.name: await answer(cell) for cell in cells}
        answers.check(question, given, data)
        measured += await measure(cells)
    return measured


async def _versions(reader: Core, row_count: int) -> list[Measured]:
    counted = orjson.loads(await Cell(history.COUNTED, reader).client.send())["count"]
    assert counted == row_count + history.VERSIONS * history.APPENDED, f"the table is counted as {counted} rows"
    pages = [Cell(question, reader) for question in (history.NEWEST, history.OLDER)]
    counts = [Cell(question, reader) for question in (history.UNCOUNTED, history.COUNTED)]
    return [*await measure(pages), *await measure(counts)]


def _accesses(folder: Path) -> list[Measured]:
    with ExitStack() as running:
        cells = [running.enter_context(_accessed(folder, count)) for count in (accesses.FEW, accesses.MANY)]
        return asyncio.run(measure(cells))


@contextmanager
def _accessed(folder: Path, entries: int) -> Iterator[Cell]:
    data_dir = folder / f"audited-{entries}"
    rows.write_parquet(data_dir / "lake" / rows.TABLE / "part-0.parquet", 1_000)
    with ours.core(data_dir) as core:
        caller = ours.administrator(core, accesses.server(entries))
        asyncio.run(answer(Cell(Question(FIRST_PAGE, "", "/data/datasets/transactions/rows"), caller)))
        accesses.fill(core, entries)
        yield Cell(accesses.PAGE, caller)
