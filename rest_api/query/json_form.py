"""Reads a query from its JSON form: `{"select": […], "where": {"amount": {"gt": 100}}, "order": […]}`."""

from typing import Any

from rest_api.errors import Invalid, unknown
from rest_api.query.conditions import OPERATORS, And, Condition, Not, Or, Order, Query, Shape, all_of
from rest_api.query.grammar import MAX_DEPTH, build, comparison, order_by
from rest_api.query.values import from_json, wrong_value

MEMBERS = ("select", "where", "order", "limit", "limit_per", "cursor", "page", "count")
ORDER_MEMBERS = ("column", "direction")


def parse_json(body: Any, shape: Shape) -> Query:
    """The query in a JSON body. Raises Invalid naming the nearest valid thing."""
    if not isinstance(body, dict):
        raise Invalid("Expected an object")
    for name in body:
        if name not in MEMBERS:
            raise unknown("member", name, MEMBERS)
    where = body.get("where")
    condition = None if where is None else parse_where(where, shape)
    conditions = list(condition.conditions) if isinstance(condition, And) else [condition] if condition else []
    return build(
        shape,
        select=_names(body.get("select"), shape),
        conditions=conditions,
        order=tuple(_order(part, shape) for part in _list("order", body.get("order"))),
        limit=_whole("limit", body.get("limit")),
        limit_per=_text("limit_per", body.get("limit_per")),
        cursor=_text("cursor", body.get("cursor")),
        page=_whole("page", body.get("page")),
        count=_text("count", body.get("count")) or "none",
    )


def parse_where(where: Any, shape: Shape, depth: int = 1) -> Condition | None:
    """The condition of a `where` object; None when it is empty."""
    if not isinstance(where, dict):
        raise Invalid('Expected an object such as {"amount": {"gt": 100}}')
    if depth > MAX_DEPTH:
        raise Invalid(f"Groups are nested at most {MAX_DEPTH} deep")
    conditions: list[Condition] = []
    for name, value in where.items():
        conditions += _entry(name, value, shape, depth)
    return all_of(conditions)


def _entry(name: str, value: Any, shape: Shape, depth: int) -> list[Condition]:
    if name in ("or", "and") and isinstance(value, list):
        members = tuple(_member(each, shape, depth + 1) for each in value)
        if not members:
            raise Invalid(f"{name} takes at least one condition")
        return [Or(members) if name == "or" else And(members)]
    if name == "not" and name not in shape.by_name:
        return [Not(_member(value, shape, depth + 1))]
    return _comparisons(name, value, shape, depth)


def _member(value: Any, shape: Shape, depth: int) -> Condition:
    condition = parse_where(value, shape, depth)
    if condition is None:
        raise Invalid("A group takes no empty condition")
    return condition


def _comparisons(name: str, value: Any, shape: Shape, depth: int) -> list[Condition]:
    column = shape.column(name)
    if not isinstance(value, dict) or not value:
        raise wrong_value(column, 'takes an object such as {"eq": …}')
    return [_comparison(name, op, operand, shape, depth) for op, operand in value.items()]


def _comparison(name: str, op: str, operand: Any, shape: Shape, depth: int) -> Condition:
    column = shape.column(name)
    if op == "not":
        return Not(_member({name: operand}, shape, depth + 1))
    if op not in OPERATORS:
        raise unknown("operator", op, (*OPERATORS, "not"))
    if op == "is":
        if operand not in (None, True, False):
            raise wrong_value(column, "takes is with null, true or false")
        return comparison(column, op, operand)
    if op != "in":
        return comparison(column, op, from_json(column, operand))
    if not isinstance(operand, list) or not operand:
        raise wrong_value(column, "takes in with a list of values")
    return comparison(column, op, tuple(from_json(column, each) for each in operand))


def _order(part: Any, shape: Shape) -> Order:
    if not isinstance(part, dict) or not isinstance(part.get("column"), str):
        raise Invalid('order takes objects such as {"column": "id", "direction": "desc"}')
    for name in part:
        if name not in ORDER_MEMBERS:
            raise unknown("member", name, ORDER_MEMBERS)
    return order_by(part["column"], str(part.get("direction", "asc")), shape)


def _names(value: Any, shape: Shape) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = tuple(shape.column(str(name)).name for name in _list("select", value))
    if not names or len(set(names)) < len(names):
        raise Invalid("select names each column once")
    return names


def _list(name: str, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Invalid(f"{name} takes a list")
    return value


def _whole(name: str, value: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise Invalid(f"{name} takes a whole number")
    return value


def _text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise Invalid(f"{name} takes a text")
    return value
