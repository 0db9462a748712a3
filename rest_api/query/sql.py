"""Runs a query on a table through SQLAlchemy: the first adapter of the grammar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    bindparam,
    false,
    func,
    literal,
    not_,
    or_,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeEngine

from rest_api.query.conditions import (
    MAX_ROWS_PER_PARENTS,
    And,
    Comparison,
    Condition,
    Not,
    Order,
    Query,
    Shape,
)

_COMPARED = {"eq": eq, "neq": ne, "gt": gt, "gte": ge, "lt": lt, "lte": le}
_BIG_INTEGER = BigInteger()
Columns = Mapping[str, Any]
Position = tuple[Any, ...]


@dataclass(frozen=True)
class Page:
    """Rows by column name, the position to go on from (None at the end), and a count where one was asked for.

    `is_truncated` is there where rows are cut per parent: whether there were more than one page may have.
    """

    rows: list[dict[str, Any]]
    next_position: Position | None
    count: int | None = None
    count_kind: str | None = None
    is_truncated: bool | None = None


@dataclass(frozen=True)
class Source:
    """A table as a shape: which database column each name is, and what restricts every reader of it."""

    shape: Shape
    columns: Columns
    restrictions: tuple[ColumnElement[bool], ...] = ()

    @classmethod
    def of(cls, model: type[DeclarativeBase], shape: Shape, *restrictions: ColumnElement[bool]) -> "Source":
        """The source whose columns are the model's attributes of the same names."""
        return cls(shape, {name: getattr(model, name) for name in shape.names}, restrictions)

    def page(self, session: Session, query: Query) -> Page:
        """One page by one statement, which reads no other columns than needed; a count takes a second one."""
        reading = Reading(self, query)
        found = session.execute(reading.statement).all()
        position = reading.position(found[query.limit - 1]) if reading.has_more(found) else None
        # The columns shown come first in what was read.
        rows = [dict(zip(reading.names, row, strict=False)) for row in found[: reading.most]]
        page = Page(rows, position, is_truncated=len(found) > reading.most if query.limit_per else None)
        if query.count == "none":
            return page
        return replace(page, count=session.scalar(reading.counting), count_kind="exact")


@dataclass(frozen=True)
class Reading:
    """A query on a source, as statements."""

    source: Source
    query: Query

    @property
    def names(self) -> tuple[str, ...]:
        """The columns shown."""
        return self.query.select or self.source.shape.names

    @cached_property
    def read(self) -> list[str]:
        """The columns read: those shown, then those only needed for the order."""
        return list(dict.fromkeys((*self.names, *(part.column for part in self.query.order))))

    def position(self, row: Sequence[Any]) -> Position:
        """The values that a row was ordered by."""
        return tuple(row[self.read.index(part.column)] for part in self.query.order)

    @property
    def most(self) -> int:
        """The most rows of the page."""
        return MAX_ROWS_PER_PARENTS if self.query.limit_per else self.query.limit

    def has_more(self, found: Sequence[Any]) -> bool:
        """Whether there is a row after the page."""
        return len(found) > self.query.limit and self.query.limit_per is None

    @property
    def statement(self) -> Select[Any]:
        """The page, and one row more to know whether there is another one."""
        return self._per_parent() if self.query.limit_per else self._paged()

    @property
    def counting(self) -> Select[int]:
        """The number of rows on all pages."""
        key = self.source.columns[self.source.shape.key[0]]
        return select(func.count(key)).where(*self._conditions())

    def _paged(self) -> Select[Any]:
        query, columns = self.query, self.source.columns
        order = [placed(part, columns) for part in query.order]
        statement = self._selected().order_by(*order).limit(query.limit + 1)
        if query.position is not None:
            return statement.where(after(query.order, query.position, columns))
        return statement if query.page is None else statement.offset((query.page - 1) * query.limit)

    def _per_parent(self) -> Select[Any]:
        query, columns = self.query, self.source.columns
        order = [placed(part, columns) for part in query.order]
        rank = func.row_number().over(partition_by=columns[query.limit_per or ""], order_by=order)
        ranked = self._selected().add_columns(rank.label(None)).subquery()
        *values, rank_column = ranked.c
        by_name = dict(zip(self.read, values, strict=True))
        chosen = select(*values).where(rank_column <= query.limit).limit(self.most + 1)
        return chosen.order_by(*(placed(part, by_name) for part in query.order))

    def _selected(self) -> Select[Any]:
        return select(*(self.source.columns[name] for name in self.read)).where(*self._conditions())

    def _conditions(self) -> list[ColumnElement[bool]]:
        where = self.query.where
        wanted = [] if where is None else [rendered(where, self.source.columns)]
        return [*self.source.restrictions, *wanted]


def rendered(condition: Condition, columns: Columns) -> ColumnElement[bool]:
    """The SQL of a condition; every value is a bound parameter. What is compared with null is unknown."""
    if isinstance(condition, Comparison):
        return _compared(columns[condition.column], condition.op, condition.value)
    if isinstance(condition, Not):
        return not_(rendered(condition.condition, columns))
    members = [rendered(member, columns) for member in condition.conditions]
    return and_(*members) if isinstance(condition, And) else or_(*members)


def _compared(column: Any, op: str, value: Any) -> ColumnElement[bool]:
    compared: ColumnElement[bool]
    if op == "is":
        compared = column.is_(value)
    elif op == "in":
        compared = column.in_(bindparam(None, list(value), _type(column, value[0]), expanding=True))
    elif op == "like":
        compared = column.like(_pattern(value), escape="\\")
    elif op == "ilike":
        compared = column.ilike(_pattern(value), escape="\\")
    else:
        compared = _COMPARED[op](column, _bound(column, value))
    return compared


def placed(part: Order, columns: Columns) -> ColumnElement[Any]:
    """A part of an order, nulls last. Where there are none the words are left out: an index then serves it."""
    column = columns[part.column]
    directed: ColumnElement[Any] = column.desc() if part.descending else column.asc()
    return directed.nulls_last() if _may_be_null(column) else directed


def after(order: tuple[Order, ...], position: Position, columns: Columns) -> ColumnElement[bool]:
    """Rows that come after a position: beyond it in the first column, or equal there and after it in the rest."""
    part, value, column = order[0], position[0], columns[order[0].column]
    beyond = _beyond(column, value, part)
    if len(order) == 1:
        return beyond
    equal = column.is_(None) if value is None else column == _bound(column, value)
    further = or_(beyond, and_(equal, after(order[1:], position[1:], columns)))
    if value is None or _may_be_null(column):
        return further
    # Implied by the alternatives, but said so that an index finds the first row.
    return and_((le if part.descending else ge)(column, _bound(column, value)), further)


def _beyond(column: Any, value: Any, part: Order) -> ColumnElement[bool]:
    if value is None:
        return false()
    further: ColumnElement[bool] = (lt if part.descending else gt)(column, _bound(column, value))
    return or_(further, column.is_(None)) if _may_be_null(column) else further


def _may_be_null(column: Any) -> bool:
    return bool(getattr(column, "nullable", True))


def _bound(column: Any, value: Any) -> ColumnElement[Any]:
    return literal(value, _type(column, value))


def _type(column: Any, value: Any) -> TypeEngine[Any]:
    # A 64-bit value may be compared with a narrower column; PostgreSQL would refuse it as one of that type.
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    kind: TypeEngine[Any] = _BIG_INTEGER if is_whole else column.type
    return kind


def _pattern(text: str) -> str:
    """The SQL pattern of a text in which `*` stands for any characters."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
