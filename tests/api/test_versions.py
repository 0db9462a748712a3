"""Versions of tables over HTTP: told, read, compared and restored, each as far as the caller sees."""

import json
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.orm import sessionmaker

from rest_api.database import READ_ONLY, create_engine_for
from rest_api.demo.delta import set_back
from rest_api.errors import Conflict
from rest_api.services import changes
from rest_api.services.changes import Intent
from rest_api.settings import Settings
from rest_api.tasks import all_tasks
from rest_api.tasks.task import Run
from tests import live
from tests.api.lake import append, give, lake_folder, transactions, with_lake
from tests.conftest import Caller, log_in
from tests.jobs.test_worker import wait_for

DATASETS = "/data/datasets"
TABLE = f"{DATASETS}/transactions"
DAYS = tuple(datetime(2026, 11, day, 12, tzinfo=UTC) for day in (1, 2, 3))
NO_DIFFERENCE: dict[str, Any] = {
    "data": [],
    "next": None,
    "next_url": None,
    "counts": {"added": 0, "removed": 0, "changed": 0},
}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return with_lake(make_app())


@pytest.fixture
def folder(app: Flask) -> Path:
    """Where the table `people` comes to lie."""
    return lake_folder(app) / "people"


def engine_of(app: Flask) -> Engine:
    engine: Engine = app.extensions["lakeport"].door.engine
    return engine


def people(*rows: tuple[int, str, str]) -> pa.Table:
    return pa.Table.from_pylist([{"id": number, "name": name, "city": city} for number, name, city in rows])


def overwrite(folder: Path, rows: pa.Table) -> None:
    write_deltalake(folder, rows, mode="overwrite", schema_mode="overwrite")


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, str((answer.json or {}).get("code"))


def changed(answer: Any) -> list[tuple[Any, ...]]:
    assert answer.status_code == 200, answer.json
    return [(each["change"], each["row"].get("id"), each["before"]) for each in answer.json["data"]]


def everything(caller: Caller, path: str) -> list[Any]:
    """All rows of a list, page after page."""
    found: list[Any] = []
    page = caller.get(path).json
    while True:
        found += page["data"]
        if page["next_url"] is None:
            return found
        page = caller.get(page["next_url"]).json


def test_versions_are_listed_newest_first_page_by_page(app: Flask, admin: Caller) -> None:
    set_back(lake_folder(app) / "transactions", DAYS)
    first = admin.get(f"{TABLE}/versions?limit=2")
    assert first.json["data"] == [
        {"number": 2, "at": "2026-11-03T12:00:00Z", "operation": "WRITE", "rows": 40, "who": None},
        {"number": 1, "at": "2026-11-02T12:00:00Z", "operation": "WRITE", "rows": 60, "who": None},
    ]
    assert first.headers["Link"] == f'<{first.json["next_url"]}>; rel="next"'
    append(lake_folder(app) / "transactions", pa.Table.from_pylist(transactions()[:1]))
    last = admin.get(first.json["next_url"]).json
    assert ([each["number"] for each in last["data"]], last["next"]) == ([0], None)
    assert [each["number"] for each in everything(admin, f"{TABLE}/versions?limit=1")] == [3, 2, 1, 0]


def test_who_sees_a_part_learns_neither_what_a_commit_did_nor_who_did_it(app: Flask, admin: Caller) -> None:
    properties = CommitProperties(custom_metadata={"userName": "ada"})
    write_deltalake(lake_folder(app) / "people", people((1, "Ada", "Paris")), commit_properties=properties)
    give(admin, "rita", "people", filter="city=Lyon")
    reader = log_in(app, "rita")
    (shown,) = reader.get(f"{DATASETS}/people/versions").json["data"]
    (whole,) = admin.get(f"{DATASETS}/people/versions").json["data"]
    assert (whole["operation"], whole["rows"], whole["who"]) == ("WRITE", 1, "ada")
    assert shown == {**whole, "operation": None, "rows": None, "who": None}


