"""The child: maintains one table under a limit of memory and tells what it did. Run with `-m` by `tables.py`.

Whenever it is killed the table is at a committed version: each step is one commit, or deletes what nothing names.
"""

import json
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import DeltaError

from rest_api.backends.delta_layout import properties_of

_LOG = "_delta_log"
_DATA_FILE = re.compile(r"part-[0-9A-Za-z._-]+\.parquet")
_PARTITION = re.compile(r"[^/=]+=[^/]*")
_INTERVAL = re.compile(r"interval (\d+) (second|minute|hour|day|week)s?")
_HOURS = {"second": 1 / 3_600, "minute": 1 / 60, "hour": 1, "day": 24, "week": 168}
_OWN_RETENTION = "delta.deletedFileRetentionDuration"


def main() -> None:
    """Answers on standard output with one JSON object: what was done, or the `problem` that kept it from that."""
    asked = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory_bytes"], asked["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        told = maintain(asked["location"], asked["retention_hours"])
    except (DeltaError, OSError) as error:
        told = {"problem": f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"}
    json.dump(told, sys.stdout)


def maintain(location: str, retention_hours: int) -> dict[str, Any]:
    """Join small files, write a checkpoint, delete files that no kept version names, cut the log.

    Raises DeltaError, also where another writer was quicker: the next run does it.
    """
    table = DeltaTable(location)
    properties = CommitProperties(custom_metadata={"userName": "maintenance"})
    joined = table.optimize.compact(
        max_concurrent_tasks=1, writer_properties=properties_of(table), commit_properties=properties
    )
    deleted = _delete_unnamed(location, _hours(table, retention_hours))
    _write_checkpoint(table, location)
    table.cleanup_metadata()
    return {"files_joined": joined["numFilesRemoved"], "files_deleted": deleted, "version": table.version()}


def _write_checkpoint(table: DeltaTable, location: str) -> None:
    last = Path(location, _LOG, "_last_checkpoint")
    if not last.exists() or json.loads(last.read_bytes())["version"] < table.version():
        table.create_checkpoint()


def _hours(table: DeltaTable, hours: int) -> int:
    """How long files stay: as long as is set here, or longer where the table says so."""
    own = _INTERVAL.fullmatch(table.metadata().configuration.get(_OWN_RETENTION, "").strip().lower())
    return hours if own is None else max(hours, int(int(own[1]) * _HOURS[own[2]]))


def _delete_unnamed(location: str, hours: int) -> int:
    """Delete data files that only versions older than so many hours name, or none. Returns how many."""
    table, before = DeltaTable(location), time.time() - hours * 3_600
    # "Full" finds what writers left that were killed. It names all that lies in the folder, also other tables below
    # it: only what is named and placed as a data file of this table is deleted, and here rather than by the library.
    named = table.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)
    files = list(_own_files(Path(location), named, before))
    # Checkpoints forget what was removed after a week, whatever is set here: the commits themselves do not.
    needed = {*_removed_since(Path(location, _LOG), before), *DeltaTable(location).file_uris()}
    kept = {Path(location, each) for name in needed for each in (name, unquote(name))}
    doomed = [file for file in files if file not in kept]
    for file in doomed:
        file.unlink(missing_ok=True)
    return len(doomed)


def _removed_since(log: Path, moment: float) -> Iterator[str]:
    """The files that versions of that moment or later have, and the newest one has not."""
    for commit in sorted(log.glob("*.json"), reverse=True):
        if commit.stat().st_mtime < moment:
            return
        actions = (json.loads(line) for line in commit.read_bytes().splitlines() if b'"remove"' in line)
        yield from (action["remove"]["path"] for action in actions if "remove" in action)


def _own_files(folder: Path, named: list[str], before: float) -> Iterator[Path]:
    for name in named:
        place = next((each for each in (folder / name, folder / unquote(name)) if each.is_file()), folder)
        *steps, last = place.relative_to(folder).parts or ("",)
        is_own = _DATA_FILE.fullmatch(last) and all(_PARTITION.fullmatch(step) for step in steps)
        if is_own and not place.is_symlink() and place.stat().st_mtime < before:
            yield place


if __name__ == "__main__":
    main()
