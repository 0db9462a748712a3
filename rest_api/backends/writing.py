"""Writes datasets: each change is one commit of a Delta table, or one file put whole into a folder of files."""

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from rest_api.backends.arrow_rows import Row, write_rows
from rest_api.backends.delta import COMMIT_ATTEMPTS, Committed
from rest_api.backends.delta_layout import properties, properties_of
from rest_api.backends.parsed import ParsedTexts
from rest_api.backends.parsing import ExpectedColumn, Format, Parsed, Parser
from rest_api.backends.storage import Storage, no_room, refusing_full_disks
from rest_api.backends.typed_rows import RowTypes
from rest_api.errors import Conflict, FieldError, Invalid
from rest_api.lake.names import path_of
from rest_api.lake.snapshots import FILES, DataFile, Snapshot

BATCH_ROWS = 65_536
_ORDERED = (int, str, Decimal, datetime)
NEW_TABLE = {
    # Versions can be told and read for a year, as long as a vacuum leaves their files.
    "delta.logRetentionDuration": "interval 365 days",
    "delta.deletedFileRetentionDuration": "interval 30 days",
    "delta.checkpointInterval": "50",
}
_STORABLE: tuple[Callable[[Any], bool], ...] = (
    pa.types.is_boolean,
    pa.types.is_signed_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_decimal128,
    pa.types.is_string,
    pa.types.is_binary,
    pa.types.is_date32,
    pa.types.is_timestamp,
)
_FULL = (f"os error {errno.ENOSPC}", f"os error {errno.EDQUOT}", f"os error {errno.EFBIG}", "No space left")


@dataclass(frozen=True)
class Source:
    """Where rows come from: what lies up to an offset of a source is written once, however often it comes."""

    id: str
    offset: int


@dataclass(frozen=True)
class Stamp:
    """What a commit carries: facts about its change, and the source of its rows."""

    metadata: Mapping[str, str]
    source: Source | None = None
    is_bound: bool = False
    """Whether the commit must follow the version that was opened, whatever another one since would change."""

    @property
    def properties(self) -> CommitProperties:
        source = self.source
        transactions = [Transaction(source.id, source.offset)] if source else None
        retries = 0 if self.is_bound else None
        return CommitProperties(
            custom_metadata=dict(self.metadata), app_transactions=transactions, max_commit_retries=retries
        )


class AlreadyWritten(Exception):
    """The rows of this source up to this offset are in the table."""


class Moved(Exception):
    """The table has a later version than the one that was decided on."""


@dataclass(frozen=True)
class Writing:
    """Writes to a storage. Rows wait as one Parquet file in a staging folder, with the table's own columns."""

    storage: Storage
    parser: Parser
    parsed: ParsedTexts

    def staging(self) -> AbstractContextManager[Path]:
        """A folder on the lake's disk for what is about to be written."""
        return self.storage.staging()

    def alone(self, name: str) -> AbstractContextManager[None]:
        """No other process changes a dataset under this lock. Raises Overloaded after ten seconds."""
        return self.storage.alone(path_of(name))

    def sweep(self) -> None:
        """Delete what killed processes left behind."""
        self.storage.sweep()
        self.parsed.sweep()

    def columns(self, name: str) -> tuple[ExpectedColumn, ...]:
        """What a table takes."""
        schema = pa.schema(self._table(name).schema().to_arrow())
        return tuple(ExpectedColumn(field.name, field.type, field.nullable) for field in schema)

    def stage_rows(self, name: str, rows: Sequence[Row], target: Path) -> None:
        """Write JSON rows to a file as a table takes them. Raises Invalid naming `rows.3.amount`."""
        write_rows(rows, self.columns(name), target)

    def row_types(self, name: str) -> RowTypes:
        """What makes Python values of a table's types of JSON rows, each by itself, and writes them."""
        return RowTypes(self.columns(name))

    def stage_file(
        self, source: Path, format_: Format, target: Path, expected: tuple[ExpectedColumn, ...] | None
    ) -> Parsed:
        """Parse a file in a child process. Raises Invalid, TooLarge, Overloaded, Unavailable."""
        with refusing_full_disks():
            return self.parser.parse(source, format_, target, expected)

    def is_written(self, name: str, source: Source) -> bool:
        """Whether a table has the rows of a source up to its offset."""
        return _has(self._table(name), source)

    def append(self, name: str, rows: Path, stamp: Stamp) -> Committed:
        """Append rows. Raises AlreadyWritten, Conflict, Unavailable."""
        return self._committed(name, stamp, lambda table: _append(table, rows, stamp))

    def overwrite(self, name: str, rows: Path, stamp: Stamp) -> Committed:
        """Put rows in the place of all that are there. Raises Conflict, Unavailable."""
        return self._committed(name, stamp, lambda table: _overwrite(table, rows, stamp))

    def merge(self, name: str, rows: Path, key: Sequence[str], stamp: Stamp) -> Committed:
        """Put each row in the place of the one of its key, or add it. Raises AlreadyWritten, Conflict, Unavailable."""
        return self._committed(name, stamp, lambda table: _merge(table, rows, key, stamp))

    def put(self, name: str, rows: Path, key: Sequence[str], stamp: Stamp, *, after: int) -> Committed:
        """Append rows, or merge them where there is a key, as the version `after` another.

        Raises Moved where there is a later one, Conflict, Unavailable.
        """
        bound = replace(stamp, is_bound=True)
        table = self._table(name)
        if table.version() != after:
            raise Moved
        try:
            with _refusals():
                _merge(table, rows, key, bound) if key else _append(table, rows, bound)
        except CommitFailedError as error:
            raise Moved from error
        return Committed(table.version(), _identity(table))

    def create(self, name: str, rows: Path, stamp: Stamp) -> Committed:
        """Make a table of rows. It is made elsewhere and appears whole. Raises Conflict, Invalid, Unavailable."""
        with self.staging() as folder:
            made = folder / "table"
            _require_storable(pq.read_schema(rows))
            with _refusals():
                write_deltalake(
                    made,
                    _reader(rows),
                    mode="error",
                    configuration=NEW_TABLE,
                    writer_properties=properties(pq.read_schema(rows)),
                    commit_properties=stamp.properties,
                )
            self.storage.put(made, path_of(name))
        return Committed(0, _identity(self._table(name)))

    def add_file(self, name: str, source: Path, parsed: Path, stored_as: str) -> Committed:
        """Put a file, and the Parquet form that was made of it, into a folder of files. Raises Conflict."""
        path = path_of(name)
        self.storage.put(source, f"{path}/{stored_as}")
        if source != parsed:
            [entry] = [each for each in self.storage.entries(path) or () if each.name == stored_as]
            self.parsed.keep(parsed, self.storage.location(f"{path}/{stored_as}"), entry)
        return Committed(None, f"{FILES}:{path}")

    def _committed(self, name: str, stamp: Stamp, commit: Callable[[DeltaTable], None]) -> Committed:
        for _ in range(COMMIT_ATTEMPTS):
            table = self._table(name)
            if stamp.source is not None and _has(table, stamp.source):
                raise AlreadyWritten
            try:
                with _refusals():
                    commit(table)
            except CommitFailedError:
                continue  # another commit came between: this one is made anew, after it
            return Committed(table.version(), _identity(table))
        raise Conflict("Others change the table all the time; try again")

    def _table(self, name: str) -> DeltaTable:
        return DeltaTable(self.storage.location(path_of(name)))


