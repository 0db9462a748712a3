"""The JSON form of a query: `{"select": […], "where": {"amount": {"gt": 100}}, "order": […]}`."""

from collections.abc import Iterable, Mapping
from typing import Any

from rest_api.errors import unknown
from rest_api.query.conditions import Column, Comparison, Condition, Not, Order, Query, Shape, all_of, any_of
from rest_api.query.rules import (
    check_count_of_values,
    check_depth,
    check_operator,
    completed,
    identity,
    order_part,
)
from rest_api.query.values import from_json, wrong, wrong_value

MEMBERS = ("select", "where", "order", "limit", "limit_per", "cursor", "page", "count")


def read_json(body: object, shape: Shape) -> Query:
    """The query in a JSON value. Raises Invalid naming the nearest valid thing."""
    given = _object("query", body, [name for name in MEMBERS if name == "where" or name in shape.parameters])
    conditions = [] if given.get("where") is None else read_where(given["where"], shape)
    limit, count = _whole("limit", given.get("limit")), _text("count", given.get("count"))
    query = Query(
        select=None if given.get("select") is None else _names(given["select"], shape),
        where=all_of(conditions) if conditions else None,
        order=tuple(_order(part, shape) for part in _list("order", given.get("order"))),
        limit=shape.default_limit if limit is None else limit,
        limit_per=_text("limit_per", given.get("limit_per")),
        cursor=_text("cursor", given.get("cursor")),
        page=_whole("page", given.get("page")),
        count="none" if count is None else count,
    )
    return completed(query, shape)


def read_where(where: object, shape: Shape, depth: int = 0) -> list[Condition]:
    """The conditions of a `where` object, all of which must hold. Raises Invalid."""
    check_depth(depth)
    if not isinstance(where, dict):
        raise wrong("where", 'where takes an object such as {"amount": {"gt": 100}}')
    return [found for name, value in where.items() for found in _entry(name, value, shape, depth)]


def _entry(name: str, value: object, shape: Shape, depth: int) -> Iterable[Condition]:
    if name in ("or", "and") and isinstance(value, list):
        return [_group(name, value, shape, depth + 1)]
    if name == "not" and name not in shape.by_name:
        return [Not(_member(name, value, shape, depth + 1))]
    return _comparisons(_column(name, shape), value, depth)


def _column(name: str, shape: Shape) -> Column:
    if name not in shape.by_name:
        raise unknown("column", name, (*shape.names, "or", "and", "not"))
    return shape.column(name)


def _group(name: str, members: list[object], shape: Shape, depth: int) -> Condition:
    if not members:
        raise wrong(name, f"{name} takes at least one condition")
    conditions = [_member(name, member, shape, depth) for member in members]
    return any_of(conditions) if name == "or" else all_of(conditions)


def _member(name: str, value: object, shape: Shape, depth: int) -> Condition:
    conditions = read_where(value, shape, depth)
    if not conditions:
        raise wrong(name, f"{name} takes no empty condition")
    return all_of(conditions)


def _comparisons(column: Column, value: object, depth: int) -> list[Condition]:
    check_depth(depth)
    if not isinstance(value, dict) or not value:
        raise wrong_value(column, f'takes an object such as {{"{column.type.operators[0]}": …}}')
    return [_comparison(column, op, operand, depth) for op, operand in value.items()]


def _comparison(column: Column, op: str, operand: object, depth: int) -> Condition:
    if op == "not":
        return Not(all_of(_comparisons(column, operand, depth + 1)))
    check_operator(column, op)
    if op == "is":
        return _identity(column, operand)
    if op == "in":
        return Comparison(column.name, op, _values(column, operand))
    return Comparison(column.name, op, from_json(column, operand))


def _identity(column: Column, operand: object) -> Condition:
    if operand is not None and not isinstance(operand, bool):
        raise wrong_value(column, "takes is with null, true or false")
    return identity(column, operand)


def _values(column: Column, operand: object) -> tuple[Any, ...]:
    if not isinstance(operand, list):
        raise wrong_value(column, "takes in with a list of values")
    check_count_of_values(column, operand)
    return tuple(from_json(column, each) for each in operand)


def _order(part: object, shape: Shape) -> Order:
    given = _object("order", part, ("column", "direction"))
    name, direction = _text("column", given.get("column")), _text("direction", given.get("direction"))
    if name is None:
        raise wrong("order", 'order takes objects such as {"column": "id", "direction": "desc"}')
    return order_part(shape, name, direction or "asc")


def _names(value: object, shape: Shape) -> tuple[str, ...]:
    names = tuple(shape.column(_text("select", name) or "").name for name in _list("select", value))
    if not names:
        raise wrong("select", "select names at least one column")
    return names


def _object(name: str, value: object, members: Iterable[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise wrong(name, f"{name} takes an object")
    for member in value:
        if member not in members:
            raise unknown("member", str(member), members)
    return value


def _list(name: str, value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong(name, f"{name} takes a list")
    if len(value) > 1_000:
        raise wrong(name, f"{name} is far too long")
    return value


def _whole(name: str, value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise wrong(name, f"{name} takes a whole number")
    return value


def _text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise wrong(name, f"{name} takes a text")
    return value
