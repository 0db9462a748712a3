"""Cursors as an attacker uses them: forged, cut, of others, kept until rights, files or versions have changed."""

import base64
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from flask import Flask

from tests.api.lake import append, give, lake_folder, with_lake, write_parquet
from tests.conftest import Caller, log_in

ROWS = "/data/datasets/{}/rows"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Cursors hold what is in the lake; one kind of database is enough."""
    return f"sqlite:///{tmp_path}/lakeport.db"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = with_lake(make_app())
    append(lake_folder(app) / "people", _people(0, 30))
    return app


def _people(start: int, end: int) -> pa.Table:
    return pa.table({"id": list(range(start, end)), "city": [("Paris", "Rome")[n % 2] for n in range(start, end)]})


def page(caller: Caller, name: str, query: str = "limit=2") -> Any:
    answer = caller.get(f"{ROWS.format(name)}?{query}")
    assert answer.status_code == 200, answer.json
    return answer.json


def refused(caller: Caller, name: str, cursor: str, query: str = "limit=2") -> tuple[int, str]:
    answer = caller.get(f"{ROWS.format(name)}?{query}&cursor={cursor}")
    by_json = caller.post(f"/data/datasets/{name}/query", {"limit": 2, "cursor": cursor})
    if query == "limit=2":
        assert by_json.status_code == answer.status_code, (answer.json, by_json.json)
    return answer.status_code, str((answer.json or {}).get("code"))


def test_forged_and_cut_cursors_open_nothing(admin: Caller) -> None:
    cursor, random = page(admin, "people")["next"], Random(1)
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    forged = [cursor[:length] for length in range(0, len(cursor), 7)]
    for _ in range(60):
        place = random.randrange(len(raw))
        changed = raw[:place] + bytes([raw[place] ^ (1 << random.randrange(8))]) + raw[place + 1 :]
        forged.append(base64.urlsafe_b64encode(changed).decode().rstrip("="))
    forged += [
        cursor + "A",
        "A" + cursor,
        cursor[::-1],
        "A" * 9_000,
        "%00",
        "é",
        base64.urlsafe_b64encode(b"[]").decode(),
    ]
    assert {refused(admin, "people", each) for each in forged} == {(400, "invalid")}


def test_a_cursor_opens_for_nobody_else_nowhere_else_and_for_no_other_question(
    admin: Caller, reader: Caller, editor: Caller
) -> None:
    for name in ("people", "stores"):
        for user in ("rita", "ed"):
            give(admin, user, name)
    cursor = page(reader, "people")["next"]
    assert refused(reader, "people", cursor)[0] == 200
    assert refused(editor, "people", cursor) == (400, "invalid")
    assert refused(admin, "people", cursor) == (400, "invalid")
    assert refused(reader, "stores", cursor) == (400, "invalid")
    for query in ("limit=2&order=id", "limit=2&select=id", "limit=2&city=eq.Rome", "limit=2&order=city.desc"):
        assert refused(reader, "people", cursor, query) == (400, "invalid")
    for path in ("versions", "diff?from=0&to=0"):
        joined = "&" if "?" in path else "?"
        assert reader.get(f"/data/datasets/people/{path}{joined}cursor={cursor}").status_code == 400


@pytest.mark.parametrize(
    "second", [{"columns": ["id"]}, {"filter": "city=Rome"}, {"masks": {"city": "hash"}}, {"masks": {"city": "null"}}]
)
def test_a_cursor_ends_with_the_rights_it_was_given_under(
    admin: Caller, reader: Caller, second: dict[str, Any]
) -> None:
    first = give(admin, "rita", "people")
    cursor = page(reader, "people", "limit=2&select=id")["next"]
    assert reader.get(f"{ROWS.format('people')}?limit=2&select=id&cursor={cursor}").status_code == 200
    admin.delete(f"/grants/{first['id']}")
    assert refused(reader, "people", cursor, "limit=2&select=id") == (404, "not_found")
    give(admin, "rita", "people", **second)
    assert refused(reader, "people", cursor, "limit=2&select=id") == (409, "policy_changed")


def test_pages_of_a_table_are_of_one_version_while_others_write(admin: Caller, app: Flask) -> None:
    found = page(admin, "people", "limit=4&order=city,id.desc")
    rows = list(found["data"])
    for turn in range(20):
        if found["next"] is None:
            break
        append(lake_folder(app) / "people", _people(100 + turn, 103 + turn))
        found = page(admin, "people", f"limit=4&order=city,id.desc&cursor={found['next']}")
        rows += found["data"]
    expected = sorted(_people(0, 30).to_pylist(), key=lambda row: (row["city"], -row["id"]))
    assert rows == expected


def test_a_cursor_of_a_folder_ends_when_its_files_change(admin: Caller, app: Flask) -> None:
    cursor = page(admin, "stores")["next"]
    assert refused(admin, "stores", cursor)[0] == 200
    write_parquet(lake_folder(app) / "stores" / "part-2.parquet", [{"store_id": 99}])
    assert refused(admin, "stores", cursor) == (409, "dataset_changed")


def test_a_cursor_of_a_version_whose_files_are_gone_says_so(admin: Caller, app: Flask) -> None:
    folder = lake_folder(app) / "people"
    cursor = page(admin, "people")["next"]
    table = DeltaTable(folder)
    table.delete()
    append(folder, _people(50, 60))
    for file in list(folder.glob("*.parquet")):
        if file.name not in {Path(path).name for path in DeltaTable(folder).file_uris()}:
            file.unlink()
    assert refused(admin, "people", cursor) == (410, "version_gone")


def test_a_cursor_holds_nothing_that_can_be_read_and_is_as_long_wherever_it_stands(
    admin: Caller, reader: Caller, app: Flask
) -> None:
    give(admin, "rita", "people", filter="city=Rome")
    lengths = set()
    for limit in range(1, 10):
        cursor = page(reader, "people", f"limit={limit}&order=city")["next"]
        lengths.add(len(cursor))
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        assert b"Rome" not in raw
    append(lake_folder(app) / "people", pa.table({"id": list(range(5_000)), "city": ["Paris"] * 5_000}))
    append(lake_folder(app) / "people", _people(60, 90))
    lengths.add(len(page(reader, "people", "limit=9&order=city")["next"]))
    assert len(lengths) == 1


def test_a_cursor_of_one_login_opens_in_another_one_of_the_same_user(admin: Caller, app: Flask) -> None:
    cursor = page(admin, "people")["next"]
    assert refused(log_in(app, "root"), "people", cursor)[0] == 200
