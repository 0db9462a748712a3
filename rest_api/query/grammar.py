"""Reads a query from a URL's parameters: `column=op.value`, groups, order, limits (docs/QUERY.md)."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rest_api.errors import FieldError, Invalid, unknown
from rest_api.query.conditions import (
    MAX_CONDITIONS,
    OPERATORS,
    And,
    Column,
    Comparison,
    Condition,
    Not,
    Or,
    Order,
    Query,
    Shape,
    all_of,
)
from rest_api.query.values import from_text, wrong_value

PARAMETERS = ("select", "order", "limit", "limit_per", "cursor", "page", "count")
GROUPS = ("or", "and", "not.or", "not.and")
COUNTS = ("none", "exact", "estimated")
MAX_DEPTH = 10
_WORD = re.compile(r"[A-Za-z]+")
_WHOLE = re.compile(r"[0-9]{1,9}")


def parse_url(pairs: Sequence[tuple[str, str]], shape: Shape) -> Query:
    """The query in a URL's parameters, in their order. Raises Invalid naming the nearest valid thing."""
    _require_once(pairs)
    given = {name: value for name, value in pairs if name in PARAMETERS}
    conditions = [_parameter(name, value, shape) for name, value in pairs if name not in PARAMETERS]
    return build(
        shape,
        select=_names(given.get("select"), shape),
        conditions=conditions,
        order=_orders(given.get("order"), shape),
        limit=_whole("limit", given.get("limit")),
        limit_per=given.get("limit_per"),
        cursor=given.get("cursor"),
        page=_whole("page", given.get("page")),
        count=given.get("count", "none"),
    )


def build(
    shape: Shape,
    *,
    select: tuple[str, ...] | None,
    conditions: list[Condition],
    order: tuple[Order, ...],
    limit: int | None,
    limit_per: str | None,
    cursor: str | None,
    page: int | None,
    count: str,
) -> Query:
    """The query of parts already read, its limits checked and its order made total by the key."""
    limit = shape.default_limit if limit is None else limit
    if not 1 <= limit <= shape.max_limit:
        raise _wrong("limit", f"limit goes from 1 to {shape.max_limit}")
    if page is not None and page < 1:
        raise _wrong("page", "page counts from 1")
    if count not in COUNTS:
        raise unknown("count", count, COUNTS)
    if limit_per is not None:
        shape.column(limit_per)
    if sum(_size(condition) for condition in conditions) > MAX_CONDITIONS:
        raise Invalid(f"A query takes at most {MAX_CONDITIONS} conditions")
    where = all_of(conditions)
    return Query(select, where, _total(order or shape.default_order, shape), limit, limit_per, cursor, page, count)


def comparison(column: Column, op: str, value: Any) -> Comparison:
    """A comparison whose operator suits the column. Raises Invalid."""
    if op not in column.type.operators:
        raise wrong_value(column, f"takes {', '.join(column.type.operators)}; {op} does not suit it")
    if op == "is" and value is not None and column.type.value != "boolean":
        raise wrong_value(column, "takes is.null; true and false are for booleans")
    return Comparison(column.name, op, value)


def _require_once(pairs: Sequence[tuple[str, str]]) -> None:
    counts = Counter(name for name, _ in pairs)
    for name in PARAMETERS:
        if counts[name] > 1:
            raise _wrong(name, f"{name} is given once")


def _parameter(name: str, value: str, shape: Shape) -> Condition:
    if name in GROUPS:
        return _group(name, value, shape, 1)
    if name not in shape.by_name:
        raise unknown("parameter", name, (*shape.names, *PARAMETERS, "or", "and"))
    return _comparison(shape.column(name), value, needs_operator=False)


def _group(name: str, text: str, shape: Shape, depth: int) -> Condition:
    if depth > MAX_DEPTH:
        raise Invalid(f"Groups are nested at most {MAX_DEPTH} deep")
    members = tuple(_member(item, shape, depth) for item in _items(text))
    group: Condition = Or(members) if name.endswith("or") else And(members)
    return Not(group) if name.startswith("not.") else group


