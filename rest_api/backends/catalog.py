"""Finds datasets where they lie: tables of the database, Delta tables, folders of files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rest_api.backends.delta import Committed, DeltaTables
from rest_api.backends.folders import DataFolders, is_dataset
from rest_api.backends.history import Version
from rest_api.backends.storage import Entry, Storage
from rest_api.errors import Conflict
from rest_api.lake.names import is_name, is_within, name_of, path_of
from rest_api.lake.snapshots import FILES, Snapshot

LOG = "_delta_log"


@dataclass(frozen=True)
class TableLogs:
    """The logs of tables, for who wants to know whether a change is in one."""

    storage: Storage
    tables: DeltaTables

    def committed(self, name: str, change_id: str) -> Committed | None:
        """What a change came to; None where neither the table's log nor the folder of files has it."""
        path = path_of(name)
        if not is_name(name):
            return None
        if not self.storage.has_folder(f"{path}/{LOG}"):
            return self._put(path, change_id)
        return self.tables.committed(name, self.storage.location(path), change_id)

    def _put(self, path: str, change_id: str) -> Committed | None:
        """The file that a change put into a folder: its name begins with the change's id."""
        entries = self.storage.entries(path) or ()
        has_it = any(entry.name.startswith(f"{change_id}.") for entry in entries)
        return Committed(None, f"{FILES}:{path}") if has_it else None


@dataclass(frozen=True)
class Catalog:
    """What there is, seen anew at each call. `sql` are the tables of the database that are datasets, by name."""

    storage: Storage
    tables: DeltaTables
    folders: DataFolders
    sql: Mapping[str, Snapshot]

    def snapshot(self, name: str, version: int | None = None) -> Snapshot | None:
        """A dataset as it is now, or a version of a table; None where there is none of that name.

        Raises Conflict `dataset_not_versioned`, what DeltaTables.snapshot raises, CorruptFile.
        """
        if not is_name(name):
            return None
        found = self.sql.get(name) or self._table(name, version) or self.folders.snapshot(name, path_of(name))
        if found is not None and version is not None and found.version is None:
            raise _not_versioned()
        return found

    def identity(self, name: str) -> str | None:
        """The identity that the dataset's snapshot would have, without a look at files; None where there is none."""
        if not is_name(name):
            return None
        found = self.sql.get(name) or self._table(name, None)
        if found is not None:
            return found.identity
        entries = self.storage.entries(path_of(name))
        return f"files:{path_of(name)}" if entries and is_dataset(entries) else None

    def names(self, paths: Sequence[str]) -> list[str]:
        """The names of all datasets in these folders and below, in order."""
        found = {name for name in self.sql if any(is_within(path_of(name), path) for path in paths)}
        for path in paths:
            found.update(self._names(path))
        return sorted(found)

    def versions(self, snapshot: Snapshot, before: int | None, most: int) -> list[Version]:
        """Versions of a table, newest first, from below a number. Raises Conflict `dataset_not_versioned`."""
        return self.tables.versions(snapshot, self._versioned(snapshot), before, most)

    def version_at(self, newest: Snapshot, at: datetime) -> int:
        """The version that was the newest at a time. Raises Conflict `dataset_not_versioned`, NotFound, Gone."""
        return self.tables.version_at(newest, self._versioned(newest), at)

    def restore(self, snapshot: Snapshot, metadata: Mapping[str, str]) -> Committed:
        """Make a version of a table the newest one again. Raises Conflict, Gone `version_gone`."""
        return self.tables.restore(snapshot, self._versioned(snapshot), metadata)

    def committed(self, name: str, change_id: str) -> Committed | None:
        """What a change of a table came to; None where its log does not have it."""
        return TableLogs(self.storage, self.tables).committed(name, change_id)

    def is_free(self, name: str) -> bool:
        """Whether a dataset of this name could be made: there is none, nor one above or below it."""
        parts = name.split(".")
        above = [".".join(parts[:depth]) for depth in range(1, len(parts))]
        if any(each in self.sql or self._is_dataset(path_of(each)) for each in above):
            return False
        return name not in self.sql and not self.storage.entries(path_of(name))

    def _is_dataset(self, path: str) -> bool:
        entries = self.storage.entries(path) or ()
        return _is_table(entries) or is_dataset(entries)

    def _versioned(self, snapshot: Snapshot) -> str:
        """Where a table lies."""
        if snapshot.version is None:
            raise _not_versioned()
        return self.storage.location(path_of(snapshot.name))

    def _table(self, name: str, version: int | None) -> Snapshot | None:
        path = path_of(name)
        if not self.storage.has_folder(f"{path}/{LOG}"):
            return None
        return self.tables.snapshot(name, self.storage.location(path), version)

    def _names(self, path: str) -> Iterator[str]:
        for folder, entries in self.storage.walk(path):
            if folder != "/" and (_is_table(entries) or is_dataset(entries)):
                yield name_of(folder)


def _is_table(entries: Sequence[Entry]) -> bool:
    return any(entry.is_folder and entry.name == LOG for entry in entries)


def _not_versioned() -> Conflict:
    return Conflict("Only tables have versions; this dataset is none", code="dataset_not_versioned")