@pytest.mark.parametrize("dataset", ["stores", "articles", "visits"])
def test_what_has_no_versions_says_so(admin: Caller, dataset: str) -> None:
    path = f"{DATASETS}/{dataset}"
    answers = [admin.get(f"{path}/versions"), admin.get(f"{path}/diff?from=0&to=1"),
               admin.post(f"{path}/restore", {"version": 0}), admin.get(f"{path}/rows?version=0"),
               admin.get(f"{path}/rows?as_of=2026-11-01")]  # fmt: skip
    assert {code(each) for each in answers} == {(409, "dataset_not_versioned")}


def test_a_hidden_table_has_no_versions_either(admin: Caller, reader: Caller) -> None:
    def answers(name: str) -> list[Any]:
        path = f"{DATASETS}/{name}"
        return [
            code(reader.get(f"{path}/versions")),
            code(reader.get(f"{path}/diff?from=0&to=1")),
            code(reader.post(f"{path}/restore", {"version": 0})),
        ]

    assert answers("transactions") == answers("trans_actions") == [(404, "not_found")] * 3


def test_a_time_names_the_version_that_was_the_newest_then(app: Flask, admin: Caller) -> None:
    set_back(lake_folder(app) / "transactions", DAYS)

    def rows(parameters: str) -> Any:
        answer = admin.get(f"{TABLE}/rows?count=exact&limit=1&{parameters}")
        return answer.json["count"] if answer.status_code == 200 else code(answer)

    assert rows("as_of=2026-11-01T12:00:00Z") == 100
    assert rows("as_of=2026-11-02T11:59:59.999Z") == 100
    assert rows("as_of=2026-11-02T13:00:00%2B01:00") == 160
    assert rows("as_of=2026-11-03") == 160
    assert rows("as_of=2026-11-04") == 200
    assert rows("version=0") == 100
    assert rows("as_of=2026-11-01") == (404, "version_not_found")
    assert rows("version=3") == (404, "version_not_found")
    assert rows("version=1&as_of=2026-11-03") == (400, "invalid")
    assert rows("version=-1") == rows("version=x") == rows("as_of=yesterday") == (400, "invalid")


def test_versions_whose_files_or_log_are_gone_are_gone(app: Flask, admin: Caller) -> None:
    place = lake_folder(app) / "transactions"
    set_back(place, DAYS)
    kept = set(DeltaTable(place).file_uris()) - set(DeltaTable(place, version=0).file_uris())
    DeltaTable(place).delete("transaction_id < 't0100'")
    for file in place.glob("*.parquet"):
        if str(file) not in kept and str(file) not in DeltaTable(place).file_uris():
            file.unlink()
    asked = (admin.get(f"{TABLE}/rows?version=0"), admin.get(f"{TABLE}/rows?as_of=2026-11-01T13:00:00Z"),
             admin.get(f"{TABLE}/diff?from=0&to=3"), admin.post(f"{TABLE}/restore", {"version": 0}))  # fmt: skip
    assert {code(each) for each in asked} == {(410, "version_gone")}
    DeltaTable(place).create_checkpoint()
    for version in range(3):
        (place / "_delta_log" / f"{version:020}.json").unlink()
    later = (admin.get(f"{TABLE}/rows?version=1"), admin.get(f"{TABLE}/rows?as_of=2026-11-01T13:00:00Z"))
    assert {code(each) for each in later} == {(410, "version_gone")}
    assert [each["number"] for each in admin.get(f"{TABLE}/versions").json["data"]] == [3]
    assert admin.get(f"{TABLE}/rows?count=exact").json["count"] == 100


def test_a_comparison_tells_each_row_as_often_as_it_is_there_more(folder: Path, admin: Caller) -> None:
    ada, bo = (1, "Ada", "Paris"), (2, "Bo", "Lyon")
    append(folder, people(ada, ada, ada, bo))
    overwrite(folder, people(ada, bo, bo))
    there = admin.get(f"{DATASETS}/people/diff?from=0&to=1")
    assert changed(there) == [("removed", 1, None), ("removed", 1, None), ("added", 2, None)]
    assert there.json["counts"] == {"added": 1, "removed": 2, "changed": 0}
    assert there.json["data"][0]["row"] == {"id": 1, "name": "Ada", "city": "Paris"}
    back = admin.get(f"{DATASETS}/people/diff?from=1&to=0")
    assert changed(back) == [("added", 1, None), ("added", 1, None), ("removed", 2, None)]
    assert admin.get(f"{DATASETS}/people/diff?from=1&to=1").json == NO_DIFFERENCE


