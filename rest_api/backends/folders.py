"""Folders of data files, not versioned: what lies in them at this moment is the dataset."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from urllib.parse import unquote

from rest_api.backends.footers import CorruptFile, Footer, Footers
from rest_api.backends.parsed import ParsedTexts
from rest_api.backends.storage import Entry, Storage
from rest_api.lake.columns import Columns, LakeColumn
from rest_api.lake.snapshots import FILES, DataFile, Snapshot
from rest_api.query.conditions import ColumnType

PARQUET = ".parquet"
TEXTS = (".csv", ".json", ".ndjson", ".jsonl")
PARTITION_DEPTH = 8
_WHOLE_TYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def is_data_file(entry: Entry) -> bool:
    """Whether a file in a folder makes it a dataset."""
    name = entry.name.lower()
    is_hidden = name.startswith((".", "_"))
    is_known = name.endswith(PARQUET) or name.removesuffix(".gz").endswith(TEXTS)
    return is_known and not entry.is_folder and not is_hidden


def is_partition(entry: Entry) -> bool:
    """Whether a folder is a partition `key=value` of the dataset above it."""
    return entry.is_folder and "=" in entry.name and not entry.name.startswith((".", "_", "="))


def is_dataset(entries: tuple[Entry, ...]) -> bool:
    """Whether a folder with these entries is a dataset of files."""
    return any(is_data_file(entry) or is_partition(entry) for entry in entries)


@dataclass(frozen=True)
class Found:
    """A data file, and the `key=value` folders it lies in."""

    path: str
    entry: Entry
    partition: Mapping[str, str]


class DataFolders:
    """Reads folders of Parquet, CSV and JSON; what is not Parquet is parsed once, in a child, and kept as Parquet."""

    def __init__(self, storage: Storage, footers: Footers, parsed: ParsedTexts) -> None:
        self._storage = storage
        self._footers = footers
        self._parsed = parsed

    def snapshot(self, name: str, path: str) -> Snapshot | None:
        """The files of a folder now; None where it has none. Raises CorruptFile."""
        found = list(self._found(path, {}, PARTITION_DEPTH))
        if not found:
            return None
        keys = tuple(dict.fromkeys(key for each in found for key in each.partition))
        kinds = {key: _partition_type([each.partition.get(key) for each in found]) for key in keys}
        read = [self._read(each, kinds) for each in found]
        columns = _union([footer for _, footer in read], kinds)
        _require_distinct(columns, path)
        return Snapshot(
            name=name,
            kind=FILES,
            identity=f"files:{path}",
            columns=columns,
            partition_columns=keys,
            files=tuple(file for file, _ in read),
        )

    def _found(self, path: str, partition: Mapping[str, str], depth: int) -> Iterator[Found]:
        for entry in self._storage.entries(path) or ():
            if is_data_file(entry):
                yield Found(f"{path}/{entry.name}", entry, partition)
            elif is_partition(entry) and depth:
                key, _, value = entry.name.partition("=")
                below = {**partition, _decoded(key): _decoded(value)}
                yield from self._found(f"{path}/{entry.name}", below, depth - 1)

    def _read(self, found: Found, kinds: Mapping[str, str]) -> tuple[DataFile, Footer]:
        place = self._storage.location(found.path)
        if not found.entry.name.lower().endswith(PARQUET):
            place = self._parsed.place(place, found.entry)
        footer = self._footers.of(place)
        _require_distinct(footer.columns, found.path)
        partition = {key: _partition_value(found.partition.get(key), kind) for key, kind in kinds.items()}
        return DataFile(place, found.entry.size_bytes, footer.rows, partition), footer


def _require_distinct(columns: Columns, path: str) -> None:
    names = [column.name.lower() for column in columns]
    reserved = {"file_index", "file_row_number"} & set(names)
    if len(set(names)) < len(names):
        raise CorruptFile([path], "two of its columns differ at most in case")
    if reserved:
        raise CorruptFile([path], f"a column cannot be named {reserved.pop()}")


def _union(footers: Sequence[Footer], partition: Mapping[str, str]) -> Columns:
    """The columns of all files; a file in which a column has no value has no say in its type."""
    names = dict.fromkeys(column.name for footer in footers for column in footer.columns)
    stored = {name: _stored(name, footers) for name in names if name not in partition}
    return tuple(LakeColumn(name, kind) for name, kind in {**stored, **partition}.items())


def _stored(name: str, footers: Sequence[Footer]) -> str:
    named = dict.fromkeys(column.stored for footer in footers for column in footer.columns if column.name == name)
    if len(named) == 1:
        return next(iter(named))
    having = [each for each in footers if not each.is_empty(name)] or footers
    found = dict.fromkeys(column.stored for footer in having for column in footer.columns if column.name == name)
    return reduce(_common, found)


def _common(one: str, other: str) -> str:
    """The type of a column that is stored as two: the wider number, else the same kind, else text."""
    kinds = {LakeColumn("", one).type, LakeColumn("", other).type}
    if kinds == {ColumnType.INTEGER} and one in _WHOLE_TYPES and other in _WHOLE_TYPES:
        return "decimal128(20, 0)" if "uint64" in (one, other) else "int64"
    if kinds <= {ColumnType.INTEGER, ColumnType.NUMBER}:
        return "double"
    return "timestamp[us, tz=UTC]" if kinds == {ColumnType.TIMESTAMP} else "string"


def _decoded(text: str) -> str:
    """A part of a folder's name without the escapes that Hive and Spark write."""
    decoded = unquote(text, errors="replace")
    return text if "\x00" in decoded else decoded


def _partition_type(texts: list[str | None]) -> str:
    given = [text for text in texts if text is not None]
    is_whole = all(text.isascii() and text.isdigit() and str(int(text)) == text and len(text) < 19 for text in given)
    return "int64" if given and is_whole else "string"


def _partition_value(text: str | None, kind: str) -> int | str | None:
    if text is None or text == "__HIVE_DEFAULT_PARTITION__":
        return None
    return int(text) if kind == "int64" else text
