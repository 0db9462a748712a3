"""Delta tables: handles that are kept, snapshots of every version, and their history."""

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from rest_api.backends.history import History, Version
from rest_api.errors import Conflict, Gone, NotFound
from rest_api.lake.columns import Columns, LakeColumn
from rest_api.lake.snapshots import TABLE, DataFile, Snapshot

KEPT_VERSIONS = 64
COMMIT_ATTEMPTS = 10
RESERVED = frozenset({"file_index", "file_row_number"})
"""The names of a row's place, which no column can have."""
_State = tuple[int, tuple[int, int, int] | None]
CHANGE = "lakeport_change"
"""The member of a commit's information that holds the id of its change."""
READABLE_FEATURES = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "deletionVectors", "appendOnly"})
# Delta allows a log to cut times to milliseconds: the greatest may then be a little too small.
_CUT = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Committed:
    """What a change came to: a version of the table of that identity; a folder of files has none."""

    version: int | None
    identity: str


class DeltaTables:
    """Tables of this process: the newest snapshot of each is kept, and a look at the log tells whether it still is."""

    def __init__(self) -> None:
        self._handles: dict[str, _Handle] = {}
        self._versions: OrderedDict[tuple[str, str, int, int], Snapshot] = OrderedDict()
        self._histories: dict[str, History] = {}
        self._lock = Lock()

    def snapshot(self, name: str, location: str, version: int | None = None) -> Snapshot | None:
        """A version of the table in a folder, the newest one unless asked for; None where there is no table.

        Raises NotFound `version_not_found`, Gone `version_gone`, Conflict `unsupported_table_feature`.
        """
        newest = self._handle(location).newest(name)
        if newest is None or version is None or version == newest.version:
            return newest
        if not 0 <= version <= (newest.version or 0):
            raise NotFound(f"Versions go from 0 to {newest.version}", code="version_not_found")
        return self._kept_version(newest, location, version)

    def versions(self, snapshot: Snapshot, location: str, before: int | None, most: int) -> list[Version]:
        """The newest versions up to a snapshot's, or those before a number, newest first, as far as the log reaches."""
        newest = snapshot.version or 0
        return self._history(location).page(newest, newest if before is None else before - 1, most)

    def version_at(self, snapshot: Snapshot, location: str, at: datetime) -> int:
        """The version that was the newest at a time; `snapshot` is the newest one.

        Raises NotFound `version_not_found` before the first, Gone `version_gone` where the log was cut since.
        """
        found, oldest = self._history(location).at(snapshot.version or 0, at)
        if found is not None:
            return found
        if oldest:
            raise Gone("The versions of that time are not kept any more", code="version_gone")
        raise NotFound("The table had no version at that time", code="version_not_found")

    def committed(self, name: str, location: str, change_id: str) -> Committed | None:
        """What a change came to, where the table's log has it."""
        newest = self.snapshot(name, location)
        if newest is None:
            return None
        version = self._history(location).having(newest.version or 0, change_id)
        return None if version is None else Committed(version, newest.identity)

    def restore(self, snapshot: Snapshot, location: str, metadata: Mapping[str, str]) -> Committed:
        """Make a version the newest one again. `metadata` names the change in the commit.

        Raises Gone `version_gone` where its files are gone, Conflict where others never cease to commit.
        """
        if any(not Path(file.path).exists() for file in snapshot.files):
            raise _gone(snapshot.version)
        for _ in range(COMMIT_ATTEMPTS):
            try:
                return self._restored(snapshot, location, metadata)
            except CommitFailedError:
                continue  # another one committed first: this change comes after it
            except DeltaError as error:
                raise Conflict(f"Version {snapshot.version} cannot be restored") from error
        raise Conflict("Others change the table all the time; try again")

    def _restored(self, snapshot: Snapshot, location: str, metadata: Mapping[str, str]) -> Committed:
        properties = CommitProperties(custom_metadata=dict(metadata), max_commit_retries=0)
        DeltaTable(location).restore(snapshot.version or 0, commit_properties=properties)
        committed = self.committed(snapshot.name, location, metadata[CHANGE])
        if committed is None:
            raise Conflict("The table was replaced meanwhile")
        return committed

    def _history(self, location: str) -> History:
        with self._lock:
            return self._histories.setdefault(location, History(_log_of(location), CHANGE))

    def _handle(self, location: str) -> "_Handle":
        with self._lock:
            return self._handles.setdefault(location, _Handle(location))

    def _kept_version(self, newest: Snapshot, location: str, version: int) -> Snapshot:
        key = (location, newest.identity, _log_of(location).stat().st_ino, version)
        with self._lock:
            kept = self._versions.get(key)
        if kept is not None:
            return kept
        try:
            snapshot = _snapshot(newest.name, location, DeltaTable(location, version=version))
        except DeltaError as error:
            raise _gone(version) from error
        with self._lock:
            self._versions[key] = snapshot
            if len(self._versions) > KEPT_VERSIONS:
                self._versions.popitem(last=False)
        return snapshot