def test_a_comparison_goes_on_page_by_page(admin: Caller) -> None:
    path = f"{TABLE}/diff?from=0&to=1"
    page = admin.get(path).json
    assert (len(page["data"]), page["counts"]) == (10, {"added": 60, "removed": 0, "changed": 0})
    found = everything(admin, f"{path}&limit=7")
    assert sorted(each["row"]["transaction_id"] for each in found) == [f"t{n:04}" for n in range(100, 160)]
    assert admin.get(page["next_url"]).json["counts"] == page["counts"]


def test_a_comparison_says_what_it_asks_for(admin: Caller) -> None:
    for wrong in ("", "from=0", "to=1", "from=x&to=1", "from=0&to=-1", "from=0&to=1&to=2", "from=0&to=1&select=id",
                  "from=0&to=1&amount=gt.5", "from=0&to=1&limit=11", "from=0&to=1&limit=0"):  # fmt: skip
        assert code(admin.get(f"{TABLE}/diff?{wrong}")) == (400, "invalid"), wrong
    assert code(admin.get(f"{TABLE}/diff?from=0&to=3")) == (404, "version_not_found")


def test_a_cursor_belongs_to_its_versions_its_caller_and_his_rights(app: Flask, admin: Caller) -> None:
    given = give(admin, "rita", "transactions")
    reader = log_in(app, "rita")
    cursor = reader.get(f"{TABLE}/diff?from=0&to=2").json["next"]
    assert reader.get(f"{TABLE}/diff?from=0&to=2&cursor={cursor}").status_code == 200
    for other in (f"{TABLE}/diff?from=0&to=1&cursor={cursor}", f"{TABLE}/diff?from=2&to=0&cursor={cursor}",
                  f"{TABLE}/versions?cursor={cursor}", f"{TABLE}/rows?cursor={cursor}"):  # fmt: skip
        assert code(reader.get(other)) == (400, "invalid"), other
    assert code(admin.get(f"{TABLE}/diff?from=0&to=2&cursor={cursor}")) == (400, "invalid")
    admin.delete(f"/grants/{given['id']}")
    give(admin, "rita", "transactions", filter="country=FR")
    assert code(reader.get(f"{TABLE}/diff?from=0&to=2&cursor={cursor}")) == (409, "policy_changed")


def test_what_differs_in_hidden_columns_and_rows_only_does_not_differ(app: Flask, folder: Path, admin: Caller) -> None:
    append(folder, people((1, "Ada", "Paris"), (2, "Bo", "Lyon")))
    overwrite(folder, people((1, "Ada L.", "Paris"), (2, "Bo", "Lyon"), (3, "Cy", "Lyon")))
    give(admin, "rita", "people", columns=["id", "city"], filter="city=Paris")
    give(admin, "ed", "people", masks={"name": "null", "city": "null", "id": "null"}, filter="city=Paris")
    for name in ("rita", "ed"):
        assert log_in(app, name).get(f"{DATASETS}/people/diff?from=0&to=1").json == NO_DIFFERENCE
    assert admin.get(f"{DATASETS}/people/diff?from=0&to=1").json["counts"] == {"added": 2, "removed": 1, "changed": 0}


def test_a_masked_value_differs_as_its_mask_does(app: Flask, folder: Path, admin: Caller) -> None:
    append(folder, people((1, "00000001234", "Paris")))
    overwrite(folder, people((1, "99999991234", "Paris")))
    give(admin, "rita", "people", masks={"name": "last4"})
    assert log_in(app, "rita").get(f"{DATASETS}/people/diff?from=0&to=1").json == NO_DIFFERENCE


