"""How the values of a type are read out of plain rows, without resolvers."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, NamedTuple

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLError,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLString,
)

from graphql_gateway.types.scalars import to_long, to_number

Read = Callable[[Any], Any]
Coerce = Callable[[Any], Any]

COERCIBLE = frozenset({str, int, float, bool, Decimal})
"""A scalar may coerce these any number of times: they call nothing, and are neither errors nor awaitable."""
JSON_VALUES = frozenset({str, int, float, bool, list, dict})


class Unusual(Exception):
    """A value that graphql-core must complete: an error, or one to call, to await or to look into."""


class Reading(NamedTuple):
    """How a value is read.

    One whose type is just `exact` is answered as it is, and so is None if that `is_nullable`;
    `read` gives the answer to others, or raises Unusual.
    """

    exact: type
    is_nullable: bool
    read: Read


# No named tuple: Python unpacks plain ones in half the time.
Field = tuple[str, str, type, bool, Read]
"""A field of a plain object: what it is called in the answer and in the row, and its reading."""


class Nothing:
    """The exact type of readings that look at every value."""


def leaf(wanted: GraphQLOutputType) -> Reading | None:
    """The reading of a scalar or an enum; None where its coercion is not known, and of other types."""
    if type(wanted) is GraphQLScalarType:
        return SCALARS.get(wanted.coerce_output_value)
    if type(wanted) is GraphQLEnumType:
        return Reading(Nothing, True, _coerced(wanted.coerce_output_value))
    return None


def constant(value: str) -> Reading:
    """The reading that gives one value whatever there is."""
    return Reading(Nothing, False, lambda _: value)


def list_of(item: Reading) -> Reading:
    """The reading of lists whose items have a reading."""
    exact, is_nullable, read_item = item

    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Unusual
        return [each if type(each) is exact or (each is None and is_nullable) else read_item(each) for each in value]

    return Reading(Nothing, True, read)


def object_of(fields: Sequence[Field]) -> Reading:
    """The reading of objects whose fields have readings."""

    def read(row: Any) -> dict[str, Any]:
        if type(row) is not dict:
            raise Unusual
        get = row.get
        answer = {}
        for name, key, exact, is_nullable, read_value in fields:
            value = get(key)
            if type(value) is exact or (value is None and is_nullable):
                answer[name] = value
            else:
                answer[name] = read_value(value)
        return answer

    return Reading(Nothing, True, read)


def once(item: Reading, answers: dict[int, Any]) -> Reading:
    """The reading of objects that rows may share, as articles do their author.

    `answers` are those given, by the rows' ids; whoever reads forgets them before a row can go.
    """
    read = item.read

    def read_once(row: Any) -> Any:
        found = answers.get(id(row))
        if found is None:
            found = answers[id(row)] = read(row)
        return found

    return Reading(item.exact, item.is_nullable, read_once)


def usual(fields: Sequence[Field], row: dict[str, Any]) -> dict[str, Any]:
    """The answers to the fields whose values in a row are usual."""
    answer = {}
    for name, key, exact, is_nullable, read_value in fields:
        value = row.get(key)
        if type(value) is exact or (value is None and is_nullable):
            answer[name] = value
            continue
        try:
            answer[name] = read_value(value)
        except (Unusual, RecursionError):
            continue
    return answer


def _coerced(coerce: Coerce) -> Read:
    def read(value: Any) -> Any:
        if type(value) not in COERCIBLE:
            raise Unusual
        try:
            return coerce(value)
        except (GraphQLError, ArithmeticError, TypeError, ValueError) as error:
            raise Unusual from error

    return read


def _whole(bits: int) -> Read:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)

    def read(value: Any) -> int:
        if type(value) is int and low <= value < high:
            return value
        raise Unusual

    return read


def _finite(coerce: Coerce) -> Read:
    read_other = _coerced(coerce)

    def read(value: Any) -> Any:
        return value if type(value) is float and isfinite(value) else read_other(value)

    return read


def _json(value: Any) -> Any:
    if type(value) in JSON_VALUES:
        return value
    raise Unusual


# By the function that coerces, not by the name: a schema may have a scalar of its own that is called `Long`.
SCALARS: dict[Coerce, Reading] = {
    GraphQLString.coerce_output_value: Reading(str, True, _coerced(GraphQLString.coerce_output_value)),
    GraphQLID.coerce_output_value: Reading(str, True, _coerced(GraphQLID.coerce_output_value)),
    GraphQLBoolean.coerce_output_value: Reading(bool, True, _coerced(GraphQLBoolean.coerce_output_value)),
    GraphQLInt.coerce_output_value: Reading(Nothing, True, _whole(32)),
    GraphQLFloat.coerce_output_value: Reading(Nothing, True, _finite(GraphQLFloat.coerce_output_value)),
    GraphQLScalarType.serialize: Reading(str, True, _json),
    str: Reading(str, True, _coerced(str)),
    to_long: Reading(Nothing, True, _whole(64)),
    to_number: Reading(Nothing, True, _finite(to_number)),
}
