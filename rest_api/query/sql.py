"""Runs a query on a table through SQLAlchemy: the first adapter of the grammar."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, not_, or_, select
from sqlalchemy.orm import DeclarativeBase, Session

from rest_api.query.conditions import MAX_ROWS_PER_PARENTS, And, Comparison, Condition, Not, Order, Query, Shape

_COMPARE = {"eq": eq, "neq": ne, "gt": gt, "gte": ge, "lt": lt, "lte": le}


@dataclass(frozen=True)
class Page:
    """Rows by column name, the position to go on from (None at the end), and a count where one was asked for."""

    rows: list[dict[str, Any]]
    next_position: tuple[Any, ...] | None
    count: int | None = None
    count_kind: str | None = None


@dataclass(frozen=True)
class Source:
    """A table as a shape: which database column each name is, and what restricts every reader of it."""

    shape: Shape
    columns: Mapping[str, Any]
    restrictions: tuple[ColumnElement[bool], ...] = ()

    @classmethod
    def of(cls, model: type[DeclarativeBase], shape: Shape, *restrictions: ColumnElement[bool]) -> "Source":
        """The source whose columns are the model's attributes of the same names."""
        return cls(shape, {name: getattr(model, name) for name in shape.names}, restrictions)

    def page(self, session: Session, query: Query) -> Page:
        """One page, in one statement, and one more for a count."""
        rows = [dict(row) for row in session.execute(self._statement(query)).mappings()]
        most = MAX_ROWS_PER_PARENTS if query.limit_per else query.limit
        has_more = len(rows) > most and query.limit_per is None
        rows = rows[:most]
        position = tuple(rows[-1][f"_{part.column}"] for part in query.order) if has_more else None
        names = query.select or self.shape.names
        shown = [{name: row[name] for name in names} for row in rows]
        if query.count == "none":
            return Page(shown, position)
        return Page(shown, position, self._count(session, query), "exact")

    def _statement(self, query: Query) -> Select[Any]:
        names = query.select or self.shape.names
        values = [self.columns[name].label(name) for name in names]
        values += [self.columns[part.column].label(f"_{part.column}") for part in query.order]
        ordering = [self._direction(part) for part in query.order]
        if query.limit_per is not None:
            return self._per_parent(query, values, ordering)
        statement = select(*values).where(*self._conditions(query)).order_by(*ordering).limit(query.limit + 1)
        if query.position is not None:
            return statement.where(self._after(query.order, query.position))
        return statement if query.page is None else statement.offset((query.page - 1) * query.limit)

    def _per_parent(self, query: Query, values: list[Any], ordering: list[Any]) -> Select[Any]:
        parent = self.columns[query.limit_per or ""]
        rank = func.row_number().over(partition_by=parent, order_by=ordering)
        inner = select(*values, rank.label("_rank")).where(*self._conditions(query)).subquery()
        outer_order = [self._placed(inner.c[f"_{part.column}"], part) for part in query.order]
        chosen = select(inner).where(inner.c["_rank"] <= query.limit)
        return chosen.order_by(*outer_order).limit(MAX_ROWS_PER_PARENTS)

    def _count(self, session: Session, query: Query) -> int:
        key = self.columns[self.shape.key[0]]
        return session.scalar(select(func.count(key)).where(*self._conditions(query))) or 0

    def _conditions(self, query: Query) -> list[ColumnElement[bool]]:
        wanted = [] if query.where is None else [self.condition(query.where)]
        return [*self.restrictions, *wanted]

    def condition(self, condition: Condition) -> ColumnElement[bool]:
        """The SQL of a condition; every value becomes a bound parameter."""
        if isinstance(condition, Comparison):
            return self._comparison(condition)
        if isinstance(condition, Not):
            return not_(self.condition(condition.condition))
        members = [self.condition(member) for member in condition.conditions]
        return and_(*members) if isinstance(condition, And) else or_(*members)

    def _comparison(self, comparison: Comparison) -> ColumnElement[bool]:
        column, value = self.columns[comparison.column], comparison.value
        if comparison.op == "is":
            return column.is_(value)  # type: ignore[no-any-return]
        if comparison.op == "in":
            return column.in_(value)  # type: ignore[no-any-return]
        if comparison.op == "like":
            return column.like(_pattern(value), escape="\\")  # type: ignore[no-any-return]
        if comparison.op == "ilike":
            return column.ilike(_pattern(value), escape="\\")  # type: ignore[no-any-return]
        compared: ColumnElement[bool] = _COMPARE[comparison.op](column, value)
        return compared

    def _direction(self, part: Order) -> Any:
        return self._placed(self.columns[part.column], part)

    def _placed(self, column: Any, part: Order) -> Any:
        directed = column.desc() if part.descending else column.asc()
        # Without the clause an index can serve the order.
        return directed.nulls_last() if self._may_be_null(part.column) else directed

    def _may_be_null(self, name: str) -> bool:
        return bool(getattr(self.columns[name], "nullable", True))

    def _after(self, order: tuple[Order, ...], position: tuple[Any, ...]) -> ColumnElement[bool]:
        """Rows that come after a position: equal in the first columns and beyond in the next one."""
        alternatives, equal = [], []
        for part, value in zip(order, position, strict=True):
            column = self.columns[part.column]
            alternatives.append(and_(*equal, self._beyond(part, value)))
            equal.append(column.is_(None) if value is None else column == value)
        return or_(*alternatives)

    def _beyond(self, part: Order, value: Any) -> ColumnElement[bool]:
        column = self.columns[part.column]
        if value is None:
            return false()
        further: ColumnElement[bool] = column < value if part.descending else column > value
        return or_(further, column.is_(None)) if self._may_be_null(part.column) else further


def _pattern(text: str) -> str:
    """The SQL pattern of a text in which `*` stands for anything."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
