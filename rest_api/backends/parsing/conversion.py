"""Values made to fit the type of a column, exactly or not at all."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rest_api.backends.parsing.rows import Place

TIMESTAMP = pa.timestamp("us", "UTC")
_EARLIEST = pa.scalar(-30_610_224_000_000_000, pa.int64())  # 1000-01-01
_LATEST = pa.scalar(253_402_300_799_999_999, pa.int64())  # the last microsecond of 9999
_DATE = "[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
_ZONE = "(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
_NUMBER = r"-?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?"
# Arrow by itself takes 0x1F for a number, and more.
_INTEGER_TEXT = "^-?[0-9]+$"
_NUMBER_TEXT = f"^{_NUMBER}$"
_BOOLEAN_TEXT = "^(?:true|false|True|False|TRUE|FALSE)$"
_DATE_TEXT = f"^{_DATE}$"
_TIMESTAMP_TEXT = f"^{_DATE}(?:{_CLOCK}{_ZONE}?)?$"
TIMESTAMP_TEXT = re.compile(_TIMESTAMP_TEXT)


class Unfit(Exception):
    """Some value is none of its column's type."""


REASONS = (Unfit, pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, UnicodeError, OverflowError)
"""What conversions raise for a value, rather than for the state of the machine."""


def from_text(texts: pa.Array, type_: pa.DataType) -> pa.Array:
    """Texts as values of `type_`; empty ones are null unless `type_` is text. Raises one of REASONS."""
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return texts.cast(type_)
    present = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    return _reader(type_)(present, type_)


def fitted(
    values: Sequence[Any],
    field: pa.Field,
    convert: Callable[[Any, pa.DataType], pa.Array],
    place: Callable[[int], Place],
) -> pa.Array:
    """The column of `values`. Raises Invalid naming the column and the place of the first value that does not fit."""
    try:
        column = convert(values, field.type)
    except REASONS as error:
        index = _first_unfit(values, field.type, convert)
        raise place(index).wrong(field.name, f"{_shown(values[index])} is not {field.type}") from error
    if column.null_count and not field.nullable:
        index = pc.index(pc.is_null(column), pa.scalar(value=True)).as_py()
        raise place(index).wrong(field.name, "may not be null")
    return column


def _first_unfit(values: Sequence[Any], type_: pa.DataType, convert: Callable[[Any, pa.DataType], pa.Array]) -> int:
    """Halving: the first `low` values are known to fit, the first `high` not to."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _fits(values[low:middle], type_, convert) else (low, middle)
    return low


def _fits(values: Sequence[Any], type_: pa.DataType, convert: Callable[[Any, pa.DataType], pa.Array]) -> bool:
    try:
        convert(values, type_)
    except REASONS:
        return False
    return True


def check_times(times: pa.Array) -> pa.Array:
    """The same times. Raises Unfit for one before year 1000 or after 9999, which other readers cannot hold."""
    bounds = pc.min_max(times.cast(TIMESTAMP).cast(pa.int64()))
    earliest, latest = bounds["min"], bounds["max"]
    if earliest.is_valid and not _EARLIEST.as_py() <= earliest.as_py() <= latest.as_py() <= _LATEST.as_py():
        raise Unfit
    return times


def _reader(type_: pa.DataType) -> Callable[[pa.Array, pa.DataType], pa.Array]:
    for is_of, reader in _READERS:
        if is_of(type_):
            return reader
    raise Unfit


def _check(texts: pa.Array, pattern: str) -> None:
    if pc.all(pc.match_substring_regex(texts, pattern)).as_py() is False:
        raise Unfit


def _integers(texts: pa.Array, type_: pa.DataType) -> pa.Array:
    _check(texts, _INTEGER_TEXT)
    return pc.cast(texts, type_)


def _doubles(texts: pa.Array, type_: pa.DataType) -> pa.Array:
    _check(texts, _NUMBER_TEXT)
    numbers = pc.cast(texts, type_)
    if pc.all(pc.is_finite(numbers)).as_py() is False:
        raise Unfit
    return numbers


def _decimals(texts: pa.Array, type_: pa.DataType) -> pa.Array:
    _check(texts, _NUMBER_TEXT)
    return pc.cast(texts, type_)


def _booleans(texts: pa.Array, _type: pa.DataType) -> pa.Array:
    _check(texts, _BOOLEAN_TEXT)
    return pc.equal(pc.ascii_lower(texts), "true")


def _dates(texts: pa.Array, type_: pa.DataType) -> pa.Array:
    _check(texts, _DATE_TEXT)
    return pc.cast(texts, type_)


def _timestamps(texts: pa.Array, type_: pa.DataType) -> pa.Array:
    _check(texts, _TIMESTAMP_TEXT)
    upper = pc.ascii_upper(texts)
    timed = pc.if_else(pc.equal(pc.binary_length(upper), 10), _joined(upper, "T00:00:00Z"), upper)
    zoned = pc.if_else(pc.match_substring_regex(timed, f"{_ZONE}$"), timed, _joined(timed, "Z"))
    return check_times(pc.cast(zoned, TIMESTAMP)).cast(type_)


def _joined(texts: pa.Array, end: str) -> pa.Array:
    return pc.binary_join_element_wise(texts, end, "")


_READERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array, pa.DataType], pa.Array]], ...] = (
    (pa.types.is_integer, _integers),
    (pa.types.is_floating, _doubles),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_boolean, _booleans),
    (pa.types.is_date, _dates),
    (pa.types.is_timestamp, _timestamps),
)


def _shown(value: Any) -> str:
    plain = value.as_py() if isinstance(value, pa.Scalar) else value
    text = repr(plain)
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return short.encode("utf-8", "backslashreplace").decode()
