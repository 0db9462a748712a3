"""The scalars `Long`, `Decimal`, `DateTime` and `JSON`."""

import math
import re
from decimal import Decimal
from typing import Any

from ariadne import ScalarType
from ariadne.types import SchemaBindable
from graphql import (
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    print_ast,
)

from graphql_gateway.exact_json import number, whole

TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2}))?"
)

MAX_DIGITS = 100


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    long = ScalarType("Long", serializer=to_long, value_parser=to_long, literal_parser=read_long)
    decimal = ScalarType("Decimal", serializer=to_number, value_parser=to_number, literal_parser=read_number)
    time = ScalarType("DateTime", serializer=str, value_parser=to_time)
    return [long, decimal, time, ScalarType("JSON", literal_parser=read_json)]


def to_long(value: Any) -> int:
    """A whole number of at most 64 bits. Raises GraphQLError."""
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise GraphQLError(f"Long takes a whole number of at most 64 bits, not {str(value)[:40]}")
    return value


def read_long(node: ValueNode, _variables: dict[str, Any] | None = None) -> int:
    """The whole number in a document. Raises GraphQLError."""
    is_readable = isinstance(node, IntValueNode) and len(node.value) <= 20
    return to_long(int(node.value) if is_readable and isinstance(node, IntValueNode) else print_ast(node))


def to_time(value: Any) -> str:
    """A time as the core reads it. Raises GraphQLError."""
    if not isinstance(value, str) or not TIME.fullmatch(value):
        raise GraphQLError("DateTime takes a time such as 2026-11-01T12:00:00Z, or a date")
    return value


def to_number(value: Any) -> int | float | Decimal:
    """A number, unless it is infinite. Raises GraphQLError."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        raise GraphQLError(f"Decimal takes a number, not {str(value)[:40]}")
    return value


def read_number(node: ValueNode, _variables: dict[str, Any] | None = None) -> Decimal:
    """The number in a document, digit for digit. Raises GraphQLError."""
    if not isinstance(node, IntValueNode | FloatValueNode) or not _is_number(node.value):
        raise GraphQLError(f"Decimal takes a number, not {print_ast(node)[:40]}")
    return Decimal(node.value)


def read_json(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    """The value in a document, digit for digit; a variable that is not given is null. Raises GraphQLError."""
    if isinstance(node, ObjectValueNode):
        return {each.name.value: read_json(each.value, variables) for each in node.fields}
    if isinstance(node, ListValueNode):
        return [read_json(each, variables) for each in node.values]
    if isinstance(node, VariableNode):
        return (variables or {}).get(node.name.value)
    if isinstance(node, IntValueNode | FloatValueNode):
        return _json_number(node)
    return None if isinstance(node, NullValueNode) else node.value  # type: ignore[attr-defined]


def _json_number(node: IntValueNode | FloatValueNode) -> int | float | Decimal:
    if not _is_number(node.value):
        raise GraphQLError(f"A number has at most {MAX_DIGITS} digits and fits a double, unlike {node.value[:40]}")
    return whole(node.value) if isinstance(node, IntValueNode) else number(node.value)


def _is_number(text: str) -> bool:
    return len(text) <= MAX_DIGITS and math.isfinite(float(text))