def _member(text: str, shape: Shape, depth: int) -> Condition:
    for name in GROUPS:
        if text.startswith(f"{name}("):
            return _group(name, text[len(name) :], shape, depth + 1)
    name, _, rest = text.partition(".")
    return _comparison(shape.column(name), rest, needs_operator=True)


def _comparison(column: Column, text: str, *, needs_operator: bool) -> Condition:
    word = _WORD.match(text)
    has_operator = word is not None and text[word.end() : word.end() + 1] == "."
    if not has_operator and needs_operator:
        raise wrong_value(column, "needs an operator, as in amount.gt.5")
    if not has_operator or word is None:
        return comparison(column, "eq", from_text(column, _unquoted(text)))
    op, rest = word.group(), text[word.end() + 1 :]
    if op == "not":
        return Not(_comparison(column, rest, needs_operator=True))
    if op not in OPERATORS:
        raise unknown("operator", op, (*OPERATORS, "not"))
    return comparison(column, op, _value(column, op, rest))


def _value(column: Column, op: str, text: str) -> Any:
    if op == "is":
        if text not in ("null", "true", "false"):
            raise wrong_value(column, "takes is.null, is.true or is.false")
        return {"null": None, "true": True, "false": False}[text]
    if op == "in":
        return tuple(from_text(column, _unquoted(item)) for item in _items(text))
    return from_text(column, _unquoted(text))


def _items(text: str) -> list[str]:
    """The members of `(a,"b,c",or(d,e))`, quotes kept. Raises Invalid."""
    if len(text) < 3 or text[0] != "(" or text[-1] != ")":
        raise Invalid(f"Expected a list in parentheses, such as (a,b), not {text[:60]!r}")
    items, start, depth, is_quoted, position = [], 1, 0, False, 1
    while position < len(text) - 1:
        letter = text[position]
        if is_quoted:
            position += letter == "\\"
            is_quoted = letter != '"'
        elif letter == '"':
            is_quoted = True
        elif letter == "," and depth == 0:
            items.append(text[start:position])
            start = position + 1
        else:
            depth += (letter == "(") - (letter == ")")
        if depth < 0:
            break
        position += 1
    items.append(text[start:-1])
    if depth != 0 or is_quoted or position != len(text) - 1 or "" in items or len(items) > 10 * MAX_CONDITIONS:
        raise Invalid(f"The list {text[:60]!r} is not well formed")
    return items


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    if len(text) < 2 or not re.fullmatch(r'"(?:[^"\\]|\\.)*"', text, re.DOTALL):
        raise Invalid(f"The quotes of {text[:60]!r} do not match")
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _names(text: str | None, shape: Shape) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(shape.column(name).name for name in text.split(","))
    if len(set(names)) < len(names):
        raise _wrong("select", "select names each column once")
    return names


def _orders(text: str | None, shape: Shape) -> tuple[Order, ...]:
    if text is None:
        return ()
    return tuple(order_by(*_direction(part), shape) for part in text.split(","))


def _direction(part: str) -> tuple[str, str]:
    name, _, direction = part.partition(".")
    return name, direction or "asc"


def order_by(name: str, direction: str, shape: Shape) -> Order:
    """One part of an order. Raises Invalid for a column or direction that cannot be."""
    column = shape.column(name)
    if direction not in ("asc", "desc"):
        raise unknown("direction", direction, ("asc", "desc"))
    if not column.is_orderable:
        raise wrong_value(column, "cannot be ordered by")
    return Order(name, direction == "desc")


def _total(order: tuple[Order, ...], shape: Shape) -> tuple[Order, ...]:
    named = [part.column for part in order]
    if len(set(named)) < len(named):
        raise _wrong("order", "order names each column once")
    return (*order, *(Order(name) for name in shape.key if name not in named))


def _whole(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not _WHOLE.fullmatch(text):
        raise _wrong(name, f"{name} takes a whole number")
    return int(text)


def _size(condition: Condition) -> int:
    if isinstance(condition, Comparison):
        return 1
    if isinstance(condition, Not):
        return _size(condition.condition)
    return 1 + sum(_size(member) for member in condition.conditions)


def _wrong(name: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(name, detail)])