def incoming(snapshot: Snapshot, rows: Path) -> DataFile:
    """Staged rows as a further file of a table."""
    metadata = pq.read_metadata(rows)
    partition = dict.fromkeys(snapshot.partition_columns)
    return DataFile(str(rows), rows.stat().st_size, metadata.num_rows, partition)


def range_of(rows: Path, column: str) -> tuple[Any, Any] | None:
    """The least and the greatest value of a column of staged rows, where that is known."""
    file = pq.read_metadata(rows)
    places = [place for place in range(file.num_columns) if file.schema.column(place).path == column]
    found = [file.row_group(group).column(place).statistics for group in range(file.num_row_groups) for place in places]
    if not found or any(each is None or not each.has_min_max for each in found):
        return None
    least, greatest = min(each.min for each in found), max(each.max for each in found)
    return (_in_utc(least), _in_utc(greatest)) if isinstance(least, _ORDERED) else None


def _in_utc(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _append(table: DeltaTable, rows: Path, stamp: Stamp) -> None:
    write_deltalake(
        table, _reader(rows), mode="append", writer_properties=properties_of(table), commit_properties=stamp.properties
    )


def _overwrite(table: DeltaTable, rows: Path, stamp: Stamp) -> None:
    write_deltalake(
        table,
        _reader(rows),
        mode="overwrite",
        writer_properties=properties_of(table),
        commit_properties=stamp.properties,
    )


def _merge(table: DeltaTable, rows: Path, key: Sequence[str], stamp: Stamp) -> None:
    if any("`" in field.name for field in pa.schema(table.schema().to_arrow())):
        raise Conflict("A table with a ` in the name of a column takes no merges")
    same = " AND ".join(f"t.{_quoted(column)} = s.{_quoted(column)}" for column in key)
    merging = table.merge(
        _reader(rows),
        predicate=same,
        source_alias="s",
        target_alias="t",
        streamed_exec=False,  # so that files whose ranges hold none of the keys are not opened
        writer_properties=properties_of(table),
        commit_properties=stamp.properties,
    )
    merging.when_matched_update_all().when_not_matched_insert_all().execute()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _reader(rows: Path) -> Any:
    file = pq.ParquetFile(rows)
    return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(BATCH_ROWS))


def _has(table: DeltaTable, source: Source) -> bool:
    last = table.transaction_version(source.id)
    return last is not None and last >= source.offset


def _identity(table: DeltaTable) -> str:
    return f"table:{table.metadata().id}"


def _require_storable(schema: Any) -> None:
    beyond = [field for field in schema if not any(is_of(field.type) for is_of in _STORABLE)]
    if beyond:
        errors = [FieldError(field.name, f"No table can hold the type {field.type}") for field in beyond]
        raise Invalid(f"{errors[0].field}: {errors[0].detail}", errors=errors)


@contextmanager
def _refusals() -> Iterator[None]:
    """What deltalake raises as our refusals; CommitFailedError stays what it is."""
    try:
        yield
    except (Conflict, CommitFailedError):
        raise
    except OSError as error:
        if any(sign in str(error) for sign in _FULL):
            raise no_room() from error
        raise
    except Exception as error:
        if any(sign in str(error) for sign in _FULL):
            raise no_room() from error
        if isinstance(error, DeltaError):
            raise Conflict("The table does not take these rows: it demands more than its columns' types") from error
        raise