class _Handle:
    """A table that stays open. Whether it is at the newest version is seen by the next commit's file."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._lock = Lock()
        self._table: DeltaTable | None = None
        self._snapshot: Snapshot | None = None
        self._state: _State = (0, None)

    def newest(self, name: str) -> Snapshot | None:
        with self._lock:
            try:
                is_known = self._table is not None and self._state == _state(self._location, self._table.version())
            except (FileNotFoundError, NotADirectoryError):
                self._table = self._snapshot = None
                return None
            return self._updated(name, self._table) if self._table and is_known else self._opened(name)

    def _opened(self, name: str) -> Snapshot | None:
        self._table = self._snapshot = None
        try:
            self._table = DeltaTable(self._location)
        except TableNotFoundError:
            return None
        except DeltaError as error:
            raise _unsupported("it cannot be opened") from error
        self._state = _state(self._location, self._table.version())
        self._snapshot = _snapshot(name, self._location, self._table)
        return self._snapshot

    def _updated(self, name: str, table: DeltaTable) -> Snapshot:
        following = _log_of(self._location) / f"{table.version() + 1:020}.json"
        if self._snapshot is None or following.exists():
            table.update_incremental()
            self._state = _state(self._location, table.version())
            self._snapshot = _snapshot(name, self._location, table)
        return self._snapshot


def _log_of(location: str) -> Path:
    return Path(location) / "_delta_log"


def _state(location: str, version: int) -> "_State":
    """What tells a table from another one in its place: the numbers of folders and files are given again."""
    log = _log_of(location)
    try:
        commit = (log / f"{version:020}.json").stat()
    except FileNotFoundError:
        return log.stat().st_ino, None
    return log.stat().st_ino, (commit.st_ino, commit.st_mtime_ns, commit.st_size)


def _snapshot(name: str, location: str, table: DeltaTable) -> Snapshot:
    _require_readable(table)
    metadata = table.metadata()
    schema = pa.schema(table.schema().to_arrow())
    columns = tuple(LakeColumn(field.name, str(field.type)) for field in schema)
    return Snapshot(
        name=name,
        kind=TABLE,
        identity=f"table:{metadata.id}",
        columns=columns,
        partition_columns=tuple(metadata.partition_columns),
        files=_files(location, table, columns),
        version=table.version(),
    )


def _require_readable(table: DeltaTable) -> None:
    protocol = table.protocol()
    reserved = sorted({field.name.lower() for field in table.schema().fields} & RESERVED)
    if reserved:
        raise _unsupported(f"a column named {reserved[0]}")
    beyond = sorted(set(protocol.reader_features or ()) - READABLE_FEATURES)
    if beyond:
        raise _unsupported(", ".join(beyond))
    if protocol.min_reader_version == 2 and table.metadata().configuration.get("delta.columnMapping.mode"):
        raise _unsupported("columnMapping")
    if "deletionVectors" in (protocol.reader_features or ()) and _has_deletion_vectors(table):
        raise _unsupported("deletionVectors")


def _has_deletion_vectors(table: DeltaTable) -> bool:
    try:
        return any(batch.num_rows for batch in pa.RecordBatchReader.from_stream(table.deletion_vectors()))
    except DeltaError:
        return True  # one that cannot even be decoded


def _unsupported(what: str) -> Conflict:
    return Conflict(f"The table uses what is not read here: {what}", code="unsupported_table_feature")


def _files(location: str, table: DeltaTable, columns: Columns) -> tuple[DataFile, ...]:
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    # In the order in which they came, so that rows without an order come oldest first.
    actions.sort(key=lambda action: (action["modification_time"], action["path"]))
    names = [column.name for column in columns]
    return tuple(_file(location, action, names) for action in actions)


def _file(location: str, action: dict[str, Any], names: list[str]) -> DataFile:
    return DataFile(
        path=_inside(location, unquote(action["path"])),
        size_bytes=action["size_bytes"],
        rows=action["num_records"],
        partition={name: action[f"partition.{name}"] for name in names if f"partition.{name}" in action},
        ranges={
            name: (action[f"min.{name}"], _not_cut(action[f"max.{name}"]))
            for name in names
            if action.get(f"min.{name}") is not None and action.get(f"max.{name}") is not None
        },
        nulls={name: action[f"null_count.{name}"] for name in names if action.get(f"null_count.{name}") is not None},
    )


def _not_cut(greatest: Any) -> Any:
    if not isinstance(greatest, datetime):
        return greatest
    try:
        return greatest + _CUT
    except OverflowError:
        return greatest


def _inside(location: str, path: str) -> str:
    """The place of a data file. A log may name any file of the machine; only those below its table are read."""
    place = os.path.normpath(os.path.join(location, path))  # noqa: PTH118  (Path would touch the disk)
    if not place.startswith(location + os.sep) or "://" in path:
        raise _unsupported("files outside its folder")
    return place


def _gone(version: int | None) -> Gone:
    return Gone(f"Version {version} is not kept any more", code="version_gone")
