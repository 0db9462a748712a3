"""What holds for a query in either form: operators that suit their column, limits, and a total order."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from rest_api.errors import Invalid, unknown
from rest_api.query.conditions import (
    COUNTS,
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_PAGED_ROWS,
    MAX_VALUES,
    OPERATORS,
    Column,
    ColumnType,
    Comparison,
    Condition,
    Not,
    Order,
    Query,
    Shape,
)
from rest_api.query.values import wrong, wrong_value


def check_depth(depth: int) -> None:
    """Raises Invalid for groups and negations nested too deep."""
    if depth > MAX_DEPTH:
        raise Invalid(f"Conditions are nested at most {MAX_DEPTH} deep")


def check_operator(column: Column, op: str) -> None:
    """Raises Invalid for an operator that nobody knows or that does not suit the column."""
    if op not in OPERATORS:
        raise unknown("operator", op, (*OPERATORS, "not"))
    if op not in column.type.operators:
        raise wrong_value(column, f"takes {', '.join(column.type.operators)}; {op} does not suit it")


def check_count_of_values(column: Column, values: Sequence[Any]) -> None:
    """Raises Invalid for an `in` without values, or with far too many."""
    if not 1 <= len(values) <= MAX_VALUES:
        raise wrong_value(column, f"takes in with 1 to {MAX_VALUES:,} values")


def identity(column: Column, value: bool | None) -> Comparison:  # noqa: FBT001  (a value, not a flag)
    """`is` null, true or false. Raises Invalid."""
    if value is not None and column.type not in (ColumnType.BOOLEAN, ColumnType.ANY):
        raise wrong_value(column, "takes is.null; true and false are for booleans")
    return Comparison(column.name, "is", value)


def order_part(shape: Shape, name: str, direction: str) -> Order:
    """One part of an order. Raises Invalid for a column or direction that cannot be."""
    column = shape.column(name)
    if direction not in ("asc", "desc"):
        raise unknown("direction", direction, ("asc", "desc"))
    if not column.may_order:
        raise wrong_value(column, "cannot be ordered by")
    return Order(name, direction == "desc")


def total_order(shape: Shape, parts: Iterable[Order]) -> tuple[Order, ...]:
    """The order asked for, or the default one, ended by the key; only a column's first mention counts."""
    by_column: dict[str, Order] = {}
    for part in tuple(parts) or shape.default_order:
        by_column.setdefault(part.column, part)
    for name in shape.key:
        by_column.setdefault(name, Order(name))
    return tuple(by_column.values())


def completed(query: Query, shape: Shape) -> Query:
    """The query with its order made total. Raises Invalid where it breaks a limit or contradicts itself."""
    _check_size(query.where)
    _check_page(query, shape)
    select = None if query.select is None else tuple(dict.fromkeys(query.select))
    return replace(query, select=select, order=total_order(shape, query.order))


def _check_page(query: Query, shape: Shape) -> None:
    if not 1 <= query.limit <= shape.max_limit:
        raise wrong("limit", f"limit goes from 1 to {shape.max_limit}")
    if query.count not in COUNTS:
        raise unknown("count", query.count, COUNTS)
    if query.page is not None:
        _check_page_number(query.page, query)
    if query.limit_per is not None:
        _check_limit_per(query.limit_per, query, shape)


def _check_page_number(page: int, query: Query) -> None:
    if page < 1:
        raise wrong("page", "page counts from 1")
    if query.cursor is not None:
        raise wrong("page", "Give page or cursor, not both")
    if page * query.limit > MAX_PAGED_ROWS:
        raise wrong("page", f"page × limit is at most {MAX_PAGED_ROWS:,}; go on by cursor")


def _check_limit_per(name: str, query: Query, shape: Shape) -> None:
    if not shape.column(name).may_order:
        raise wrong("limit_per", f"A list cannot be cut per {name}")
    if query.page is not None or query.cursor is not None:
        raise wrong("limit_per", "limit_per gives one page; it takes neither page nor cursor")


def _check_size(where: Condition | None) -> None:
    comparisons = list(_comparisons(where))
    if len(comparisons) > MAX_CONDITIONS:
        raise Invalid(f"A query takes at most {MAX_CONDITIONS} conditions")
    if sum(len(each.value) for each in comparisons if each.op == "in") > MAX_VALUES:
        raise Invalid(f"A query's lists hold at most {MAX_VALUES:,} values together")


def _comparisons(where: Condition | None) -> Iterable[Comparison]:
    waiting = [] if where is None else [where]
    while waiting:
        condition = waiting.pop()
        if isinstance(condition, Comparison):
            yield condition
        else:
            waiting.extend((condition.condition,) if isinstance(condition, Not) else condition.conditions)
