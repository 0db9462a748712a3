"""Rows as a stream of bytes: CSV, lines of JSON, Arrow and Parquet, a bounded number of them in memory."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rest_api.backends.layout import GROUP_ROWS, options
from rest_api.query.conditions import ColumnType

Piece = tuple[bytes, int]
"""Bytes, and how many rows they end."""
Kinds = Mapping[str, ColumnType]
Batches = Iterator[Any]
PIECE_BYTES = 8 * 1_024 * 1_024
GROUP_BYTES = 64 * 1_024 * 1_024
_IN_QUOTES = b'",\r\n'
_ESCAPED = b'"\\' + bytes(range(32))
_PLAIN_SCALE = 6
"""Arrow writes smaller decimals with an exponent."""


@dataclass(frozen=True)
class Format:
    """How rows are written; `torn` are bytes that no reader takes for the end of a whole transfer."""

    media_type: str
    suffix: str
    write: Callable[[Batches, Kinds], Iterator[Piece]]
    torn: bytes


def _csv(batches: Batches, kinds: Kinds) -> Iterator[Piece]:
    """RFC 4180, with a header; nothing stands for null, `""` for an empty text."""
    header = pa.record_batch([pa.array([name], pa.string()) for name in kinds], names=list(kinds))
    yield _lines([_quoted_as_needed(column) for column in header.columns], _between(header.num_columns, "\r\n"), ""), 0
    for batch in _bounded(batches):
        fields = [_field(column, kind) for column, kind in zip(batch.columns, kinds.values(), strict=True)]
        yield _lines(fields, _between(len(fields), "\r\n"), ""), batch.num_rows


def _json_lines(batches: Batches, kinds: Kinds) -> Iterator[Piece]:
    """An object for each row, in a line of its own."""
    names = [orjson.dumps(name).decode() for name in kinds]
    around = [f"{'{' if place == 0 else ','}{name}:" for place, name in enumerate(names)]
    for batch in _bounded(batches):
        values = [_json(column, kind) for column, kind in zip(batch.columns, kinds.values(), strict=True)]
        yield _lines(values, [*around, "}\n"], "null"), batch.num_rows


def _arrow(batches: Batches, _: Kinds) -> Iterator[Piece]:
    """The streaming format of Arrow IPC."""
    outlet, first = _Outlet(), next(batches)
    with pa.ipc.new_stream(outlet, first.schema) as writer:
        for batch in _bounded(_chained(first, batches)):
            writer.write_batch(batch)
            yield outlet.taken(), batch.num_rows
    yield outlet.taken(), 0


def _parquet(batches: Batches, _: Kinds) -> Iterator[Piece]:
    """A Parquet file, row group by row group; its footer comes last."""
    outlet, first = _Outlet(), next(batches)
    with pq.ParquetWriter(outlet, first.schema, **options(first.schema)) as writer:
        for table in _groups(_chained(first, batches)):
            writer.write_table(table, row_group_size=GROUP_ROWS)
            yield outlet.taken(), table.num_rows
    yield outlet.taken(), 0


NDJSON = Format("application/x-ndjson", "ndjson", _json_lines, b'{"')
FORMATS = (
    NDJSON,
    Format("text/csv", "csv", _csv, b'"'),
    Format("application/vnd.apache.arrow.stream", "arrows", _arrow, b"\xff\xff\xff\xff\x00\x01\x00\x00"),
    Format("application/vnd.apache.parquet", "parquet", _parquet, b""),
)


class _Outlet(io.RawIOBase):
    """A file that is written to its end only, and emptied again and again."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, written: Any) -> int:
        self._written.append(bytes(written))
        self._size += len(self._written[-1])
        return len(self._written[-1])

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        """What was written since the last time."""
        found = b"".join(self._written)
        self._written.clear()
        return found


def _chained(first: Any, rest: Batches) -> Batches:
    yield first
    yield from rest


def _bounded(batches: Batches) -> Batches:
    """The batches, cut where their values are so long that a piece would take much memory."""
    for batch in batches:
        rows = max(1, batch.num_rows * PIECE_BYTES // max(batch.nbytes, 1))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def _groups(batches: Batches) -> Iterator[Any]:
    gathered: list[Any] = []
    for batch in batches:
        gathered.append(batch)
        if (
            sum(each.num_rows for each in gathered) >= GROUP_ROWS
            or sum(each.nbytes for each in gathered) >= GROUP_BYTES
        ):
            yield pa.Table.from_batches(gathered)
            gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered)


def _between(columns: int, end: str) -> list[str]:
    return ["", *([","] * (columns - 1)), end]


def _lines(columns: list[Any], around: list[str], null: str) -> bytes:
    """One line for each row: its values, with texts before, between and after them."""
    parts: list[Any] = [pa.scalar(around[0])]
    for column, text in zip(columns, around[1:], strict=True):
        parts += [column, pa.scalar(text)]
    joined = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement=null)
    _, offsets, written = joined.buffers()
    if written is None:
        return b""
    ends = memoryview(offsets).cast("i")
    return bytes(memoryview(written)[ends[joined.offset] : ends[joined.offset + len(joined)]])


def _field(column: Any, kind: ColumnType) -> Any:
    is_text = kind in (ColumnType.TEXT, ColumnType.JSON)
    return _quoted_as_needed(column) if is_text else _written(column)


def _json(column: Any, kind: ColumnType) -> Any:
    if kind is ColumnType.JSON:
        return column
    if kind is ColumnType.TEXT:
        return _in_json(column)
    written = _written(column)
    if kind is ColumnType.TIMESTAMP:
        return _around(written)
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_finite(column), written, None)
    return written


def _written(column: Any) -> Any:
    """Numbers, truths and times as text."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        naive = column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64()).cast(pa.timestamp("us")).cast(pa.string())
        whole = pc.replace_substring(pc.replace_substring(naive, " ", "T"), ".000000", "")
        return pc.binary_join_element_wise(whole, "Z", "")
    if pa.types.is_decimal(kind) and kind.scale > _PLAIN_SCALE:
        return pa.array([None if value is None else format(value, "f") for value in column.to_pylist()], pa.string())
    # Floats of 32 bits are written like those that pages of rows show.
    if pa.types.is_floating(kind):
        written = column.cast(pa.float64()).cast(pa.string())
        is_whole = pc.match_substring_regex(written, "^-?[0-9]+$")
        return pc.if_else(is_whole, pc.binary_join_element_wise(written, ".0", ""), written)
    return column.cast(pa.string())


def _quoted_as_needed(column: Any) -> Any:
    is_empty = pc.equal(column, "")
    if not _has_any(column, _IN_QUOTES):
        return pc.if_else(is_empty, '""', column)
    is_special = pc.or_(pc.match_substring_regex(column, '[",\r\n]'), is_empty)
    return pc.if_else(is_special, _around(pc.replace_substring(column, '"', '""')), column)


def _in_json(column: Any) -> Any:
    if not _has_any(column, _ESCAPED):
        return _around(column)
    return pa.array([None if text is None else orjson.dumps(text).decode() for text in column.to_pylist()], pa.string())


def _around(column: Any) -> Any:
    return pc.binary_join_element_wise('"', column, '"', "")


def _has_any(column: Any, characters: bytes) -> bool:
    """Whether one of some characters may be in a column's texts."""
    written = column.buffers()[2]
    found = b"" if written is None else written.to_pybytes()
    return len(found.translate(None, characters)) < len(found)
