"""Parquet, decoded wholly: what a footer says of the data behind it is not believed."""

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rest_api.backends.parsing.columns import check_complete, check_known, check_names
from rest_api.backends.parsing.conversion import TIMESTAMP, Unfit, check_times, fitted, from_text
from rest_api.backends.parsing.rows import Place, Rows
from rest_api.backends.parsing.sources import Source
from rest_api.errors import Invalid

_BATCH_ROWS = 8_192
_MAGIC = b"PAR1"
_Is = Callable[[pa.DataType], bool]
_PLAIN: tuple[tuple[_Is, pa.DataType], ...] = (
    (pa.types.is_nested, pa.string()),
    (pa.types.is_null, pa.string()),
    (pa.types.is_large_string, pa.string()),
    (pa.types.is_string_view, pa.string()),
    (pa.types.is_large_binary, pa.binary()),
    (pa.types.is_binary_view, pa.binary()),
    (pa.types.is_fixed_size_binary, pa.binary()),
    (pa.types.is_timestamp, TIMESTAMP),
    (pa.types.is_date64, pa.date32()),
    (pa.types.is_float16, pa.float32()),
    (pa.types.is_uint8, pa.int16()),
    (pa.types.is_uint16, pa.int32()),
    (pa.types.is_uint32, pa.int64()),
    (pa.types.is_uint64, pa.int64()),
)


def read(source: Source, expected: pa.Schema | None) -> Rows:
    """The rows of a Parquet file. Raises Invalid for one that is corrupt or does not fit, naming the row."""
    file = _opened(source)
    names = file.schema_arrow.names
    check_names(names)
    if expected is None:
        schema = pa.schema([(field.name, _plain(field.type)) for field in file.schema_arrow])
    else:
        check_known(names, expected, Place("row", 1))
        check_complete(names, expected)
        schema = expected
    return Rows(schema, _typed(source, file, schema))


def _opened(source: Source) -> pq.ParquetFile:
    packed = source.packed()
    if packed.read(4) != _MAGIC:
        raise Invalid("The file is not Parquet, which is what its name says")
    packed.seek(0)
    return pq.ParquetFile(
        pa.PythonFile(packed, mode="r"), page_checksum_verification=True, arrow_extensions_enabled=False
    )


def _plain(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    return next((plain for is_of, plain in _PLAIN if is_of(type_)), type_)


def _typed(source: Source, file: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    first = 1
    for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
        source.check_rows(first - 1 + batch.num_rows)
        columns = [_column(batch, field, _Places(first)) for field in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
        first += batch.num_rows


def _column(batch: pa.RecordBatch, field: pa.Field, place: "_Places") -> pa.Array:
    index = batch.schema.get_field_index(field.name)
    if index < 0:
        return pa.nulls(batch.num_rows, field.type)
    return fitted(batch.column(index), field, _converted, place)


class _Places:
    """Where the rows of a batch stand, whose first is row `first` of the file."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __call__(self, index: int) -> Place:
        return Place("row", self._first + index)


def _converted(values: pa.Array, type_: pa.DataType) -> pa.Array:
    """The same values as `type_`. Raises one of `conversion.REASONS`."""
    if pa.types.is_dictionary(values.type):
        return _converted(values.dictionary_decode(), type_)
    if pa.types.is_timestamp(type_) and pa.types.is_temporal(values.type):
        return check_times(values.cast(TIMESTAMP)).cast(type_)
    if values.type == type_ or pa.types.is_null(values.type):
        return values.cast(type_)
    if pa.types.is_nested(values.type) and pa.types.is_string(type_):
        return pa.array([_json(value) for value in values.to_pylist()], type_)
    if _family(values.type) == "text":
        return from_text(values.cast(pa.string()), type_)
    if _family(values.type) != _family(type_) and not pa.types.is_string(type_):
        raise Unfit
    return values.cast(type_)


def _family(type_: pa.DataType) -> str:
    """Within a family a cast keeps the meaning of a value; between two it would reinterpret it."""
    for is_of, family in _FAMILIES:
        if is_of(type_):
            return family
    return str(type_)


_FAMILIES: tuple[tuple[_Is, str], ...] = (
    (pa.types.is_integer, "number"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "number"),
    (pa.types.is_timestamp, "time"),
    (pa.types.is_date, "time"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
    (pa.types.is_binary, "bytes"),
    (pa.types.is_large_binary, "bytes"),
    (pa.types.is_binary_view, "bytes"),
    (pa.types.is_fixed_size_binary, "bytes"),
    (pa.types.is_nested, "nested"),
)


def _json(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_json_value)
    except (TypeError, ValueError) as error:
        raise Unfit from error


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise Unfit