def test_a_row_that_comes_into_view_is_added(app: Flask, folder: Path, admin: Caller) -> None:
    append(folder, people((1, "Ada", "Paris")))
    overwrite(folder, people((1, "Ada", "Lyon")))
    admin.put(f"{DATASETS}/people", {"key": ["id"]})
    give(admin, "rita", "people", filter="city=Lyon")
    answer = log_in(app, "rita").get(f"{DATASETS}/people/diff?from=0&to=1")
    assert changed(answer) == [("added", 1, None)]
    whole = admin.get(f"{DATASETS}/people/diff?from=0&to=1")
    assert changed(whole) == [("changed", 1, {"id": 1, "name": "Ada", "city": "Paris"})]


def test_rows_are_paired_by_a_key_that_the_caller_sees(app: Flask, folder: Path, admin: Caller) -> None:
    append(folder, people((1, "Ada", "Paris"), (2, "Bo", "Lyon")))
    overwrite(folder, people((1, "Ada", "Nice"), (3, "Cy", "Lyon")))
    assert admin.put(f"{DATASETS}/people", {"key": ["id"]}).status_code == 200
    answer = admin.get(f"{DATASETS}/people/diff?from=0&to=1")
    before = {"id": 1, "name": "Ada", "city": "Paris"}
    assert changed(answer) == [("changed", 1, before), ("removed", 2, None), ("added", 3, None)]
    assert answer.json["data"][0]["row"] == {"id": 1, "name": "Ada", "city": "Nice"}
    give(admin, "rita", "people", masks={"id": "hash"})
    masked = log_in(app, "rita").get(f"{DATASETS}/people/diff?from=0&to=1").json
    assert masked["counts"] == {"added": 2, "removed": 2, "changed": 0}


def test_a_column_of_one_version_is_null_in_the_other(folder: Path, admin: Caller) -> None:
    append(folder, pa.table({"id": pa.array([1], pa.int32()), "old": ["x"]}))
    overwrite(folder, pa.table({"id": pa.array([1, 2], pa.int64()), "new": [None, True]}))
    answer = admin.get(f"{DATASETS}/people/diff?from=0&to=1").json
    assert [each["row"] for each in answer["data"]] == [
        {"id": 1, "new": None, "old": "x"},
        {"id": 1, "new": None, "old": None},
        {"id": 2, "new": True, "old": None},
    ]


def test_a_row_that_a_new_column_brings_into_view_is_added(app: Flask, folder: Path, admin: Caller) -> None:
    append(folder, pa.table({"id": [1, 2]}))
    write_deltalake(folder, pa.table({"id": [3], "city": ["Lyon"]}), mode="append", schema_mode="merge")
    give(admin, "rita", "people", filter="id=1")
    give(admin, "rita", "people", filter="city=is.null")
    answer = log_in(app, "rita").get(f"{DATASETS}/people/diff?from=0&to=1")
    assert changed(answer) == [("added", 2, None)]


def test_the_versions_a_filter_cannot_speak_of_are_as_hidden_as_ever(app: Flask, folder: Path, admin: Caller) -> None:
    append(folder, pa.table({"id": [1]}))
    overwrite(folder, pa.table({"id": [1], "city": ["Lyon"]}))
    give(admin, "rita", "people", filter="city=Lyon")
    reader = log_in(app, "rita")
    assert code(reader.get(f"{DATASETS}/people/rows?version=0"))[0] == 404
    assert code(reader.get(f"{DATASETS}/people/diff?from=0&to=1"))[0] == 404


def test_joining_files_is_no_change(app: Flask, admin: Caller) -> None:
    DeltaTable(lake_folder(app) / "transactions").optimize.compact()
    assert admin.get(f"{TABLE}/diff?from=2&to=3").json == NO_DIFFERENCE
    assert admin.get(f"{TABLE}/diff?from=1&to=3").json["counts"]["added"] == 40
    assert admin.get(TABLE).json["rows"] == 200


