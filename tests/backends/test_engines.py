"""The contract of the Engine port: every engine shows just what the model of a view shows."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from rest_api.backends.delta import DeltaTables
from rest_api.backends.engine import Engine
from rest_api.backends.engine.duckdb import DuckDbEngine
from rest_api.backends.engine.masks import MaskKey
from rest_api.backends.engine.sql import SqlEngine, snapshot_of
from rest_api.backends.folders import DataFolders
from rest_api.backends.footers import Footers
from rest_api.backends.parsed import ParsedTexts
from rest_api.backends.parsing import Parser
from rest_api.backends.storage.local import LocalStorage
from rest_api.database import create_engine_for
from rest_api.lake.grants import Grant
from rest_api.lake.plans import Plan
from rest_api.lake.snapshots import Snapshot
from rest_api.lake.views import View, view_of
from rest_api.query.conditions import And, Column, ColumnType, Comparison, Condition, Not, Or, Order, Query
from rest_api.query.cursors import Binding, CursorSealer
from rest_api.query.rules import completed
from tests.backends import view_model
from tests.query import model
from tests.query.shapes import READINGS, VALUES, Reading, Tables, stored_rows, texts

SEALER = CursorSealer(b"a key of this installation")
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("grade", pa.int32()),
        ("amount", pa.float64()),
        ("name", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("is_good", pa.bool_()),
    ]
)
FILTERS = (
    None,
    "grade=gte.0",
    "is_good=is.true",
    "or=(amount.lt.0,name.like.a*)",
    "at=gte.2026-11-02&grade=not.eq.1",
    "name=is.null",
)
MASKS = {"grade": ("null", "hash"), "name": ("null", "hash", "last4"), "at": ("null", "year", "hash", "last4")}
examples = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Harness(ABC):
    """An engine, and a way to have it hold some rows."""

    engine: Engine

    @abstractmethod
    def store(self, rows: list[dict[str, Any]], parts: int) -> Snapshot:
        """The rows in so many parts, as a dataset."""

    def close(self) -> None:
        self.engine.close()


class InFiles(Harness):
    """Rows in the files of a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = itertools.count()
        footers = Footers()
        self._folders = DataFolders(LocalStorage(root), footers, ParsedTexts(root / "parsed", Parser()))
        self.engine = DuckDbEngine([root], MaskKey.of(view_model.KEY), footers, 30)

    def store(self, rows: list[dict[str, Any]], parts: int) -> Snapshot:
        name = f"readings{next(self._numbers)}"
        folder = self._root / name
        folder.mkdir()
        for number, part in enumerate(_parts(rows, parts)):
            pq.write_table(pa.Table.from_pylist(part, SCHEMA), folder / f"{number}.parquet", row_group_size=2)
        found = self._folders.snapshot(name, f"/{name}")
        assert found is not None
        return found


class InTables(Harness):
    """Rows in the commits of a Delta table."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = itertools.count()
        self._tables = DeltaTables()
        self.engine = DuckDbEngine([root], MaskKey.of(view_model.KEY), Footers(), 30)

    def store(self, rows: list[dict[str, Any]], parts: int) -> Snapshot:
        name = f"readings{next(self._numbers)}"
        for part in _parts(rows, parts):
            write_deltalake(self._root / name, pa.Table.from_pylist(part, SCHEMA), mode="append")
        found = self._tables.snapshot(name, str(self._root / name))
        assert found is not None
        return found


class InDatabase(Harness):
    """Rows in a table of a database."""

    def __init__(self, url: str) -> None:
        self._database = create_engine_for(url)
        table = Tables.metadata.tables["readings"]
        self.engine = SqlEngine(self._database, {"readings": table}, view_model.KEY)
        Tables.metadata.create_all(self._database)
        self._snapshot = snapshot_of(table)

    def store(self, rows: list[dict[str, Any]], parts: int) -> Snapshot:
        with self._database.begin() as connection:
            connection.execute(delete(Reading))
            if rows:
                connection.execute(insert(Reading), rows)
        return self._snapshot

    def close(self) -> None:
        super().close()
        self._database.dispose()


def _parts(rows: list[dict[str, Any]], parts: int) -> list[list[dict[str, Any]]]:
    size = -(-len(rows) // parts) or 1
    return [rows[start : start + size] for start in range(0, len(rows), size)] or [[]]


@pytest.fixture(params=["files", "table", "sqlite", "postgresql"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """Every engine on every kind of dataset."""
    if request.param == "files":
        made: Harness = InFiles(tmp_path)
    elif request.param == "table":
        made = InTables(tmp_path)
    elif request.param == "sqlite":
        made = InDatabase(f"sqlite:///{tmp_path}/readings.db")
    else:
        made = InDatabase(request.getfixturevalue("postgresql_url"))
    yield made
    made.close()


@st.composite
def grants(draw: st.DrawFn) -> list[Grant]:
    """One to three grants of every make."""
    return [draw(_grant(number)) for number in range(draw(st.integers(1, 3)))]


@st.composite
def _grant(draw: st.DrawFn, number: int) -> Grant:
    columns = draw(st.none() | st.lists(st.sampled_from(READINGS.names), min_size=1, unique=True).map(tuple))
    masks = {
        name: draw(st.sampled_from(kinds))
        for name, kinds in MASKS.items()
        if (columns is None or name in columns) and draw(st.booleans())
    }
    chosen = draw(st.sampled_from(FILTERS))
    return Grant(number, "ada", frozenset({"read"}), path="/", columns=columns, filter=chosen, masks=masks)


def comparisons(column: Column) -> st.SearchStrategy[Comparison]:
    """Comparisons of a visible column with values of its type."""
    values: st.SearchStrategy[Any] = VALUES[column.name]
    if column.type is not READINGS.by_name[column.name].type:
        values = texts if column.type is ColumnType.TEXT else st.integers(2025, 2027)
    ops = [op for op in column.type.operators if op not in ("is", "in")]
    simple = st.builds(Comparison, st.just(column.name), st.sampled_from(ops), values)
    listed = st.builds(Comparison, st.just(column.name), st.just("in"), st.lists(values, min_size=1).map(tuple))
    return simple | listed | st.just(Comparison(column.name, "is", None))


@st.composite
def queries(draw: st.DrawFn, view: View) -> Query:
    """Any query on a view, as a parser would give it."""
    columns = view.shape.columns
    members = st.sampled_from(columns).flatmap(comparisons)
    condition: st.SearchStrategy[Condition] = st.recursive(
        members,
        lambda inner: (
            inner.map(Not)
            | st.lists(inner, min_size=2, max_size=3).map(lambda each: And(tuple(each)))
            | st.lists(inner, min_size=2, max_size=3).map(lambda each: Or(tuple(each)))
        ),
        max_leaves=4,
    )
    names = [column.name for column in columns]
    parts = st.lists(st.builds(Order, st.sampled_from(names), st.booleans()), max_size=2, unique_by=lambda o: o.column)
    query = Query(
        select=draw(st.none() | st.lists(st.sampled_from(names), min_size=1, unique=True).map(tuple)),
        where=draw(st.none() | condition),
        order=tuple(draw(parts)),
        limit=draw(st.integers(1, 5)),
        count=draw(st.sampled_from(["none", "exact"])),
    )
    return completed(query, view.shape)


def without_position(query: Query) -> Query:
    """The query without what makes its order total: the model's rows are in that order already."""
    return replace(query, order=tuple(part for part in query.order if not part.column.startswith("\x00")))


