"""A dataset at one moment: its identity, columns and files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rest_api.lake.columns import Columns
from rest_api.query.conditions import Column, ColumnType

FILES, TABLE, SQL = KINDS = ("files", "table", "sql")
POSITION = (Column("\x00file", ColumnType.INTEGER), Column("\x00row", ColumnType.INTEGER))
"""Where a row stands in its files: makes any order total. No column can have these names, no caller can say them."""
Range = tuple[Any, Any]


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a dataset: where it is, and what its log or footer says of it.

    `ranges` are the least and greatest values of columns, where they are known; `partition` the values that the
    file's rows share and that are not in the file.
    """

    path: str
    size_bytes: int
    rows: int | None = None
    partition: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    nulls: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """What a read works on. `version` is None for what has no versions; `pin` names just this state.

    `key` are hidden columns that make the order of rows total.
    """

    name: str
    kind: str
    identity: str
    columns: Columns
    partition_columns: tuple[str, ...] = ()
    files: tuple[DataFile, ...] = ()
    version: int | None = None
    key: tuple[Column, ...] = POSITION

    @cached_property
    def rows(self) -> int | None:
        """How many rows it has, where that is known without reading them."""
        if self.kind == SQL or any(file.rows is None for file in self.files):
            return None
        return sum(file.rows or 0 for file in self.files)

    @cached_property
    def size_bytes(self) -> int | None:
        """The size of its files."""
        return None if self.kind == SQL else sum(file.size_bytes for file in self.files)

    @cached_property
    def pin(self) -> str:
        """What a cursor is pinned to: the version, or the list of files; empty where nothing can be pinned."""
        if self.kind == SQL:
            return ""
        if self.version is not None:
            return str(self.version)
        listed = repr([(file.path, file.size_bytes, file.rows) for file in self.files])
        return hashlib.blake2b(listed.encode(), digest_size=16).hexdigest()