def restore(caller: Caller, version: Any, key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return caller.post(f"{TABLE}/restore", {"version": version}, headers=headers)


def told(admin: Caller) -> list[Any]:
    return [each["data"] for each in admin.get("/events?type=dataset.changed").json["data"]]


def test_a_version_is_restored_and_told_of(app: Flask, admin: Caller, reader: Caller) -> None:
    answer = restore(admin, 0)
    assert (answer.status_code, answer.json) == (200, {"dataset": "transactions", "version": 3, "rows": 100})
    assert admin.get(f"{TABLE}/rows?count=exact").json["count"] == 100
    newest = admin.get(f"{TABLE}/versions").json["data"][0]
    assert (newest["number"], newest["operation"], newest["who"]) == (3, "RESTORE", "root")
    assert told(admin) == [{"dataset": "transactions", "version": 3, "kind": "restore", "rows": 100}]
    assert told(reader) == []
    assert admin.get("/audit?path=like.*restore&select=dataset,status").json["data"] == [
        {"dataset": "transactions", "status": 200}
    ]
    assert restore(admin, 2).json == {"dataset": "transactions", "version": 4, "rows": 200}


def test_the_newest_version_is_restored_by_doing_nothing(admin: Caller) -> None:
    assert restore(admin, 2).json == {"dataset": "transactions", "version": 2, "rows": 200}
    assert told(admin) == []


def test_only_who_manages_the_whole_table_restores(app: Flask, admin: Caller) -> None:
    give(admin, "rita", "transactions")
    give(admin, "ed", "transactions", "manage", filter="country=FR")
    for name in ("rita", "ed"):
        assert code(restore(log_in(app, name), 0)) == (403, "forbidden")
    give(admin, "ed", "transactions", "manage")
    assert restore(log_in(app, "ed"), 0).status_code == 200


def test_a_wrong_version_restores_nothing(app: Flask, admin: Caller) -> None:
    for version in (-1, "0", None, 1.5, True):
        assert code(restore(admin, version)) == (400, "invalid")
    assert code(restore(admin, 3)) == (404, "version_not_found")
    assert code(admin.post(f"{TABLE}/restore", {"version": 0, "force": True})) == (400, "invalid")
    assert DeltaTable(lake_folder(app) / "transactions").version() == 2


def test_the_same_call_restores_once(app: Flask, admin: Caller) -> None:
    first, second = (restore(admin, 0, "k1") for _ in range(2))
    assert first.json == second.json == {"dataset": "transactions", "version": 3, "rows": 100}
    assert second.headers["Idempotent-Replayed"] == "true"
    assert code(restore(admin, 1, "k1")) == (422, "idempotency_key_reused")
    assert len(told(admin)) == 1
    assert restore(admin, 1, "k2").json["version"] == 4


def test_a_stored_answer_is_repeated_only_to_who_may_still_ask(app: Flask, admin: Caller) -> None:
    given = give(admin, "rita", "transactions", "manage")
    reader = log_in(app, "rita")
    assert restore(reader, 0, "k").status_code == 200
    admin.delete(f"/grants/{given['id']}")
    assert code(restore(reader, 0, "k")) == (404, "not_found")


def test_a_refused_call_may_be_made_again_under_its_key(app: Flask, admin: Caller, monkeypatch: Any) -> None:
    tables = app.extensions["lakeport"].lake.catalog.tables

    def refuse(*_: Any) -> Any:
        raise Conflict("Others change the table all the time; try again")

    with monkeypatch.context() as patched:
        patched.setattr(tables, "restore", refuse)
        assert code(restore(admin, 0, "k")) == (409, "conflict")
    assert states(app) == [("undone", None)]
    assert restore(admin, 0, "k").json["version"] == 3
    assert states(app) == [("undone", None), ("done", 3)]


def states(app: Flask) -> list[tuple[str, int | None]]:
    with engine_of(app).connect() as connection:
        found = connection.execute(text("select state, version from dataset_changes order by created_at")).all()
    return [(state, version) for state, version in found]


class Killed(BaseException):
    """What ends a request as if its process had been killed: nothing after it is done."""


def kill_after_the_commit(app: Flask, admin: Caller, monkeypatch: Any, key: str | None = None) -> None:
    """A restore whose process is gone once the table has it, before the database knows."""

    def end(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(changes, "finish", end)
        with pytest.raises(Killed):
            restore(admin, 0, key)
    assert states(app) == [("begun", None)]
    assert DeltaTable(lake_folder(app) / "transactions").version() == 3
    assert told(admin) == []


def test_a_change_whose_process_was_killed_is_told_of_once(app: Flask, admin: Caller, monkeypatch: Any) -> None:
    kill_after_the_commit(app, admin, monkeypatch)
    catalog, engine, together = app.extensions["lakeport"].lake.catalog, engine_of(app), Barrier(4)

    def recover() -> None:
        together.wait()
        changes.recover(engine, catalog)

    threads = [Thread(target=recover) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told(admin) == [{"dataset": "transactions", "version": 3, "kind": "restore", "rows": 100}]
    assert states(app) == [("done", 3)]


def test_a_change_that_others_end_first_is_told_of_once(app: Flask, admin: Caller, monkeypatch: Any) -> None:
    catalog, engine, finish = app.extensions["lakeport"].lake.catalog, engine_of(app), changes.finish

    def be_second(*arguments: Any) -> None:
        monkeypatch.setattr(changes, "finish", finish)
        changes.recover(engine, catalog)
        finish(*arguments)

    monkeypatch.setattr(changes, "finish", be_second)
    assert restore(admin, 0).json["version"] == 3
    assert len(told(admin)) == 1


def test_a_call_repeated_after_a_kill_finds_what_it_did(app: Flask, admin: Caller, monkeypatch: Any) -> None:
    kill_after_the_commit(app, admin, monkeypatch, "k")
    assert code(restore(admin, 1, "k")) == (422, "idempotency_key_reused")
    assert restore(admin, 0, "k").json == {"dataset": "transactions", "version": 3, "rows": 100}
    assert DeltaTable(lake_folder(app) / "transactions").version() == 3
    assert len(told(admin)) == 1
    assert restore(admin, 0, "k").headers["Idempotent-Replayed"] == "true"


def test_a_change_that_was_never_committed_is_undone_when_it_can_come_no_more(app: Flask, admin: Caller) -> None:
    catalog, engine = app.extensions["lakeport"].lake.catalog, engine_of(app)
    changes.begin(engine, Intent("transactions", "append", None, None, "ada"))
    changes.begin(engine, Intent("not.there", "create", None, None, "ada"))
    assert changes.recover(engine, catalog) == 2
    assert states(app) == [("begun", None), ("begun", None)]
    with engine.begin() as connection:
        then = (datetime.now(UTC) - timedelta(minutes=11)).replace(tzinfo=None)
        connection.execute(text("update dataset_changes set created_at = :then"), {"then": then})
    job = all_tasks(settings_of(app))["change_recovery"]
    assert job.run(run(engine)).result == {"begun": 2}
    assert states(app) == [("undone", None), ("undone", None)]
    assert told(admin) == []


def test_changes_that_are_long_over_are_deleted(app: Flask, admin: Caller) -> None:
    restore(admin, 0)
    changes.begin(engine_of(app), Intent("transactions", "append", None, None, "ada"))
    with engine_of(app).begin() as connection:
        then = (datetime.now(UTC) - timedelta(days=31)).replace(tzinfo=None)
        connection.execute(text("update dataset_changes set created_at = :then"), {"then": then})
        connection.execute(text("update dataset_changes set finished_at = :then where state = 'done'"), {"then": then})
    told = all_tasks(settings_of(app))["purge"].run(run(engine_of(app)))
    assert told.result["deleted"]["dataset_changes"] == 1
    assert states(app) == [("begun", None)]


@pytest.mark.parametrize("process", ["core", "worker"])
def test_a_process_that_starts_ends_what_a_killed_one_left(tmp_path: Path, process: str) -> None:
    live.prepare(tmp_path)
    place, engine = tmp_path / "lake" / "people", create_engine_for(f"sqlite:///{tmp_path}/lakeport.db")
    change = changes.begin(engine, Intent("people", "append", None, None, "ada", rows=1))
    place.parent.mkdir(exist_ok=True)
    properties = CommitProperties(custom_metadata=dict(change.metadata))
    write_deltalake(place, people((1, "Ada", "Paris")), commit_properties=properties)
    with live.core(tmp_path) if process == "core" else live.worker(tmp_path):
        # A worker is ready before it has looked at what is open.
        wait_for(lambda: _ended(engine) is not None)
        found, told = _ended(engine) or (None, "")
    engine.dispose()
    assert tuple(found or ()) == ("done", 0)
    assert json.loads(told) == {"dataset": "people", "version": 0, "kind": "append", "rows": 1}


def _ended(engine: Engine) -> tuple[Any, str] | None:
    """The change and the data of its event, once the event is there."""
    with engine.connect().execution_options(**READ_ONLY) as connection:
        told = connection.execute(text("select data from events where type = 'dataset.changed'")).scalar()
        found = connection.execute(text("select state, version from dataset_changes")).one()
    return None if told is None else (found, told)


def settings_of(app: Flask) -> Settings:
    settings: Settings = app.extensions["lakeport"].settings
    return settings


def run(engine: Engine) -> Run:
    def go_on(*_: Any) -> None:
        return None

    return Run(1, 1, {}, engine, go_on, lambda: sessionmaker(engine).begin())


def test_a_call_is_refused_while_the_same_one_runs(app: Flask, admin: Caller) -> None:
    tables = app.extensions["lakeport"].lake.catalog.tables
    meanwhile: list[Any] = []
    original = tables.restore

    def ask_again(*arguments: Any) -> Any:
        tables.restore = original
        meanwhile.append(restore(log_in(app, "root"), 0, "k"))
        return original(*arguments)

    tables.restore = ask_again
    answer = restore(admin, 0, "k")
    assert [code(each) for each in meanwhile] == [(409, "idempotency_in_progress")]
    assert answer.json["version"] == 3


def test_restores_at_the_same_moment_come_one_after_the_other(app: Flask) -> None:
    callers, together = [log_in(app, "root") for _ in range(4)], Barrier(4)
    answers: list[Any] = []

    def ask(caller: Caller, version: int) -> None:
        together.wait()
        answers.append(restore(caller, version))

    threads = [Thread(target=ask, args=(caller, number % 2)) for number, caller in enumerate(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.status_code for each in answers] == [200] * 4
    done = [version or 0 for state, version in states(app) if state == "done"]
    assert Counter(done) == Counter(set(done))
    assert DeltaTable(lake_folder(app) / "transactions").version() == max(done)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def scramble(file: Path) -> None:
    """Leave the footer as it is."""
    with file.open("r+b") as opened:
        opened.seek(4)
        opened.write(b"\xff" * 1_000)


@pytest.mark.parametrize("damage", [cut, scramble])
def test_a_damaged_file_is_named_to_managers_only(app: Flask, admin: Caller, damage: Callable[[Path], None]) -> None:
    give(admin, "rita", "transactions")
    place = lake_folder(app) / "transactions"
    (added,) = {*DeltaTable(place).file_uris()} - {*DeltaTable(place, version=1).file_uris()}
    file = Path(added)
    damage(file)
    for path in ("rows?timestamp=gt.2026-10-08", "rows?order=amount", "diff?from=1&to=2", "diff?from=2&to=1"):
        whole, part = (caller.get(f"{TABLE}/{path}") for caller in (admin, log_in(app, "rita")))
        assert code(whole) == code(part) == (409, "dataset_corrupt"), path
        assert file.name in whole.json["detail"]
        assert file.name not in str(part.json)
    assert admin.get(f"{TABLE}/diff?from=0&to=1").json["counts"]["added"] == 60


def test_tables_are_maintained_by_a_job(app: Flask, admin: Caller) -> None:
    before = everything(admin, f"{TABLE}/rows?order=timestamp")
    told = all_tasks(settings_of(app))["table_maintenance"].run(run(engine_of(app))).result
    assert told == {"tables": 3, "files_joined": 5, "files_deleted": 0, "problems": {}}
    assert everything(admin, f"{TABLE}/rows?order=timestamp") == before
    assert admin.get(f"{TABLE}/diff?from=2&to=3").json == NO_DIFFERENCE
    assert admin.get(TABLE).json["version"] == 3
