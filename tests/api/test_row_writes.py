"""Rows written to tables: what is taken, what is refused, and that every call has one effect."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from flask import Flask
from werkzeug.test import TestResponse

from rest_api.services import changes
from tests.api.lake import append, give, lake_folder, with_lake
from tests.conftest import Caller, log_in

# What has nothing to do with the database is tried on one.
ONCE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ITEMS = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        ("name", pa.string()),
        ("price", pa.decimal128(18, 2)),
        ("at", pa.timestamp("us", "UTC")),
        ("day", pa.date32()),
        ("weight", pa.float64()),
        ("small", pa.int8()),
        ("is_new", pa.bool_()),
        ("raw", pa.binary()),
        ("tags", pa.list_(pa.string())),
        ("size", pa.struct([("w", pa.int64()), ("h", pa.float64())])),
    ]
)
PATH = "/data/datasets/items/rows"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app()
    append(lake_folder(app) / "items", pa.Table.from_pylist([{"id": 0, "name": "first", "price": Decimal(1)}], ITEMS))
    return app


@pytest.fixture
def root(app: Flask) -> Caller:
    return log_in(app, "root")


def rows(caller: Caller, dataset: str = "items", query: str = "?order=id") -> list[dict[str, Any]]:
    answer = caller.get(f"/data/datasets/{dataset}/rows{query}")
    assert answer.status_code == 200, answer.json
    return list(answer.json["data"])


def ids(caller: Caller) -> list[int]:
    return [row["id"] for row in rows(caller)]


def write(caller: Caller, *given: dict[str, Any], **more: Any) -> TestResponse:
    return caller.post(PATH, {"rows": list(given), **more})


def with_key(root: Caller, *columns: str) -> None:
    assert root.put("/data/datasets/items", {"key": list(columns)}).status_code == 200


def test_rows_are_appended_in_one_version_that_says_who(root: Caller) -> None:
    answer = write(root, {"id": 1, "name": "Ada"}, {"id": 2})
    assert (answer.status_code, answer.json) == (201, {"dataset": "items", "version": 1, "rows": 2})
    assert answer.headers["Location"] == "/data/datasets/items"
    assert [(row["id"], row["name"]) for row in rows(root)] == [(0, "first"), (1, "Ada"), (2, None)]
    newest = root.get("/data/datasets/items/versions?limit=1").json["data"][0]
    assert (newest["number"], newest["who"], newest["rows"]) == (1, "root", 2)


def test_a_write_leaves_an_event_and_an_audit_entry(root: Caller) -> None:
    write(root, {"id": 1})
    [event] = root.get("/events?type=dataset.changed").json["data"]
    assert event["data"] == {"dataset": "items", "version": 1, "kind": "append", "rows": 1}
    [entry] = root.get(f"/audit?path={PATH}&method=POST&select=dataset,rows,status").json["data"]
    assert entry == {"dataset": "items", "rows": 1, "status": 201}


VALUES: dict[str, tuple[str, str, Any]] = {
    "decimal as a number, digit for digit": ("price", "9999999999999999.99", Decimal("9999999999999999.99")),
    "decimal as text": ("price", '"9999999999999999.98"', Decimal("9999999999999999.98")),
    "whole number for a decimal": ("price", "7", Decimal("7.00")),
    "time": ("at", '"2026-11-01T12:00:00.123456+02:00"', datetime(2026, 11, 1, 10, 0, 0, 123456, UTC)),
    "date": ("day", '"2026-11-01"', datetime(2026, 11, 1).date()),  # noqa: DTZ001
    "number": ("weight", "0.1", 0.1),
    "whole number for a double": ("weight", "3", 3.0),
    "truth": ("is_new", "true", True),
    "bytes": ("raw", '"AP8="', b"\x00\xff"),
    "list": ("tags", '["a", null]', ["a", None]),
    "struct": ("size", '{"w": 1, "h": 1.5}', {"w": 1, "h": 1.5}),
    "struct without a member": ("size", '{"w": 1}', {"w": 1, "h": None}),
    "text with what SQL and JSON care for": ("name", '"\'; drop -- \\u00e9\\n\\"%"', "'; drop -- é\n\"%"),
    "null": ("name", "null", None),
}


@ONCE
def test_values_are_stored_exactly(app: Flask, root: Caller) -> None:
    wrong = {}
    for number, (case, (column, written, stored)) in enumerate(VALUES.items(), start=1):
        body = f'{{"rows": [{{"id": {number}, "{column}": {written}}}]}}'
        answer = root.post(PATH, data=body, content_type="application/json")
        is_row = pa.compute.equal(pa.compute.field("id"), number)
        found = DeltaTable(lake_folder(app) / "items").to_pyarrow_table().filter(is_row).to_pylist()
        if not found or found[0][column] != stored:
            wrong[case] = (answer.json, found)
    assert wrong == {}


WRONG: dict[str, tuple[str, str]] = {
    "text for a number": ("rows.1.id", '{"id": "x"}'),
    "fraction for a whole number": ("rows.1.id", '{"id": 1.5}'),
    "truth for a number": ("rows.1.id", '{"id": true}'),
    "missing": ("rows.1.id", "{}"),
    "null": ("rows.1.id", '{"id": null}'),
    "too many decimals": ("rows.1.price", '{"id": 1, "price": 1.005}'),
    "too many digits": ("rows.1.price", '{"id": 1, "price": 99999999999999999.5}'),
    "text that is no decimal": ("rows.1.price", '{"id": 1, "price": "1,5"}'),
    "time of another form": ("rows.1.at", '{"id": 1, "at": "1.11.2026"}'),
    "no such day": ("rows.1.day", '{"id": 1, "day": "2026-02-30"}'),
    "number for a text": ("rows.1.name", '{"id": 1, "name": 5}'),
    "number for a truth": ("rows.1.is_new", '{"id": 1, "is_new": 1}'),
    "too large": ("rows.1.small", '{"id": 1, "small": 128}'),
    "no Base64": ("rows.1.raw", '{"id": 1, "raw": "%%"}'),
    "text for a list": ("rows.1.tags", '{"id": 1, "tags": "a"}'),
    "list of another kind": ("rows.1.tags", '{"id": 1, "tags": [1]}'),
    "unknown member": ("rows.1.size", '{"id": 1, "size": {"x": 1}}'),
}


@ONCE
def test_a_value_that_does_not_fit_is_named_and_nothing_is_written(root: Caller) -> None:
    for case, (field, row) in WRONG.items():
        answer = root.post(PATH, data=f'{{"rows": [{{"id": 5}}, {row}]}}', content_type="application/json")
        assert (answer.status_code, answer.json["code"]) == (400, "invalid"), case
        assert [error["field"] for error in answer.json["errors"]] == [field], case
    assert ids(root) == [0]


def test_every_wrong_value_is_told_at_once(root: Caller) -> None:
    answer = write(root, {"id": "a", "name": 1}, {"id": 2}, {"id": "c"})
    assert [error["field"] for error in answer.json["errors"]] == ["rows.0.id", "rows.0.name", "rows.2.id"]


def test_an_unknown_column_is_refused_naming_the_nearest(root: Caller) -> None:
    answer = write(root, {"id": 1}, {"id": 2, "nmae": "x"})
    assert answer.status_code == 400
    assert answer.json["did_you_mean"] == "name"
    assert answer.json["errors"][0]["field"] == "rows.1.nmae"


BODIES = {
    "no rows": {"rows": []},
    "rows of another kind": {"rows": [1]},
    "nothing": {},
    "no object": [],
    "unknown mode": {"rows": [{"id": 1}], "mode": "replace"},
    "unknown member": {"rows": [{"id": 1}], "modes": "append"},
    "NUL": {"rows": [{"id": 1, "name": "a\x00b"}]},
    "source without offset": {"rows": [{"id": 1}], "source": {"topic": "t", "partition": 0}},
    "negative offset": {"rows": [{"id": 1}], "source": {"topic": "t", "partition": 0, "offset": -1}},
}


@ONCE
def test_malformed_bodies_are_refused(root: Caller) -> None:
    for case, body in BODIES.items():
        assert root.post(PATH, body).status_code == 400, case
    assert ids(root) == [0]


def test_a_body_may_be_larger_than_other_json_but_not_endless(root: Caller) -> None:
    assert write(root, *({"id": n, "name": "x" * 1_000} for n in range(2_000))).status_code == 201
    assert root.post(PATH, data=b" " * (32 * 2**20 + 1), content_type="application/json").status_code == 413
    assert root.post(PATH, data="rows", content_type="text/csv").status_code == 415


def test_who_may_write_and_who_is_told_what(app: Flask, root: Caller) -> None:
    rita = log_in(app, "rita")
    hidden, absent = write(rita, {"id": 1}), rita.post("/data/datasets/nothing/rows", {"rows": [{"id": 1}]})
    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert hidden.json["detail"].replace("items", "nothing") == absent.json["detail"]
    give(root, "rita", "items")
    assert write(rita, {"id": 1}).status_code == 403
    give(root, "rita", "items", "write")
    assert write(rita, {"id": 1}).status_code == 201
    assert write(rita, {"id": 2}, source={"topic": "t", "partition": 0, "offset": 1}).status_code == 403
    assert ids(root) == [0, 1]


def test_a_part_of_a_table_gives_no_right_to_write(app: Flask, root: Caller) -> None:
    give(root, "rita", "items", "manage", filter="id=gt.5")
    assert write(log_in(app, "rita"), {"id": 7}).status_code == 403


def test_only_tables_take_rows(app: Flask, root: Caller) -> None:
    with_lake(app)
    for dataset in ("articles", "stores"):
        answer = root.post(f"/data/datasets/{dataset}/rows", {"rows": [{"id": 1}]})
        assert (answer.status_code, answer.json["code"]) == (409, "conflict")


def test_a_merge_replaces_rows_of_the_same_key_and_adds_the_others(root: Caller) -> None:
    assert write(root, {"id": 0}, mode="merge").status_code == 409
    with_key(root, "id")
    write(root, {"id": 1, "name": "one", "weight": 1})
    answer = write(root, {"id": 1, "name": "uno"}, {"id": 2, "name": "due"}, mode="merge")
    assert (answer.status_code, answer.json) == (201, {"dataset": "items", "version": 2, "rows": 2})
    seen = [(row["id"], row["name"], row["weight"]) for row in rows(root)]
    assert seen == [(0, "first", None), (1, "uno", None), (2, "due", None)]


def test_a_key_stays_unique_and_whole(root: Caller) -> None:
    with_key(root, "id", "name")
    assert write(root, {"id": 0, "name": "other"}).status_code == 201
    taken = write(root, {"id": 9, "name": "new"}, {"id": 0, "name": "first"})
    assert (taken.status_code, taken.json["code"]) == (409, "key_not_unique")
    for mode in ("append", "merge"):
        twice = write(root, {"id": 3, "name": "a"}, {"id": 3, "name": "a"}, mode=mode)
        assert [error["field"] for error in twice.json["errors"]] == ["rows.1.id"]
        null = write(root, {"id": 3, "name": "a"}, {"id": 4}, mode=mode)
        assert [error["field"] for error in null.json["errors"]] == ["rows.1.name"]
        assert (twice.status_code, null.status_code) == (400, 400)
    assert ids(root) == [0, 0]


def test_the_same_key_in_other_words_is_the_same(root: Caller) -> None:
    with_key(root, "price")
    answer = write(root, {"id": 1, "price": 1.5}, {"id": 2, "price": "1.50"})
    assert answer.status_code == 400


def test_a_key_with_a_partition_column_stays_unique(app: Flask, root: Caller) -> None:
    folder = lake_folder(app) / "parted"
    write_deltalake(folder, pa.table({"id": [1, 2], "land": ["FR", "DE"]}), partition_by=["land"])
    assert root.put("/data/datasets/parted", {"key": ["id", "land"]}).status_code == 200
    taken, new = (root.post("/data/datasets/parted/rows", {"rows": [{"id": 1, "land": land}]}) for land in ("FR", "DE"))
    assert (taken.status_code, new.status_code) == (409, 201)
    assert len(rows(root, "parted")) == 3


def test_a_repeated_call_writes_once_and_answers_the_same(root: Caller) -> None:
    key = {"headers": {"Idempotency-Key": "k1"}}
    first, again = (root.post(PATH, {"rows": [{"id": 1}]}, **key) for _ in range(2))
    assert (first.status_code, first.json) == (again.status_code, again.json) == (201, again.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert root.post(PATH, {"rows": [{"id": 2}]}, **key).status_code == 422
    assert ids(root) == [0, 1]


def test_a_call_whose_answer_was_lost_finds_its_commit(root: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = changes.finish

    def lost(*_: Any) -> None:
        monkeypatch.setattr(changes, "finish", finish)
        raise SystemExit

    monkeypatch.setattr(changes, "finish", lost)
    key = {"headers": {"Idempotency-Key": "k1"}}
    with pytest.raises(SystemExit):
        root.post(PATH, {"rows": [{"id": 1}]}, **key)
    again = root.post(PATH, {"rows": [{"id": 1}]}, **key)
    assert (again.status_code, again.json) == (201, {"dataset": "items", "version": 1, "rows": 1})
    assert ids(root) == [0, 1]
    assert len(root.get("/events?type=dataset.changed").json["data"]) == 1


def test_an_offset_of_a_source_is_written_once(app: Flask, root: Caller) -> None:
    def send(caller: Caller, offset: int, partition: int = 0) -> tuple[int, dict[str, Any]]:
        source = {"topic": "sales", "partition": partition, "offset": offset}
        answer = write(caller, {"id": offset}, source=source)
        return answer.status_code, dict(answer.json or {})

    assert send(root, 7) == (201, {"dataset": "items", "version": 1, "rows": 1})
    assert send(root, 7) == send(root, 3) == (200, {"dataset": "items", "version": 1, "rows": 0})
    assert send(root, 8)[0] == send(root, 5, partition=1)[0] == 201
    give(root, "rita", "items", "manage", "write")
    assert send(log_in(app, "rita"), 7)[0] == 201
    assert ids(root) == [0, 5, 7, 7, 8]


def test_the_same_offset_at_the_same_moment_is_written_once(app: Flask, root: Caller) -> None:
    callers = [log_in(app, "root") for _ in range(4)]
    source = {"topic": "sales", "partition": 0, "offset": 1}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda caller: write(caller, {"id": 1}, source=source), callers))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert ids(root) == [0, 1]


def test_appends_at_the_same_moment_all_land(app: Flask, root: Caller) -> None:
    callers = [log_in(app, "root") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: write(callers[n], {"id": n + 1}), range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert sorted(answer.json["version"] for answer in answers) == [1, 2, 3, 4, 5, 6]
    assert ids(root) == [0, 1, 2, 3, 4, 5, 6]


def test_the_same_key_at_the_same_moment_is_taken_once(app: Flask, root: Caller) -> None:
    with_key(root, "id")
    callers = [log_in(app, "root") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda caller: write(caller, {"id": 1}), callers))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert ids(root) == [0, 1]


def test_nothing_is_left_of_a_write(app: Flask, root: Caller) -> None:
    write(root, {"id": 1})
    write(root, {"id": "x"})
    assert list((lake_folder(app) / "_staging").iterdir()) == []


def test_a_full_disk_is_503_and_the_table_stays_as_it_was(
    app: Flask, root: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    answer = write(root, {"id": 1})
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert ids(root) == [0]


def test_numbers_that_no_double_holds_are_refused(root: Caller) -> None:
    for number in ("1e400", "NaN", "9223372036854775808", "1e-999999999", "0e-999999999", f"0.{'0' * 500}1"):
        for column in ("weight", "price"):
            body = f'{{"rows": [{{"id": 1, "{column}": {number}}}]}}'
            answer = root.post(PATH, data=body, content_type="application/json")
            assert answer.status_code == 400, number
    assert json.dumps(ids(root)) == "[0]"
