"""Delta tables: every version reads as deltalake's own reader has it, and differs from any other as its rows do."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rest_api.backends.delta import DeltaTables
from rest_api.backends.engine.duckdb import DuckDbEngine
from rest_api.backends.engine.masks import MaskKey
from rest_api.backends.footers import Footers
from rest_api.backends.maintenance import child
from rest_api.backends.maintenance import tables as maintained
from rest_api.backends.maintenance.tables import Upkeep
from rest_api.backends.storage.local import LocalStorage
from rest_api.errors import Conflict, Gone, NotFound
from rest_api.lake.diffs import Diff, Side
from rest_api.lake.grants import Grant
from rest_api.lake.plans import Plan
from rest_api.lake.snapshots import Snapshot
from rest_api.lake.views import View, view_of

NAME = "readings"
ROOT = Path(__file__).resolve().parents[2]
KINDS: list[str | None] = ["a", "é/ b", "100%", None]
GIGABYTES_8 = 8 << 30
WHOLE = (Grant(None, "a", frozenset({"read"}), path="/"),)
few = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Lake:
    """One table in a folder, and what reads it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / NAME
        self.tables = DeltaTables()
        self.engine = DuckDbEngine([root], MaskKey.of(b"key"), Footers(), 30)

    @property
    def location(self) -> str:
        return str(self.folder)

    def append(self, rows: list[dict[str, Any]], **more: Any) -> None:
        write_deltalake(self.folder, pa.Table.from_pylist(rows), **{"mode": "append", **more})

    def snapshot(self, version: int | None = None) -> Snapshot:
        found = self.tables.snapshot(NAME, self.location, version)
        assert found is not None
        return found

    def rows(self, version: int | None = None) -> Counter[str]:
        """The rows of a version, as often as it has each."""
        snapshot = self.snapshot(version)
        view = whole(snapshot)
        batches = self.engine.batches(Plan(snapshot, view, view.everything()))
        return Counter(repr(sorted(row.items())) for batch in batches for row in batch.to_pylist())

    def differences(self, before: int, after: int, *, key: tuple[str, ...] = (), limit: int = 1_000) -> Any:
        sides = [Side(each, whole(each)) for each in map(self.snapshot, (before, after))]
        return self.engine.diff(Diff(sides[0], sides[1], key, limit))


def whole(snapshot: Snapshot) -> View:
    view = view_of(snapshot, WHOLE)
    assert view is not None
    return view


def spoken(rows: pa.Table) -> Counter[str]:
    return Counter(repr(sorted(row.items())) for row in rows.to_pylist())


def said(change: Any) -> str:
    return repr(sorted(change.row.items()))


def as_deltalake_reads(folder: Path, version: int) -> Counter[str]:
    return spoken(DeltaTable(folder, version=version).to_pyarrow_table())


def reading(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "kind": KINDS[number % 4], "amount": number * 0.5, **more}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def as_large(lake: Lake) -> None:
    """Rewrite the table with wider numbers."""
    rows = DeltaTable(lake.folder).to_pyarrow_table()
    wide = rows.set_column(0, "id", pc.cast(rows["id"], pa.int64()))
    write_deltalake(lake.folder, wide, mode="overwrite", schema_mode="overwrite")


def test_every_version_reads_as_deltalake_reads_it(lake: Lake) -> None:
    schema = pa.schema([("id", pa.int32()), ("kind", pa.string()), ("amount", pa.float64())])
    for start in (0, 5, 10):
        rows = pa.Table.from_pylist([reading(n) for n in range(start, start + 5)], schema)
        write_deltalake(lake.folder, rows, mode="append", partition_by=["kind"])
    added = pa.Table.from_pylist([reading(n, note=f"n{n}") for n in range(15, 20)])
    narrow = added.cast(added.schema.set(0, pa.field("id", pa.int32())))
    write_deltalake(lake.folder, narrow, mode="append", schema_mode="merge")
    DeltaTable(lake.folder).delete("id < 3")
    DeltaTable(lake.folder).delete("kind is null")
    DeltaTable(lake.folder).optimize.compact()
    as_large(lake)
    lake.append([reading(n, note=None) for n in range(30, 34)], schema_mode="merge")
    DeltaTable(lake.folder).restore(2)
    DeltaTable(lake.folder).create_checkpoint()
    newest = DeltaTable(lake.folder).version()
    assert newest == 9
    for version in range(newest + 1):
        assert lake.rows(version) == as_deltalake_reads(lake.folder, version), version
    for before in range(newest + 1):
        for after in range(newest + 1):
            assert_differs_as_rows_do(lake, before, after)


