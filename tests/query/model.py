"""What a query means, in plain Python: the model that every adapter is held to."""

import re
from collections.abc import Callable
from functools import reduce
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from rest_api.query.conditions import MAX_ROWS_PER_PARENTS, And, Comparison, Condition, Not, Order, Query

Row = dict[str, Any]
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {"eq": eq, "neq": ne, "gt": gt, "gte": ge, "lt": lt, "lte": le}


def chosen(rows: list[Row], query: Query) -> list[Row]:
    """All rows of the query in their order, with all their columns."""
    kept = [row for row in rows if query.where is None or holds(query.where, row) is True]
    return cut(ordered(kept, query.order), query)


def shown(row: Row, query: Query) -> Row:
    """The columns selected of a row."""
    return {name: row[name] for name in query.select or row}


def holds(condition: Condition, row: Row) -> bool | None:
    """Whether a row meets a condition; None where a null leaves it unknown."""
    if isinstance(condition, Comparison):
        return compared(row[condition.column], condition.op, condition.value)
    if isinstance(condition, Not):
        inner = holds(condition.condition, row)
        return None if inner is None else not inner
    decisive = not isinstance(condition, And)
    found = [holds(member, row) for member in condition.conditions]
    return decisive if decisive in found else None if None in found else not decisive


def compared(value: Any, op: str, other: Any) -> bool | None:
    """Whether `value op other`; None for a null."""
    if op == "is":
        return value is other
    if value is None:
        return None
    if op == "in":
        return value in other
    if op in ("like", "ilike"):
        pattern = ".*".join(re.escape(part) for part in other.split("*"))
        return bool(re.fullmatch(pattern, value, re.DOTALL | (re.IGNORECASE if op == "ilike" else 0)))
    return _COMPARED[op](value, other)


def ordered(rows: list[Row], order: tuple[Order, ...]) -> list[Row]:
    """The rows sorted, nulls last whatever the direction."""
    return reduce(_sorted_by, reversed(order), rows)


def _sorted_by(rows: list[Row], part: Order) -> list[Row]:
    filled = [row for row in rows if row[part.column] is not None]
    empty = [row for row in rows if row[part.column] is None]
    return [*sorted(filled, key=lambda row: row[part.column], reverse=part.descending), *empty]


def cut(rows: list[Row], query: Query) -> list[Row]:
    """The first rows for each value of `limit_per`; nulls are one value."""
    if query.limit_per is None:
        return rows
    taken: dict[Any, int] = {}
    kept = []
    for row in rows:
        value = row[query.limit_per]
        taken[value] = taken.get(value, 0) + 1
        if taken[value] <= query.limit:
            kept.append(row)
    return kept[:MAX_ROWS_PER_PARENTS]
