"""A table with every type of column, its shape, and strategies for its rows and queries."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import BigInteger, Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rest_api.models.base import UtcDateTime
from rest_api.query.conditions import (
    And,
    Column,
    ColumnType,
    Comparison,
    Condition,
    Not,
    Or,
    Order,
    Query,
    Shape,
    all_of,
)
from rest_api.query.rules import completed

READINGS = Shape(
    name="readings",
    columns=(
        Column("id", ColumnType.INTEGER, "number of the reading"),
        Column("grade", ColumnType.INTEGER),
        Column("amount", ColumnType.NUMBER),
        Column("name", ColumnType.TEXT),
        Column("at", ColumnType.TIMESTAMP),
        Column("is_good", ColumnType.BOOLEAN),
    ),
    key=("id",),
    default_order=(Order("id"),),
    default_limit=3,
    max_limit=10,
)
# The database's words for order and case, the same on every machine.
PLAIN_TEXT = String().with_variant(String(collation="C"), "postgresql")


class Tables(DeclarativeBase):
    """The tables of these tests."""

    metadata = MetaData()


class Reading(Tables):
    """One row; every column but the key may be null."""

    __tablename__ = "readings"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    grade: Mapped[int | None] = mapped_column(Integer)
    amount: Mapped[float | None]
    name: Mapped[str | None] = mapped_column(PLAIN_TEXT)
    at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    is_good: Mapped[bool | None]


texts = st.text("abAB%_*\\.,()\"' é日", max_size=3)
moments = st.sampled_from([datetime(2026, 11, day, 12, 0, 0, micro, UTC) for day in (1, 2) for micro in (0, 1)])
quarters = st.integers(-4, 4).map(lambda number: number / 4)

VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "id": st.integers(0, 12),
    "grade": st.integers(-2, 2) | st.sampled_from([2**63 - 1, -(2**63)]),
    "amount": quarters.map(lambda number: Decimal(str(number))),
    "name": texts,
    "at": moments,
    "is_good": st.booleans(),
}
STORED = {**VALUES, "grade": st.integers(-2, 2), "amount": quarters}


@st.composite
def stored_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to a dozen rows full of equal values and nulls."""
    nullable = {name: st.none() | values for name, values in STORED.items() if name != "id"}
    found: list[dict[str, Any]] = draw(st.lists(st.fixed_dictionaries(nullable), max_size=12))
    return [{"id": number, **row} for number, row in enumerate(found)]


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    """Any comparison that the shape allows."""
    column = draw(st.sampled_from(READINGS.columns))
    op, values = draw(st.sampled_from(column.type.operators)), VALUES[column.name]
    if op == "is":
        is_boolean = column.type is ColumnType.BOOLEAN
        return Comparison(column.name, op, draw(st.sampled_from([None, True, False] if is_boolean else [None])))
    if op == "in":
        return Comparison(column.name, op, tuple(draw(st.lists(values, min_size=1, max_size=3))))
    return Comparison(column.name, op, draw(values))


def _grown(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    members = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return inner.map(Not) | members.map(And) | members.map(Or)


conditions: st.SearchStrategy[Condition] = st.recursive(comparisons(), _grown, max_leaves=6)
orders = st.lists(
    st.builds(Order, st.sampled_from(READINGS.names), st.booleans()), max_size=3, unique_by=lambda part: part.column
).map(tuple)
selections = st.none() | st.lists(st.sampled_from(READINGS.names), min_size=1, unique=True).map(tuple)


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """Any query as a parser would give it, without a page, a cursor or a limit per value."""
    members = draw(st.lists(conditions, max_size=2))
    query = Query(
        select=draw(selections),
        where=all_of(members) if members else None,
        order=draw(orders),
        limit=draw(st.integers(1, 5)),
        count=draw(st.sampled_from(["none", "exact"])),
    )
    return completed(query, READINGS)
