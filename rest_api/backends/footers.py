"""Footers of Parquet files: their columns, rows, and the ranges of values in each row group."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rest_api.errors import Conflict
from rest_api.lake.columns import Columns, LakeColumn

KEPT = 4_096
MOST_NAMED = 5
Group = tuple[int, Any, Any]
"""Rows of a row group, the least and the greatest value of a column in it."""


class CorruptFile(Exception):
    """A data file that cannot be read, or one of several; only who manages the dataset may learn which."""

    def __init__(self, paths: Sequence[str], reason: str) -> None:
        super().__init__(reason)
        self.paths = paths
        self.reason = reason

    def refusal(self) -> Conflict:
        """The answer to somebody who manages the dataset."""
        names = [Path(path).name for path in self.paths]
        if len(names) == 1:
            return Conflict(f"The file {names[0]!r} is corrupt: {self.reason}", code="dataset_corrupt")
        shown = ", ".join(map(repr, names[:MOST_NAMED]))
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        return Conflict(f"One of the files {shown}{more} is corrupt: {self.reason}", code="dataset_corrupt")


def corrupt_dataset() -> Conflict:
    """The answer to everybody else."""
    return Conflict("The dataset cannot be read: one of its files is corrupt", code="dataset_corrupt")


@dataclass(frozen=True)
class Footer:
    """What the end of a Parquet file tells of it."""

    columns: Columns
    rows: int
    metadata: Any

    @cached_property
    def _places(self) -> dict[str, int]:
        return {self.metadata.schema.column(place).path: place for place in range(self.metadata.num_columns)}

    def groups(self, column: str) -> tuple[Group, ...] | None:
        """Each row group's rows and range of a column; None where that is not known of all of them."""
        place = self._places.get(column)
        if place is None:
            return None
        found = [_group(self.metadata.row_group(index), place) for index in range(self.metadata.num_row_groups)]
        known = tuple(group for group in found if group is not None)
        return known if len(known) == len(found) else None

    def is_empty(self, column: str) -> bool:
        """Whether a column is known to have no value in any row, or is not there."""
        if all(each.name != column for each in self.columns):
            return True
        place = self._places.get(column)
        groups = [] if place is None else [self.metadata.row_group(n) for n in range(self.metadata.num_row_groups)]
        return place is not None and all(_has_only_nulls(group, place) for group in groups)


def _has_only_nulls(group: Any, place: int) -> bool:
    statistics = group.column(place).statistics
    return statistics is not None and statistics.has_null_count and statistics.null_count == group.num_rows


def _group(group: Any, place: int) -> Group | None:
    statistics = group.column(place).statistics
    if statistics is None or not statistics.has_min_max:
        return None
    try:
        return group.num_rows, statistics.min, statistics.max
    except OverflowError:
        return None  # a time that no datetime can be


class Footers:
    """Footers read lately; a file that changed is read again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int], Footer] = OrderedDict()
        self._lock = Lock()

    def of(self, path: str) -> Footer:
        """The footer of a file. Raises CorruptFile, FileNotFoundError."""
        status = Path(path).stat()
        key = (path, status.st_size, status.st_mtime_ns)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        footer = _read(path)
        with self._lock:
            self._kept[key] = footer
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return footer


def _read(path: str) -> Footer:
    try:
        metadata = pq.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise CorruptFile([path], "it is not a whole Parquet file") from error
    columns = tuple(LakeColumn(field.name, str(_plain(field.type))) for field in schema)
    return Footer(columns, metadata.num_rows, metadata)


def _plain(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