def walk(engine: Engine, plan: Plan) -> Iterator[Any]:
    """All pages, each but the first by the sealed cursor of the one before."""
    binding = Binding(1, plan.view.fingerprint, plan.view.shape, plan.query, plan.snapshot.pin)
    page = engine.page(plan)
    yield page
    while page.next_position is not None:
        cursor = SEALER.seal(page.next_position, binding)
        page = engine.page(replace(plan, query=plan.query.at(SEALER.open(cursor, binding))))
        yield page


@examples
@given(data=st.data(), rows=stored_rows(), given_grants=grants(), parts=st.integers(1, 3))
def test_every_page_is_that_of_the_model(
    harness: Harness, data: st.DataObject, rows: list[Any], given_grants: list[Grant], parts: int
) -> None:
    snapshot = harness.store(rows, parts)
    view = view_of(snapshot, given_grants)
    assert view is not None
    query = data.draw(queries(view))
    plan, plain = Plan(snapshot, view, query), without_position(query)
    expected = model.chosen(view_model.seen(rows, given_grants, READINGS.columns), plain)
    pages = list(walk(harness.engine, plan))
    assert [row for page in pages for row in page.rows] == [model.shown(row, plain) for row in expected]
    assert {page.count for page in pages} == ({len(expected)} if query.count == "exact" else {None})
    assert harness.engine.count(plan) == len(expected)


@examples
@given(data=st.data(), rows=stored_rows(), given_grants=grants(), parent=st.sampled_from(READINGS.names))
def test_a_list_cut_per_parent_is_that_of_the_model(
    harness: Harness, data: st.DataObject, rows: list[Any], given_grants: list[Grant], parent: str
) -> None:
    snapshot = harness.store(rows, 2)
    view = view_of(snapshot, given_grants)
    assert view is not None
    query = data.draw(queries(view))
    if parent not in view.by_name:
        return
    query = replace(query, limit_per=parent, count="none")
    expected = model.chosen(view_model.seen(rows, given_grants, READINGS.columns), without_position(query))
    page = harness.engine.page(Plan(snapshot, view, query))
    assert page.rows == [model.shown(row, query) for row in expected]
    assert page.is_truncated is False


def test_a_cut_per_parent_says_whether_it_left_rows_out(harness: Harness) -> None:
    row = dict.fromkeys(READINGS.names)
    snapshot = harness.store([{**row, "id": number} for number in range(1_001)], 1)
    view = view_of(snapshot, [Grant(None, "ada", frozenset({"read"}), path="/")])
    assert view is not None
    query = completed(Query(select=("id",), limit=1, limit_per="id"), view.shape)
    page = harness.engine.page(Plan(snapshot, view, query))
    assert (len(page.rows), page.is_truncated) == (1_000, True)


@examples
@given(data=st.data(), rows=stored_rows(), given_grants=grants())
def test_batches_hold_all_rows_in_their_order(
    harness: Harness, data: st.DataObject, rows: list[Any], given_grants: list[Grant]
) -> None:
    snapshot = harness.store(rows, 2)
    view = view_of(snapshot, given_grants)
    assert view is not None
    query = data.draw(queries(view))
    expected = model.chosen(view_model.seen(rows, given_grants, READINGS.columns), without_position(query))
    found = [row for batch in harness.engine.batches(Plan(snapshot, view, query)) for row in batch.to_pylist()]
    assert found == [model.shown(row, query) for row in expected]
