"""The SQL adapter against the model, on each database."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event, insert
from sqlalchemy.orm import Session

from rest_api.database import create_engine_for
from rest_api.query.conditions import Comparison, Order, Query
from rest_api.query.cursors import Binding, CursorSealer
from rest_api.query.grammar import parse_url
from rest_api.query.rules import completed
from rest_api.query.sql import Page, Source
from tests.query import model
from tests.query.shapes import READINGS, Reading, Tables, queries, stored_rows

SOURCE = Source.of(Reading, READINGS)
SEALER = CursorSealer(b"a key of this installation")
examples = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on each database, with the table."""
    engine = create_engine_for(database_url)
    Tables.metadata.create_all(engine)
    yield engine
    engine.dispose()


def stored(session: Session, rows: list[dict[str, Any]]) -> None:
    """Make the table hold exactly these rows."""
    session.execute(delete(Reading))
    if rows:
        session.execute(insert(Reading), rows)


def walk(session: Session, query: Query) -> Iterator[Page]:
    """All pages, each but the first by the sealed cursor of the one before."""
    binding = Binding(1, "policy", READINGS, query)
    page = SOURCE.page(session, query)
    yield page
    while page.next_position is not None:
        cursor = SEALER.seal(page.next_position, binding)
        page = SOURCE.page(session, query.at(SEALER.open(cursor, binding)))
        yield page


@examples
@given(rows=stored_rows(), query=queries())
def test_walking_all_pages_gives_the_rows_of_the_model(engine: Engine, rows: list[Any], query: Query) -> None:
    expected = model.chosen(rows, query)
    with Session(engine) as session:
        stored(session, rows)
        pages = list(walk(session, query))
    assert [row for page in pages for row in page.rows] == [model.shown(row, query) for row in expected]
    assert all(len(page.rows) == query.limit for page in pages[:-1])
    assert {page.count for page in pages} == ({len(expected)} if query.count == "exact" else {None})


@examples
@given(rows=stored_rows(), query=queries(), number=st.integers(1, 4))
def test_a_numbered_page_is_that_part_of_the_rows(engine: Engine, rows: list[Any], query: Query, number: int) -> None:
    first = (number - 1) * query.limit
    expected = model.chosen(rows, query)[first : first + query.limit]
    with Session(engine) as session:
        stored(session, rows)
        page = SOURCE.page(session, replace(query, page=number))
    assert page.rows == [model.shown(row, query) for row in expected]


@examples
@given(rows=stored_rows(), query=queries(), parent=st.sampled_from(READINGS.names))
def test_limit_per_cuts_for_each_value(engine: Engine, rows: list[Any], query: Query, parent: str) -> None:
    cut = replace(query, limit_per=parent)
    with Session(engine) as session:
        stored(session, rows)
        page = SOURCE.page(session, cut)
    assert page.rows == [model.shown(row, cut) for row in model.chosen(rows, cut)]
    assert page.next_position is None


def test_limit_per_gives_a_thousand_rows_in_all(engine: Engine) -> None:
    query = completed(Query(limit=10, limit_per="grade", order=(Order("grade"),)), READINGS)
    with Session(engine) as session:
        stored(session, [{"id": number, "grade": number // 5} for number in range(1_500)])
        page = SOURCE.page(session, query)
        assert [row["id"] for row in page.rows] == list(range(1_000))
        assert page.is_truncated
        under = replace(query, where=Comparison("id", "lt", 1_000))
        assert SOURCE.page(session, under).is_truncated is False


def test_a_restriction_holds_for_rows_counts_and_cuts(engine: Engine) -> None:
    source = Source.of(Reading, READINGS, Reading.grade == 1)
    with Session(engine) as session:
        stored(session, [{"id": number, "grade": number % 2} for number in range(6)])
        page = source.page(session, parse_url([("or", "(grade.eq.0,id.gt.2)"), ("count", "exact")], READINGS))
        cut = source.page(session, parse_url([("limit_per", "grade")], READINGS))
    assert ([row["id"] for row in page.rows], page.count, page.count_kind) == ([3, 5], 2, "exact")
    assert [row["id"] for row in cut.rows] == [1, 3, 5]


def test_rows_that_come_and_go_between_pages_double_and_lose_no_others(engine: Engine) -> None:
    query = parse_url([("order", "grade"), ("limit", "2")], READINGS)
    with Session(engine) as session:
        stored(session, [{"id": number, "grade": number} for number in range(6)])
        pages = walk(session, query)
        seen = [row["id"] for row in next(pages).rows]
        session.execute(delete(Reading).where(Reading.id.in_([0, 1])))
        session.execute(insert(Reading), [{"id": 9, "grade": -1}])
        seen += [row["id"] for page in pages for row in page.rows]
    assert seen == [0, 1, 2, 3, 4, 5]


def statements(session: Session, query: Query) -> list[str]:
    """The statements that a page takes."""
    seen: list[str] = []
    connection = session.connection()

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement.lower())

    event.listen(connection, "before_cursor_execute", note)
    SOURCE.page(session, query)
    event.remove(connection, "before_cursor_execute", note)
    return seen


def test_a_page_reads_only_the_columns_it_needs_by_one_statement(engine: Engine) -> None:
    with Session(engine) as session:
        (statement,) = statements(session, parse_url([("select", "name"), ("order", "grade")], READINGS))
    read = statement.partition("from")[0]
    assert [name for name in READINGS.names if f"readings.{name}" in read] == ["id", "grade", "name"]


def test_an_order_by_the_key_goes_on_by_its_index(engine: Engine) -> None:
    with Session(engine) as session:
        stored(session, [{"id": number} for number in range(10)])
        query = parse_url([("order", "id.desc")], READINGS)
        (statement,) = statements(session, query.at((5,)))
        assert "nulls" not in statement
        assert " or " not in statement
        assert [row["id"] for row in SOURCE.page(session, query.at((5,))).rows] == [4, 3, 2]


@pytest.mark.parametrize("value", [2**31, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("op", ["eq", "lt", "in"])
def test_a_64_bit_value_may_be_compared_with_a_narrower_column(engine: Engine, op: str, value: int) -> None:
    operand = (value,) if op == "in" else value
    query = completed(Query(where=Comparison("grade", op, operand), limit=3), READINGS)
    with Session(engine) as session:
        stored(session, [{"id": 1, "grade": 2}])
        assert bool(SOURCE.page(session, query).rows) == (op == "lt" and value > 2)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("like.a*", {"ab", "a%c"}),
        ("like.A*", {"AB"}),
        ("ilike.A*", {"ab", "AB", "a%c"}),
        ("like.*%*", {"a%c"}),
        ("like.a_", set()),
        ("ilike.*\\*", {"\\x"}),
        ("like.*", {"ab", "AB", "a%c", "\\x", ""}),
        ("like.", {""}),
        ("not.like.a*", {"AB", "\\x", ""}),
    ],
)
def test_like_knows_one_wildcard_and_ilike_no_case(engine: Engine, text: str, found: set[str]) -> None:
    names = ["ab", "AB", "a%c", "\\x", "", None]
    with Session(engine) as session:
        stored(session, [{"id": number, "name": name} for number, name in enumerate(names)])
        page = SOURCE.page(session, parse_url([("name", text), ("limit", "10")], READINGS))
    assert {row["name"] for row in page.rows} == found