def assert_differs_as_rows_do(lake: Lake, before: int, after: int) -> None:
    """As often as one version has a row more, with nulls for columns that it lacks, so often it is told."""
    names = sorted({c.name for v in (before, after) for c in lake.snapshot(v).columns})
    old, new = (Counter(padded(lake, version, names)) for version in (before, after))
    page = lake.differences(before, after)
    assert Counter(said(each) for each in page.changes if each.kind == "added") == new - old
    assert Counter(said(each) for each in page.changes if each.kind == "removed") == old - new
    assert page.counts == {"added": (new - old).total(), "removed": (old - new).total(), "changed": 0}


def padded(lake: Lake, version: int, names: list[str]) -> list[str]:
    rows = DeltaTable(lake.folder, version=version).to_pyarrow_table().to_pylist()
    return [repr([(name, row.get(name)) for name in names]) for row in rows]


KINDS_OF_STEPS = st.sampled_from(("append", "delete", "compact", "restore", "checkpoint"))
STEPS = st.lists(st.tuples(KINDS_OF_STEPS, st.integers(0, 9)), min_size=1, max_size=6)


@few
@given(steps=STEPS)
def test_any_history_reads_as_deltalake_reads_it(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    lake.append([reading(n) for n in (1, 2, 2, 3)], partition_by=["kind"])
    for what, number in steps:
        take(lake, what, number)
    newest = DeltaTable(lake.folder).version()
    for version in range(newest + 1):
        assert lake.rows(version) == as_deltalake_reads(lake.folder, version)
        assert_differs_as_rows_do(lake, version, newest)


def take(lake: Lake, what: str, number: int) -> None:
    table = DeltaTable(lake.folder)
    if what == "append":
        lake.append([reading(n % 4) for n in range(number + 1)])
    elif what == "delete":
        table.delete(f"id = {number % 4}")
    elif what == "compact":
        table.optimize.compact()
    elif what == "checkpoint":
        table.create_checkpoint()
    elif table.version():
        table.restore(number % table.version())


def test_a_row_with_the_same_key_is_told_as_changed(lake: Lake) -> None:
    lake.append([{"id": n, "name": f"n{n}"} for n in range(4)])
    changed: list[dict[str, Any]] = [
        {"id": 0, "name": "n0"},
        {"id": 1, "name": "other"},
        {"id": 3, "name": None},
        {"id": 4, "name": "new"},
    ]
    lake.append(changed, mode="overwrite")
    page = lake.differences(0, 1, key=("id",))
    told = [(each.kind, each.row, each.before) for each in page.changes]
    assert told == [
        ("changed", {"id": 1, "name": "other"}, {"id": 1, "name": "n1"}),
        ("removed", {"id": 2, "name": "n2"}, None),
        ("changed", {"id": 3, "name": None}, {"id": 3, "name": "n3"}),
        ("added", {"id": 4, "name": "new"}, None),
    ]
    assert page.counts == {"added": 1, "removed": 1, "changed": 2}


def test_a_key_that_is_not_unique_pairs_nothing(lake: Lake) -> None:
    lake.append([{"id": 1, "name": "a"}, {"id": None, "name": "x"}])
    lake.append([{"id": 1, "name": "b"}, {"id": 1, "name": "c"}, {"id": None, "name": "y"}], mode="overwrite")
    assert lake.differences(0, 1, key=("id",)).counts == {"added": 3, "removed": 2, "changed": 0}


def test_files_of_both_versions_are_not_read(lake: Lake) -> None:
    lake.append([reading(n) for n in range(3)])
    lake.append([reading(n) for n in range(3, 5)])
    lake.append([reading(9)])
    for file in lake.snapshot(1).files:
        Path(file.path).unlink()
    assert lake.differences(1, 2).counts == {"added": 1, "removed": 0, "changed": 0}
    with pytest.raises(Gone) as gone:
        lake.differences(0, 2)
    assert gone.value.code == "version_gone"


def test_times_go_by_the_log_and_never_back(lake: Lake) -> None:
    for number in range(4):
        lake.append([reading(number)])
    hours = [datetime(2026, 11, 1, hour, tzinfo=UTC) for hour in (10, 11, 9, 12)]
    for version, at in enumerate(hours):
        set_time(lake.folder, version, at)
    newest = lake.snapshot()

    def version_at(hour: int, minute: int = 0) -> int:
        return lake.tables.version_at(newest, lake.location, datetime(2026, 11, 1, hour, minute, tzinfo=UTC))

    assert [version_at(10), version_at(10, 59), version_at(11), version_at(12)] == [0, 0, 2, 3]
    with pytest.raises(NotFound) as before_the_first:
        version_at(9, 59)
    assert before_the_first.value.code == "version_not_found"


def set_time(folder: Path, version: int, at: datetime) -> None:
    path = folder / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    for action in actions:
        if "commitInfo" in action:
            action["commitInfo"]["timestamp"] = int(at.timestamp() * 1_000)
    path.write_text("".join(json.dumps(action) + "\n" for action in actions))


def test_a_log_that_was_cut_tells_what_it_still_has(lake: Lake) -> None:
    for number in range(6):
        lake.append([reading(number)])
    assert numbers(lake) == [5, 4, 3, 2, 1, 0]
    DeltaTable(lake.folder, version=3).create_checkpoint()
    for version in range(3):
        (lake.folder / "_delta_log" / f"{version:020}.json").unlink()
    assert numbers(lake) == [5, 4, 3] == numbers(lake, DeltaTables())
    with pytest.raises(Gone) as gone:
        lake.tables.version_at(lake.snapshot(), lake.location, datetime(2020, 1, 1, tzinfo=UTC))
    assert gone.value.code == "version_gone"
    for tables in (lake.tables, DeltaTables()):
        with pytest.raises(Gone):
            tables.snapshot(NAME, lake.location, 1)
    assert lake.rows(3) == as_deltalake_reads(lake.folder, 3)


def numbers(lake: Lake, tables: DeltaTables | None = None) -> list[int]:
    return [each.number for each in (tables or lake.tables).versions(lake.snapshot(), lake.location, None, 100)]


def test_a_commit_that_tells_nothing_of_itself_keeps_its_number(lake: Lake) -> None:
    for number in range(3):
        lake.append([reading(number)])
    path = lake.folder / "_delta_log" / f"{1:020}.json"
    path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if "commitInfo" not in line))
    told = lake.tables.versions(lake.snapshot(), lake.location, None, 10)
    assert [(each.number, each.operation) for each in told] == [(2, "WRITE"), (1, "UNKNOWN"), (0, "WRITE")]


