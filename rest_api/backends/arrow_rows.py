"""Rows of JSON as one Parquet file of a table's columns, every value exactly or not at all."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rest_api.backends.parsing import ExpectedColumn
from rest_api.backends.parsing.conversion import REASONS, Unfit
from rest_api.backends.parsing.json_values import from_values
from rest_api.backends.storage import refusing_full_disks
from rest_api.errors import FieldError, Invalid, nearest

MAX_ERRORS = 100
Row = Mapping[str, Any]


def write_rows(rows: Sequence[Row], columns: Sequence[ExpectedColumn], target: Path) -> None:
    """Write rows to a file; a column that a row leaves out is null in it.

    Raises Invalid naming each value that does not fit as `rows.3.amount`, up to a hundred; Unavailable on a full disk.
    """
    schema = pa.schema([pa.field(column.name, column.type, column.is_nullable) for column in columns])
    _require_known(rows, schema)
    arrays: list[Any] = []
    errors: list[FieldError] = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        try:
            arrays.append(_column(values, field))
        except REASONS:
            errors += _unfit(values, field)
    if errors:
        raise _invalid(errors)
    with refusing_full_disks():
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), target)


def _require_known(rows: Sequence[Row], schema: pa.Schema) -> None:
    known, errors, near = set(schema.names), [], None
    for number, row in enumerate(rows):
        for name in row.keys() - known:
            found = nearest(name, schema.names)
            near = near or found
            hint = f"; did you mean {found!r}?" if found else ""
            errors.append(FieldError(f"rows.{number}.{name[:100]}", f"Unknown column {name[:100]!r}{hint}"))
        if len(errors) >= MAX_ERRORS:
            break
    if errors:
        raise _invalid(errors, near)


def _invalid(errors: Sequence[FieldError], near: str | None = None) -> Invalid:
    named = sorted(errors[:MAX_ERRORS], key=lambda error: int(error.field.split(".", 2)[1]))
    detail = "; ".join(f"{error.field}: {error.detail}" for error in named[:3])
    return Invalid(detail, errors=named, did_you_mean=near)


def _column(values: Sequence[Any], field: pa.Field) -> pa.Array:
    array = converted(values, field.type)
    if array.null_count and not field.nullable:
        raise Unfit
    return array


def _unfit(values: Sequence[Any], field: pa.Field) -> Iterator[FieldError]:
    found = 0
    for number, value in enumerate(values):
        why = _why(value, field)
        if why is None:
            continue
        yield FieldError(f"rows.{number}.{field.name}", why)
        found += 1
        if found == MAX_ERRORS:
            return


def _why(value: Any, field: pa.Field) -> str | None:
    """What is wrong with a value; None where nothing is."""
    if value is None:
        return None if field.nullable else "Missing, and may not be null"
    try:
        converted([value], field.type)
    except REASONS:
        return f"Expected {_expected(field.type)}"
    return None


def converted(values: Sequence[Any], type_: Any) -> pa.Array:
    """Values as an array. Raises one of REASONS."""
    if pa.types.is_nested(type_):
        return pa.array([_nested(value, type_) for value in values], type_)
    if _is_binary(type_):
        return pa.array([_bytes(value) for value in values], type_)
    if _is_text(type_) and any(value is not None and not isinstance(value, str) for value in values):
        raise Unfit
    return from_values(list(values), type_)


def _nested(value: Any, type_: Any) -> Any:
    """A value inside lists and structs. Raises Unfit for what Arrow would drop or reinterpret."""
    if value is None:
        return None
    if pa.types.is_struct(type_):
        return _members(value, type_)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        if not isinstance(value, list):
            raise Unfit
        return [_nested(each, type_.value_type) for each in value]
    return converted([value], type_)[0].as_py()


def _members(value: Any, type_: Any) -> dict[str, Any]:
    fields = {type_.field(place).name: type_.field(place) for place in range(type_.num_fields)}
    if not isinstance(value, dict) or not value.keys() <= fields.keys():
        raise Unfit
    found = {name: _nested(value.get(name), field.type) for name, field in fields.items()}
    if any(found[name] is None and not field.nullable for name, field in fields.items()):
        raise Unfit
    return found


def _bytes(value: Any) -> bytes | None:
    if value is None:
        return None
    try:
        return base64.b64decode(value.encode(), validate=True)
    except (AttributeError, binascii.Error, UnicodeError) as error:
        raise Unfit from error


def _is_text(type_: Any) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _is_binary(type_: Any) -> bool:
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


def _expected(type_: Any) -> str:
    if pa.types.is_integer(type_):
        return f"a whole number ({type_})"
    if pa.types.is_decimal(type_):
        return f"a number of at most {type_.scale} decimals, {type_.precision} digits in all"
    if pa.types.is_timestamp(type_):
        return "a time such as 2026-11-01T12:00:00Z"
    if pa.types.is_nested(type_):
        return f"a value of type {type_}"
    return next((text for is_of, text in _EXPECTED if is_of(type_)), f"a value of type {type_}")


_EXPECTED = (
    (_is_text, "a text"),
    (_is_binary, "bytes as Base64"),
    (pa.types.is_boolean, "true or false"),
    (pa.types.is_floating, "a number"),
    (pa.types.is_date, "a date such as 2026-11-01"),
)
