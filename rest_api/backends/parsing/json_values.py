"""Values of JSON as columns: which type holds them, and how they are made to fit one."""

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rest_api.backends.parsing.conversion import REASONS, TIMESTAMP, TIMESTAMP_TEXT, Unfit, from_text

_NUMBER = re.compile(r"-?[0-9]{1,80}(?:\.[0-9]{1,80})?(?:[eE][+-]?[0-9]{1,2})?")
_MAX_INT64 = 2**63 - 1
_EXACT_IN_DOUBLE = 2**53


@dataclass
class Seen:
    """What the values of one column were, apart from null."""

    kinds: set[type] = field(default_factory=set)
    largest: int = 0
    are_times: bool = True

    def observe(self, values: list[Any]) -> None:
        """Takes in some more values."""
        kinds = {type(value) for value in values}
        if int in kinds:
            integers = [value for value in values if type(value) is int]
            self.largest = max(self.largest, max(integers), -min(integers) - 1)  # noqa: PLW3301  # not a million arguments
        if self.are_times and str in kinds:
            self.are_times = _are_times([value for value in values if type(value) is str])
        self.kinds |= kinds

    def type(self) -> pa.DataType:
        """The type that holds all of them."""
        kinds = self.kinds - {type(None)}
        if kinds == {bool}:
            return pa.bool_()
        if kinds == {int} and self.largest <= _MAX_INT64:
            return pa.int64()
        if kinds in ({float}, {int, float}) and self.largest <= _EXACT_IN_DOUBLE:
            return pa.float64()
        return TIMESTAMP if kinds == {str} and self.are_times else pa.string()


def _are_times(texts: list[str]) -> bool:
    if not all(TIMESTAMP_TEXT.match(text) for text in texts):
        return False
    try:
        from_text(pa.array(texts, pa.string()), TIMESTAMP)
    except REASONS:
        return False
    return True


def from_values(values: list[Any], type_: pa.DataType) -> pa.Array:
    """JSON values as a column. Raises one of `conversion.REASONS`."""
    kinds = {type(value) for value in values} - {type(None)}
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return pa.array([_text(value) for value in values] if kinds - {str} else values, type_)
    if pa.types.is_nested(type_):
        return pa.array(values, type_)
    if kinds <= {str} and not _is_number(type_):
        return _checked_texts(values, type_)
    if not kinds <= _kinds_of(type_):
        raise Unfit
    array = pa.array(_numbers(values, kinds, type_), type_)
    if pa.types.is_floating(type_) and pc.all(pc.is_finite(array)).as_py() is False:
        raise Unfit
    return array


def _checked_texts(values: list[Any], type_: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(type_) and any(value is not None for value in values):
        raise Unfit
    if "" in values:
        raise Unfit
    return from_text(pa.array(values, pa.string()), type_)


def _is_number(type_: pa.DataType) -> bool:
    return any(is_of(type_) for is_of in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal))


def _kinds_of(type_: pa.DataType) -> set[type]:
    if pa.types.is_boolean(type_):
        return {bool}
    if pa.types.is_integer(type_):
        return {int}
    if pa.types.is_floating(type_):
        return {int, float, Decimal}
    return {int, Decimal, str} if pa.types.is_decimal(type_) else set()


def _numbers(values: list[Any], kinds: set[type], type_: pa.DataType) -> list[Any]:
    if pa.types.is_floating(type_) and Decimal in kinds:
        return [float(value) if isinstance(value, Decimal) else value for value in values]
    if pa.types.is_decimal(type_) and str in kinds:
        return [_number_in(value) if isinstance(value, str) else value for value in values]
    return values


def _number_in(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise Unfit
    return Decimal(text)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=float)
