"""Folders of data files, not versioned: what lies in them at this moment is the dataset."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rest_api.backends.footers import CorruptFile, Footers
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
    name = entry.name.lower().removesuffix(".gz")
    hidden = entry.name.startswith((".", "_"))
    return not entry.is_folder and not hidden and name.endswith((PARQUET, *TEXTS))


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

    def __init__(self, storage: Storage, footers: Footers, parsed: "ParsedTexts") -> None:
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
        return Snapshot(
            name=name,
            kind=FILES,
            identity=f"files:{path}",
            columns=_union([columns for _, columns in read], kinds),
            partition_columns=keys,
            files=tuple(file for file, _ in read),
        )

    def _found(self, path: str, partition: Mapping[str, str], depth: int) -> Iterator[Found]:
        for entry in self._storage.entries(path) or ():
            if is_data_file(entry):
                yield Found(f"{path}/{entry.name}", entry, partition)
            elif is_partition(entry) and depth:
                key, _, value = entry.name.partition("=")
                yield from self._found(f"{path}/{entry.name}", {**partition, key: value}, depth - 1)

    def _read(self, found: Found, kinds: Mapping[str, str]) -> tuple[DataFile, Columns]:
        place = self._storage.location(found.path)
        if not found.entry.name.lower().endswith(PARQUET):
            place = self._parsed.place(place, found.entry)
        footer = self._footers.of(place)
        _require_distinct(footer.columns, found.path)
        partition = {key: _partition_value(found.partition.get(key), kind) for key, kind in kinds.items()}
        return DataFile(place, found.entry.size_bytes, footer.rows, partition), footer.columns


class ParsedTexts:
    """CSV and JSON files as Parquet, in a folder that can be deleted at any time: it fills again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, source: str, entry: Entry) -> str:
        """Where the Parquet form of a file is. Raises CorruptFile."""
        named = f"{source}\x00{entry.size_bytes}\x00{entry.changed_at}"
        target = self._folder / f"{hashlib.blake2b(named.encode(), digest_size=20).hexdigest()}{PARQUET}"
        if not target.exists():
            self._parse(Path(source), target)
        return str(target)

    def _parse(self, source: Path, target: Path) -> None:
        raise CorruptFile(str(source), "files of text are not read yet")


def _require_distinct(columns: Columns, path: str) -> None:
    names = [column.name.lower() for column in columns]
    reserved = {"file_index", "file_row_number"} & set(names)
    if len(set(names)) < len(names):
        raise CorruptFile(path, "two of its columns differ at most in case")
    if reserved:
        raise CorruptFile(path, f"a column cannot be named {reserved.pop()}")


def _union(schemas: list[Columns], partition: Mapping[str, str]) -> Columns:
    stored: dict[str, str] = {}
    for column in (each for columns in schemas for each in columns if each.name not in partition):
        known = stored.setdefault(column.name, column.stored)
        if known != column.stored:
            stored[column.name] = _common(known, column.stored)
    return tuple(LakeColumn(name, kind) for name, kind in {**stored, **partition}.items())


def _common(one: str, other: str) -> str:
    """The type of a column that is stored as two: the wider number, else the same kind, else text."""
    kinds = {LakeColumn("", one).type, LakeColumn("", other).type}
    if kinds == {ColumnType.INTEGER} and one in _WHOLE_TYPES and other in _WHOLE_TYPES:
        return "int64"
    if kinds <= {ColumnType.INTEGER, ColumnType.NUMBER}:
        return "double"
    return "timestamp[us, tz=UTC]" if kinds == {ColumnType.TIMESTAMP} else "string"


def _partition_type(texts: list[str | None]) -> str:
    given = [text for text in texts if text is not None]
    is_whole = all(text.isascii() and text.isdigit() and str(int(text)) == text and len(text) < 19 for text in given)
    return "int64" if given and is_whole else "string"


def _partition_value(text: str | None, kind: str) -> int | str | None:
    if text is None or text == "__HIVE_DEFAULT_PARTITION__":
        return None
    return int(text) if kind == "int64" else text
