"""Delta tables of demo rows, and the times of their versions set back into the past."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, write_deltalake

# Versions reach months back: the log must outlive Delta's default of 30 days.
KEPT = {"delta.logRetentionDuration": "interval 3650 days"}
TIME = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Commit:
    """Who commits a version, when, and why."""

    user_name: str
    at: datetime
    reason: str

    @property
    def properties(self) -> CommitProperties:
        return CommitProperties(custom_metadata={"userName": self.user_name, "userMetadata": self.reason})


def to_arrow(rows: Sequence[object], schema: Any) -> Any:
    """A pyarrow table of rows whose attributes are named as the columns."""
    columns = [pa.array([getattr(row, name) for row in rows], schema.field(name).type) for name in schema.names]
    return pa.table(columns, schema=schema)


def append(folder: Path, rows: Any, commit: Commit) -> None:
    """Append a version; the first one makes the table."""
    new = not folder.exists()
    write_deltalake(
        folder,
        rows,
        mode="append",
        configuration=KEPT if new else None,
        commit_properties=commit.properties,
    )


def set_back(folder: Path, times: Sequence[datetime]) -> None:
    """Give version n the time `times[n]`; only for a table nobody reads yet."""
    for version, at in enumerate(times):
        path = folder / "_delta_log" / f"{version:020}.json"
        path.write_text("".join(_dated(line, at) for line in path.read_text().splitlines()))
        os.utime(path, (at.timestamp(), at.timestamp()))


def _dated(line: str, at: datetime) -> str:
    action = json.loads(line)
    if "commitInfo" in action:
        action["commitInfo"]["timestamp"] = int(at.timestamp() * 1000)
    return json.dumps(action, ensure_ascii=False, separators=(",", ":")) + "\n"
