"""Rows of JSON as Python values of a table's types, each row by itself: one that does not fit spoils no other."""

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from rest_api.backends.arrow_rows import converted
from rest_api.backends.parsing import ExpectedColumn
from rest_api.backends.parsing.conversion import REASONS, Unfit
from rest_api.backends.storage import refusing_full_disks
from rest_api.lake.checks import MISSING, shown

MAX_OBJECTIONS = 3
Row = Mapping[str, Any]
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{8}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})")


@dataclass(frozen=True)
class _Misfit:
    """A value that is none of its column's type."""

    value: Any


@dataclass(frozen=True)
class RowTypes:
    """The types of a table's columns at a moment, for rows on their way into it and out of it."""

    columns: tuple[ExpectedColumn, ...]

    def typed(self, rows: Sequence[Row]) -> list[Row | str]:
        """Each row with a value for every column, null where it says nothing; or what is wrong with it."""
        fitted = [_fitted([row.get(column.name) for row in rows], column) for column in self.columns]
        names = [column.name for column in self.columns]
        values = (dict(zip(names, each, strict=True)) for each in zip(*fitted, strict=True))
        return [_objection(row, found, self.columns) or found for row, found in zip(rows, values, strict=True)]

    def read(self, batches: Iterable[Any]) -> Iterator[Row]:
        """Rows that an engine read, as `typed` gives them: bytes from Base64, what is nested from its JSON."""
        types = {column.name: column.type for column in self.columns}
        for batch in batches:
            names = batch.schema.names
            values = [_read(batch.column(name), types[name]) for name in names]
            yield from (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))

    def write(self, rows: Sequence[Row], target: Path) -> None:
        """Write rows of Python values to a file as the table takes them. Raises Unavailable on a full disk."""
        schema = pa.schema([pa.field(column.name, column.type, column.is_nullable) for column in self.columns])
        with refusing_full_disks():
            pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema), target)


def _read(array: Any, type_: pa.DataType) -> list[Any]:
    written: Callable[[Any], Any] | None = next((read for is_of, read in _WRITTEN if is_of(type_)), None)
    if written is None:
        return _values(array.cast(type_))
    return [None if each is None else written(each) for each in array.to_pylist()]


def _values(array: pa.Array) -> list[Any]:
    """Python values. Times are in `datetime.UTC`, which costs far less to make and to write than Arrow's zones."""
    if not _is_moment(array.type):
        return list(array.to_pylist())
    moments = array.cast(pa.timestamp(array.type.unit)).to_pylist()
    return [None if each is None else each.replace(tzinfo=UTC) for each in moments]


def _fitted(values: list[Any], column: ExpectedColumn) -> list[Any]:
    """The values of a column. What does not fit is found by halving, so that all others are converted together."""
    try:
        return _values(_converted(values, column))
    except REASONS:
        middle = len(values) // 2
        if not middle:
            return [_Misfit(values[0])]
        return _fitted(values[:middle], column) + _fitted(values[middle:], column)


def _converted(values: list[Any], column: ExpectedColumn) -> pa.Array:
    if _is_moment(column.type) and not all(value is None or _is_rfc_3339(value) for value in values):
        raise Unfit
    array = converted(values, column.type)
    if array.null_count and not column.is_nullable:
        raise Unfit
    return array


def _is_moment(type_: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(type_)) and type_.tz is not None


def _is_rfc_3339(value: Any) -> bool:
    return isinstance(value, str) and _RFC_3339.fullmatch(value) is not None


def _objection(row: Row, found: Row, columns: Sequence[ExpectedColumn]) -> str | None:
    """What is wrong with a row; None where nothing is."""
    wrong = [f"{shown(name)} is not a column" for name in row if name not in found]
    wrong += [
        f"{column.name}: {_why(found[column.name].value, column.type)}"
        for column in columns
        if isinstance(found[column.name], _Misfit)
    ]
    return "; ".join(wrong[:MAX_OBJECTIONS]) or None


def _why(value: Any, type_: pa.DataType) -> str:
    if value is None:
        return MISSING
    return next((say(value, type_) for is_of, say in _REASONS if is_of(type_)), f"is no value of type {type_}")


def _not_whole(value: Any, type_: pa.DataType) -> str:
    return f"is beyond {type_}" if type(value) is int else "must be a whole number"


def _not_decimal(value: Any, type_: pa.DataType) -> str:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return f"must have at most {type_.scale} decimals, {type_.precision} digits in all"
    return f"{shown(value)} is not a number"


_WRITTEN: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (pa.types.is_nested, orjson.loads),
    (pa.types.is_binary, base64.b64decode),
    (pa.types.is_large_binary, base64.b64decode),
)
_REASONS: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], str]], ...] = (
    (pa.types.is_integer, _not_whole),
    (pa.types.is_decimal, _not_decimal),
    (pa.types.is_floating, lambda value, _: f"{shown(value)} is not a number"),
    (_is_moment, lambda *_: "is not an RFC 3339 time"),
    (pa.types.is_timestamp, lambda *_: "is not a time"),
    (pa.types.is_date, lambda *_: "is not a date such as 2026-11-01"),
    (pa.types.is_boolean, lambda *_: "must be true or false"),
    (pa.types.is_string, lambda *_: "must be a text"),
)
