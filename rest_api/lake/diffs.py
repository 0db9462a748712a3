"""Differences between two versions of a table, as a caller sees both of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rest_api.lake.columns import Columns
from rest_api.lake.snapshots import DataFile, Snapshot
from rest_api.lake.views import View, ViewColumn

ADDED, REMOVED, CHANGED = CHANGES = ("added", "removed", "changed")
Files = list[DataFile]


@dataclass(frozen=True)
class Side:
    """One of the two versions."""

    snapshot: Snapshot
    view: View


@dataclass(frozen=True)
class Diff:
    """What is asked: rows that only one of two versions has, each as often as it has it more.

    Of a row with the same `key` in both that differs otherwise, one change is told. `offset` are the changes to skip.
    """

    before: Side
    after: Side
    key: tuple[str, ...]
    limit: int
    offset: int = 0

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns of both versions; what only one of them has is null in the other."""
        return tuple(dict.fromkeys((*self.after.view.shape.names, *self.before.view.shape.names)))

    def column(self, name: str) -> tuple[ViewColumn | None, ViewColumn | None]:
        """A column before and after."""
        return self.before.view.by_name.get(name), self.after.view.by_name.get(name)


@dataclass(frozen=True)
class Change:
    """A row that was added or removed, or that is another one than `before`."""

    kind: str
    row: Mapping[str, Any]
    before: Mapping[str, Any] | None


@dataclass(frozen=True)
class DiffPage:
    """Some changes, in an order that is the same each time, and how many there are of each kind in all."""

    changes: Sequence[Change]
    counts: Mapping[str, int]
    is_last: bool


def differing(diff: Diff, columns_of: Callable[[DataFile], Columns]) -> tuple[Files, Files]:
    """The files of either version that must be read. What both have shows the same rows, unless the views differ."""
    before, after = diff.before.snapshot.files, diff.after.snapshot.files
    shared = {_name(file) for file in before} & {_name(file) for file in after}
    if not _show_the_same(diff, [file for file in after if _name(file) in shared], columns_of):
        return list(before), list(after)
    return [file for file in before if _name(file) not in shared], [f for f in after if _name(f) not in shared]


def _name(file: DataFile) -> tuple[str, tuple[tuple[str, Any], ...]]:
    return file.path, tuple(sorted(file.partition.items()))


def _show_the_same(diff: Diff, shared: Files, columns_of: Callable[[DataFile], Columns]) -> bool:
    before, after = diff.before, diff.after
    if before.view.admission != after.view.admission:
        return False
    if before.snapshot.partition_columns != after.snapshot.partition_columns:
        return False
    pairs = {name: diff.column(name) for name in diff.names}
    if any(old != new for old, new in pairs.values() if old is not None and new is not None):
        return False
    alone = {name for name, pair in pairs.items() if None in pair}
    return not alone or not any(alone & {column.name for column in columns_of(file)} for file in shared)
