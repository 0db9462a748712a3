"""CSV as in RFC 4180, in UTF-8, with a header: read as text by Arrow, then made to fit.

Arrow knows no line numbers. Only when something is wrong the file is read again, slowly, to say where.
"""

import csv
import io
from collections.abc import Iterator
from typing import IO, NoReturn

import pyarrow as pa
import pyarrow.csv

from rest_api.backends.parsing.columns import check_complete, check_known, check_names
from rest_api.backends.parsing.conversion import fitted, from_text
from rest_api.backends.parsing.inference import TextColumn
from rest_api.backends.parsing.rows import Place, Rows
from rest_api.backends.parsing.sources import Source
from rest_api.errors import Invalid, Refusal, TooLarge

MAX_ROW_BYTES = 8 * 2**20
_BATCH_ROWS = 65_536
_LINE = "line"


def read(source: Source, expected: pa.Schema | None) -> Rows:
    """The rows of a CSV file. Raises Invalid for what is no CSV or does not fit, naming the line; TooLarge for a row
    of more than 8 MiB."""
    line, names = next(_records(source), (1, []))
    check_names(names)
    if expected is None:
        schema = _inferred(source, names)
    else:
        check_known(names, expected, Place(_LINE, line))
        check_complete(names, expected)
        schema = expected
    return Rows(schema, _typed(source, names, schema))


def _inferred(source: Source, names: list[str]) -> pa.Schema:
    columns = [TextColumn() for _ in names]
    for batch in _texts(source, names):
        for column, texts in zip(columns, batch.columns, strict=True):
            column.observe(texts)
    return pa.schema([(name, column.type()) for name, column in zip(names, columns, strict=True)])


def _typed(source: Source, names: list[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    first = 0
    for batch in _texts(source, names):
        place = _Places(source, first)
        columns = [_column(batch, field, place) for field in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
        first += batch.num_rows


def _column(batch: pa.RecordBatch, field: pa.Field, place: "_Places") -> pa.Array:
    index = batch.schema.get_field_index(field.name)
    if index < 0:
        return pa.nulls(batch.num_rows, field.type)
    return fitted(batch.column(index), field, from_text, place)


class _Places:
    """Where the rows of a batch stand, whose first is row `first` of the file."""

    def __init__(self, source: Source, first: int) -> None:
        self._source = source
        self._first = first

    def __call__(self, index: int) -> Place:
        records = _records(self._source)
        next(records)
        for number, (line, _) in enumerate(records, start=self._first * -1):
            if number == index:
                return Place(_LINE, line)
        raise AssertionError("Two readers disagree about the rows of a CSV file")


def _texts(source: Source, names: list[str]) -> Iterator[pa.RecordBatch]:
    """Every row as texts; one batch is held back, because the last row of all is the mark of `_Ended`."""
    held: pa.RecordBatch | None = None
    rows = 0
    for batch in _arrow_batches(source, names):
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            if held is not None:
                yield held
            held = batch.slice(start, _BATCH_ROWS)
            source.check_rows(rows)
            rows += held.num_rows
    if held is None or any(texts[-1].as_py() != "" for texts in held.columns):
        raise _Places(source, 0)(rows - 1).broken("a quote is not closed")
    source.check_rows(rows - 1)
    yield held.slice(0, held.num_rows - 1)


def _arrow_batches(source: Source, names: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        yield from pyarrow.csv.open_csv(
            pa.PythonFile(_Ended(source.text(), len(names)), mode="r"),
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=MAX_ROW_BYTES),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        _explain(source, len(names), error)


class _Ended(io.RawIOBase):
    """A stream with one more row of quoted empty values, which a quote that is never closed would swallow."""

    def __init__(self, stream: IO[bytes], columns: int) -> None:
        super().__init__()
        self._stream = stream
        self._mark = b"\n" + b",".join([b'""'] * columns) + b"\n"

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if data := self._stream.read(size):
            return data
        mark, self._mark = self._mark[:size], self._mark[size:]
        return mark


def _explain(source: Source, columns: int, error: pa.ArrowInvalid) -> NoReturn:
    for line, values in _records(source):
        place = Place(_LINE, line)
        if len(values) != columns:
            raise place.broken(f"{len(values)} values, where the header names {columns} columns") from error
        if any(not _is_unicode(value) for value in values):
            raise place.broken("not in UTF-8") from error
        if sum(map(len, values)) > MAX_ROW_BYTES // 4:
            raise _too_long(line) from error
    raise Invalid(f"The file is no CSV: {error}") from error


def _records(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it begins on, the header first."""
    csv.field_size_limit(MAX_ROW_BYTES)
    text = io.TextIOWrapper(source.text(), encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(_lines(text))
    line = 1
    try:
        for values in reader:
            if values:
                yield line, values
            line = reader.line_num + 1
    except csv.Error as error:
        raise _too_long(line) from error


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    number = 1
    while line := text.readline(MAX_ROW_BYTES + 1):
        if len(line) > MAX_ROW_BYTES:
            raise _too_long(number)
        yield line
        number += 1


def _too_long(line: int) -> Refusal:
    return TooLarge(f"Line {line}: a row is longer than {MAX_ROW_BYTES // 2**20} MiB, or a quote is not closed")


def _is_unicode(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
