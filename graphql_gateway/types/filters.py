"""A `where` argument as the core's URL filters; every value is quoted, so that none can become grammar."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ariadne import EnumType
from ariadne.types import SchemaBindable

from graphql_gateway.errors import invalid


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    return [EnumType("Direction", {"ASC": "asc", "DESC": "desc"})]


OPERATORS = frozenset(("eq", "neq", "gt", "gte", "lt", "lte", "in", "like", "ilike", "is", "not"))
# What is no part of the grammar within a group, where names cannot be quoted.
COLUMN = re.compile(r"[^.,()\"\x00-\x20]+")


@dataclass(frozen=True)
class Term:
    """A condition of a column, `column=op.value`, or a group, `or=(…)`; within a group `column.op.value`, `or(…)`."""

    name: str
    text: str
    is_group: bool

    @property
    def member(self) -> str:
        """The term within a group."""
        return f"{self.name}{self.text}" if self.is_group else f"{self.name}.{self.text}"

    @property
    def negated(self) -> "Term":
        """What the term is false of."""
        if self.is_group:
            return Term(f"not.{self.name}", self.text, True)
        return Term(self.name, f"not.{self.text}", False)


def filter_pairs(where: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The URL parameters of a `where`, whose names are the core's. Raises Refusal for null where a value belongs."""
    return [(term.name, term.text) for term in _terms(where or {})]


def read_where(where: Any, reserved: Collection[str]) -> Mapping[str, Any]:
    """A `where` that came as any JSON, as `filter_pairs` takes it; `reserved` names are no columns. Raises Refusal."""
    for name, value in _object(where, "where").items():
        if name == "not":
            read_where(value, reserved)
        elif name in ("and", "or"):
            for member in _list(value, name):
                read_where(member, reserved)
        elif name in reserved or not COLUMN.fullmatch(name):
            raise invalid(f"{name[:100]} cannot be a column of where")
        else:
            _check_comparisons(name, value)
    found: Mapping[str, Any] = where
    return found


def _check_comparisons(column: str, operators: Any) -> None:
    for op, value in _object(operators, column).items():
        if op not in OPERATORS:
            raise invalid(f"{op[:100]} is none of the operators {', '.join(sorted(OPERATORS))}")
        if op == "not":
            _check_comparisons(column, value)
        elif op == "is" and not (value is None or isinstance(value, bool)):
            raise invalid(f"{column} takes null, true or false with is")
        elif any(isinstance(each, list | dict) for each in (_list(value, op) if op == "in" else [value])):
            raise invalid(f"{column} takes no list or object with {op}")


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"{name} takes an object")
    return value


def _list(value: Any, name: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise invalid(f"{name} takes a list")
    return value


def order_text(orders: Iterable[Mapping[str, str]]) -> str:
    """The `order` parameter of objects with one column each."""
    return ",".join(f"{column}.{direction}" for order in orders for column, direction in order.items())


def _terms(where: Mapping[str, Any]) -> list[Term]:
    return [term for name, value in where.items() for term in _terms_of(name, value)]


def _terms_of(name: str, value: Any) -> list[Term]:
    if value is None:
        raise invalid(f'{name} takes no null; to find what has no value, write {{"is": null}}')
    if name == "not":
        return [_all_of(name, _terms(value)).negated]
    if name in ("and", "or"):
        return [_group(name, [_all_of(name, _terms(member)) for member in value])]
    return _comparisons(name, value)


def _comparisons(column: str, operators: Mapping[str, Any]) -> list[Term]:
    if not operators:
        raise invalid(f'{column} takes an object such as {{"eq": …}}')
    return [_comparison(column, op, value) for op, value in operators.items()]


def _comparison(column: str, op: str, value: Any) -> Term:
    if op == "is":
        return Term(column, f"is.{json.dumps(value)}", False)
    if value is None:
        raise invalid(f'{column} takes no null with {op}; to find what has no value, write {{"is": null}}')
    if op == "not":
        return _all_of(column, _comparisons(column, value)).negated
    text = f"({','.join(map(quoted, value))})" if op == "in" else quoted(value)
    return Term(column, f"{op}.{text}", False)


def quoted(value: Any) -> str:
    """A value in the double quotes that keep it from being read as anything else."""
    escaped = written(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def written(value: Any) -> str:
    """A value as a URL has it."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _all_of(name: str, terms: Sequence[Term]) -> Term:
    if not terms:
        raise invalid(f"{name} takes no empty condition")
    return terms[0] if len(terms) == 1 else _group("and", terms)


def _group(name: str, terms: Sequence[Term]) -> Term:
    if not terms:
        raise invalid(f"{name} takes at least one condition")
    return Term(name, f"({','.join(term.member for term in terms)})", True)
