"""`/data/datasets/{dataset}/accesses`: who read a dataset, told to those who manage it."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert

from rest_api.models.audit import AuditRecord
from tests.api.lake import give, with_lake
from tests.conftest import Caller, log_in

Row = dict[str, Any]


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return with_lake(make_app())


def accesses(caller: Caller, query: str = "", dataset: str = "transactions") -> list[Row]:
    answer = caller.get(f"/data/datasets/{dataset}/accesses?{query}")
    assert answer.status_code == 200, answer.json
    return list(answer.json["data"])


def test_reads_are_told_with_who_when_which_columns_and_how_many_rows(app: Flask, admin: Caller) -> None:
    give(admin, "rita", "transactions", "export")
    rita = log_in(app, "rita")
    before = datetime.now(UTC)
    rita.get("/data/datasets/transactions/rows?select=amount&user_id=2&limit=3", headers={"X-Request-ID": "r-1"})
    rita.post("/data/datasets/transactions/query", {"select": ["country"], "limit": 2})
    rita.get("/analytics/spend?window=7d&at=2026-10-08")
    with closing(rita.get("/data/datasets/transactions/export?select=status")) as answer:
        assert answer.data
    found = accesses(admin)
    assert {row["username"] for row in found} == {"rita"}
    assert [(row["operation"], row["rows"]) for row in found] == [
        ("export", 200),
        ("export", None),
        ("figure", 3),
        ("query", 2),
        ("read rows", 3),
    ]
    assert [row["columns"] for row in found[:2]] == [["status"], ["status"]]
    last = found[-1]
    assert (last["columns"], last["request_id"]) == (["user_id", "amount"], "r-1")
    assert before <= datetime.fromisoformat(last["at"]) <= datetime.now(UTC)
    assert list(last) == ["at", "username", "operation", "columns", "rows", "request_id"]


def test_only_successful_reads_of_its_rows_are_told(app: Flask, admin: Caller) -> None:
    give(admin, "rita", "transactions")
    rita = log_in(app, "rita")
    rita.get("/data/datasets/transactions/rows?colour=red")
    rita.get("/data/datasets/transactions/export")
    admin.get("/data/datasets/transactions")
    admin.get("/data/datasets/transactions/versions")
    admin.put("/data/datasets/transactions", {"description": "what was bought"})
    admin.get("/data/datasets/stores/rows")
    accesses(admin)
    assert accesses(admin) == []


def test_an_export_that_was_refused_is_none(make_app: Callable[..., Flask]) -> None:
    admin = log_in(with_lake(make_app(WAITING_REQUESTS_PER_USER="1")), "root")
    with closing(admin.get("/data/datasets/stores/export")):
        assert admin.get("/data/datasets/stores/export").status_code == 429
    statuses = [row["status"] for row in admin.get("/audit?dataset=stores&select=status").json["data"]]
    assert statuses == [200, 429, 200]
    assert len(accesses(admin, dataset="stores")) == 2


def test_reads_of_a_sql_dataset_are_told_wherever_they_came_in(admin: Caller) -> None:
    admin.get("/articles?limit=1")
    admin.get("/data/datasets/articles/rows")
    admin.post("/articles", {"title": "x", "content": ""})
    assert [row["operation"] for row in accesses(admin, dataset="articles")] == ["read rows", "read rows"]


def test_they_are_filtered_by_who_and_when(app: Flask, admin: Caller) -> None:
    give(admin, "rita", "stores")
    rita = log_in(app, "rita")
    for caller in (rita, admin, rita):
        caller.get("/data/datasets/stores/rows")
    found = accesses(admin, dataset="stores")
    at = found[1]["at"]
    assert [row["username"] for row in found] == ["rita", "root", "rita"]
    assert accesses(admin, "username=rita", "stores") == [found[0], found[2]]
    assert accesses(admin, f"at=gte.{at}", "stores") == found[:2]
    assert accesses(admin, f"at=lt.{at}&username=eq.rita", "stores") == found[2:]
    assert admin.get("/data/datasets/stores/accesses?id=1").status_code == 400


def test_pages_go_on_with_what_is_older(admin: Caller) -> None:
    for n in range(5):
        admin.get(f"/data/datasets/stores/rows?limit={n + 1}")
    found: list[Row] = []
    path = "/data/datasets/stores/accesses?limit=2"
    while path:
        page = admin.get(path).json
        assert len(page["data"]) <= 2
        admin.get("/data/datasets/stores/rows?limit=10")
        found, path = found + page["data"], page["next_url"]
    assert [row["rows"] for row in found] == [5, 4, 3, 2, 1]
    cursor = admin.get("/data/datasets/stores/accesses?limit=2").json["next"]
    assert admin.get(f"/data/datasets/visits/accesses?cursor={cursor}").status_code == 400
    assert admin.get("/data/datasets/stores/accesses?limit=101").status_code == 400


def test_who_does_not_manage_it_learns_nothing(app: Flask, admin: Caller) -> None:
    rita = log_in(app, "rita")
    hidden = rita.get("/data/datasets/stores/accesses")
    absent = rita.get("/data/datasets/storez/accesses")
    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert hidden.json["detail"].replace("stores", "storez") == absent.json["detail"]
    give(admin, "rita", "stores", "export")
    assert rita.get("/data/datasets/stores/accesses").status_code == 403


def test_a_manager_is_told_only_of_columns_that_he_sees(app: Flask, admin: Caller) -> None:
    give(admin, "rita", "stores", "manage", columns=["store_id", "name"])
    admin.get("/data/datasets/stores/rows?select=area,name&country=FR")
    rita = log_in(app, "rita")
    assert [row["columns"] for row in accesses(rita, dataset="stores")] == [["name"]]
    assert [row["columns"] for row in accesses(admin, dataset="stores")] == [["name", "country", "area"]]
    assert "area" not in json.dumps(accesses(rita, dataset="stores"))


def test_a_page_of_a_long_trail_takes_no_longer_than_one_of_a_short_one(app: Flask, admin: Caller) -> None:
    for n in range(30):
        admin.get(f"/data/datasets/stores/rows?limit={n % 10 + 1}")
    short = quickest(admin)
    fill(app, 200_000)
    assert quickest(admin) < 2 * short + 0.02


def quickest(admin: Caller) -> float:
    def seconds() -> float:
        begun = time.perf_counter()
        assert len(accesses(admin, dataset="stores")) == 20
        return time.perf_counter() - begun

    return min(seconds() for _ in range(5))


def fill(app: Flask, rows: int) -> None:
    """Older entries than all others, of this dataset and of others."""
    with app.app_context():
        engine = app.extensions["sqlalchemy"].engine
        columns = AuditRecord.__table__.columns
        like = {
            column.name: {"at": datetime.now(UTC) - timedelta(days=9), "method": "GET", "status": 200, "rows": 1}.get(
                column.name, None if column.nullable else 0 if column.type.python_type in (int, float) else ""
            )
            for column in columns
        }
        with engine.begin() as connection:
            for begin in range(0, rows, 50_000):
                entries = [
                    {
                        **like,
                        "id": -n - 1,
                        "chain": "filler",
                        "sequence": n,
                        "path": "/data/datasets/stores/rows",
                        "dataset": ("stores", "visits", None)[n % 3],
                    }
                    for n in range(begin, begin + 50_000)
                ]
                connection.execute(insert(AuditRecord), entries)