def rewritten(lake: Lake, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the actions of the first commit."""
    path = lake.folder / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    for action in actions:
        change(action)
    path.write_text("".join(json.dumps(action) + "\n" for action in actions))


def features(*reader: str) -> Callable[[dict[str, Any]], None]:
    def change(action: dict[str, Any]) -> None:
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": list(reader),
                                  "writerFeatures": list(reader)}  # fmt: skip

    return change


def with_deletions(action: dict[str, Any]) -> None:
    features("deletionVectors")(action)
    if "add" in action:
        vector = {"storageType": "i", "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
                  "sizeInBytes": 40, "cardinality": 6}  # fmt: skip
        action["add"]["deletionVector"] = vector


def with_mapped_columns(action: dict[str, Any]) -> None:
    features("columnMapping")(action)
    if "metaData" in action:
        action["metaData"]["configuration"] = {"delta.columnMapping.mode": "name"}


def elsewhere(path: str) -> Callable[[dict[str, Any]], None]:
    def change(action: dict[str, Any]) -> None:
        if "add" in action:
            action["add"]["path"] = path

    return change


@pytest.mark.parametrize(
    "change",
    [
        features("typeWidening"),
        features("somethingNew"),
        with_deletions,
        with_mapped_columns,
        elsewhere("../other/secret.parquet"),
        elsewhere("/etc/passwd"),
        elsewhere("file:///etc/passwd"),
        elsewhere("%2e%2e/other/secret.parquet"),
        elsewhere("s3://bucket/x.parquet"),
    ],
    ids=["widening", "unknown", "vectors", "mapping", "parent", "absolute", "url", "encoded", "bucket"],
)
def test_what_cannot_be_read_right_is_refused(lake: Lake, change: Callable[[dict[str, Any]], None]) -> None:
    lake.append([reading(n) for n in range(3)])
    rewritten(lake, change)
    with pytest.raises(Conflict) as refused:
        lake.snapshot()
    assert refused.value.code == "unsupported_table_feature"


def test_deletion_vectors_that_nobody_uses_are_no_obstacle(lake: Lake) -> None:
    lake.append([reading(n) for n in range(3)])
    rewritten(lake, features("deletionVectors"))
    assert sum(lake.rows().values()) == 3


def grown_old(folder: Path, days: float) -> None:
    """Set the table's files and commits back, so that they are as old as that."""
    then = datetime.now(UTC) - timedelta(days=days)
    for version in range(DeltaTable(folder).version() + 1):
        set_time(folder, version, then)
        path = folder / "_delta_log" / f"{version:020}.json"
        milliseconds = int(then.timestamp() * 1_000)
        actions = [json.loads(line) for line in path.read_text().splitlines()]
        for action in actions:
            if "remove" in action:
                action["remove"]["deletionTimestamp"] = milliseconds
        path.write_text("".join(json.dumps(action) + "\n" for action in actions))
    for file in folder.rglob("*"):
        os.utime(file, (then.timestamp(), then.timestamp()))


def test_maintenance_changes_no_row_and_keeps_what_is_young(lake: Lake) -> None:
    for number in range(5):
        lake.append([reading(number)])
    earlier = lake.snapshot()
    told = Upkeep(LocalStorage(lake.folder.parent), 24, GIGABYTES_8).maintain(lake.location, lambda: None)
    assert told == {"files_joined": 5, "files_deleted": 0, "version": 5}
    assert len(lake.snapshot().files) == 1
    assert lake.rows(4) == lake.rows(5)
    assert lake.differences(4, 5).changes == []
    view = whole(earlier)
    assert lake.engine.page(Plan(earlier, view, view.everything())).rows
    assert (lake.folder / "_delta_log" / "_last_checkpoint").exists()
    again = Upkeep(LocalStorage(lake.folder.parent), 24, GIGABYTES_8).maintain(lake.location, lambda: None)
    assert again == {"files_joined": 0, "files_deleted": 0, "version": 5}


def test_maintenance_deletes_what_only_old_versions_name_and_nothing_that_is_not_the_tables_own(lake: Lake) -> None:
    nested = Lake(lake.folder)
    lake.append([reading(n) for n in range(4)], partition_by=["kind"])
    lake.append([reading(n) for n in range(4)], mode="overwrite")
    nested.append([reading(1)])
    nested.append([reading(2)], mode="overwrite")
    left = lake.folder / "part-00000-left-by-a-killed-writer-c000.snappy.parquet"
    for stray in (lake.folder / "README.md", lake.folder / "other" / "part-0.parquet", left):
        stray.parent.mkdir(exist_ok=True)
        stray.write_text("x")
    grown_old(lake.folder, 3)
    before, others = lake.rows(), nested.rows()
    assert child.maintain(lake.location, 96)["files_deleted"] == 0
    assert child.maintain(lake.location, 48)["files_deleted"] == 5
    assert not left.exists()
    assert (lake.folder / "README.md").exists()
    assert (lake.folder / "other" / "part-0.parquet").exists()
    assert lake.rows() == before
    assert nested.rows() == others
    assert sum(nested.rows(0).values()) == 1
    with pytest.raises(Gone) as gone:
        lake.rows(0)
    assert gone.value.code == "version_gone"


def test_maintenance_keeps_files_as_long_as_the_table_itself_asks_for(lake: Lake) -> None:
    kept = {"delta.deletedFileRetentionDuration": "interval 30 days"}
    lake.append([reading(1)], configuration=kept)
    lake.append([reading(2)], mode="overwrite")
    grown_old(lake.folder, 20)
    assert child.maintain(lake.location, 24)["files_deleted"] == 0
    assert sum(lake.rows(0).values()) == 1


def test_files_stay_as_long_as_is_set_even_where_checkpoints_forgot_them(lake: Lake) -> None:
    lake.append([reading(1)])
    lake.append([reading(2)], mode="overwrite")
    grown_old(lake.folder, 20)
    for file in lake.folder.glob("*.parquet"):
        os.utime(file, (0, 0))
    DeltaTable(lake.folder).create_checkpoint()
    assert child.maintain(lake.location, 30 * 24)["files_deleted"] == 0
    assert sum(lake.rows(0).values()) == 1


def test_a_child_that_ends_over_a_table_is_a_problem_of_that_table_only(lake: Lake) -> None:
    lake.append([reading(1)])
    told = Upkeep(LocalStorage(lake.folder.parent), 24, 1 << 20).maintain(lake.location, lambda: None)
    assert "problem" in told
    assert sum(lake.rows().values()) == 1


class Cancelled(Exception):
    """The job was cancelled."""


def test_a_child_ends_with_its_job(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintained, "LOOK_SECONDS", 0.001)
    lake.append([reading(1)])
    lake.append([reading(2)])
    found: list[int] = []

    def look() -> None:
        children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
        commands = {int(each): Path(f"/proc/{each}/cmdline").read_bytes() for each in children}
        found.extend(pid for pid, command in commands.items() if b"maintenance.child" in command)
        raise Cancelled

    with pytest.raises(Cancelled):
        Upkeep(LocalStorage(lake.folder.parent), 24, GIGABYTES_8).maintain(lake.location, look)
    (pid,) = found
    assert not Path(f"/proc/{pid}").exists()
    assert lake.snapshot().version == 1


WRITER = """
import sys
from deltalake import CommitProperties, DeltaTable
folder, what = sys.argv[1:]
print("begun", flush=True)
while True:
    table = DeltaTable(folder)
    if what == "compact":
        from deltalake import write_deltalake
        import pyarrow as pa
        write_deltalake(folder, pa.table({"id": [1]}), mode="append")
        from rest_api.backends.maintenance.child import maintain
        maintain(folder, 24)
    else:
        from rest_api.backends.delta import CHANGE, DeltaTables
        tables = DeltaTables()
        snapshot = tables.snapshot("readings", folder, table.version() - 1)
        tables.restore(snapshot, folder, {CHANGE: str(table.version()), "userName": "ada"})
"""


@pytest.mark.parametrize("what", ["compact", "restore"])
def test_a_writer_killed_at_any_moment_leaves_a_committed_version(lake: Lake, what: str) -> None:
    lake.append([{"id": 1}])
    lake.append([{"id": 1}, {"id": 1}])
    moments = random.Random(f"{what} 20261125")
    for _ in range(4):
        kill_at_some_moment(lake, what, moments.uniform(0.05, 0.6))
        newest = lake.snapshot().version
        assert newest == DeltaTable(lake.folder).version()
        for version in range(max(0, (newest or 0) - 5), (newest or 0) + 1):
            assert lake.rows(version) == as_deltalake_reads(lake.folder, version)
        lake.append([{"id": 1}])
        assert lake.snapshot().version == (newest or 0) + 1


def kill_at_some_moment(lake: Lake, what: str, seconds: float) -> None:
    command = [sys.executable, "-c", WRITER, lake.location, what]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"begun\n"
        time.sleep(seconds)  # the moment is random: there is no state to wait for
        assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)


def test_a_change_is_found_by_its_id(lake: Lake) -> None:
    properties = CommitProperties(custom_metadata={"lakeport_change": "c1", "userName": "ada"})
    lake.append([reading(1)])
    lake.append([reading(2)], commit_properties=properties)
    lake.append([reading(3)])
    found = lake.tables.committed(NAME, lake.location, "c1")
    assert found is not None
    assert (found.version, found.identity) == (1, lake.snapshot().identity)
    assert lake.tables.committed(NAME, lake.location, "c2") is None
    assert lake.tables.committed(NAME, f"{lake.location}-not-there", "c1") is None
