"""The list of datasets: by name, by members, and told apart cheaply from what a client has already."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from tests.api.lake import give, lake_folder, with_lake, write_parquet
from tests.conftest import Caller

URL = "/data/datasets"
SCHEMA = f"{URL}?select=name,kind,columns,description,key,time_column,privileges"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An app over the small lake."""
    return with_lake(make_app())


def names(caller: Caller, query: str) -> list[str]:
    answer = caller.get(f"{URL}?{query}")
    assert answer.status_code == 200, answer.json
    return [row["name"] for row in answer.json["data"]]


def is_known(caller: Caller, url: str, tag: str) -> bool:
    answer = caller.get(url, headers={"If-None-Match": tag})
    assert answer.status_code in (200, 304)
    return answer.status_code == 304


def append_to_transactions(admin: Caller) -> None:
    row = {"transaction_id": "new", "timestamp": "2026-11-01T00:00:00Z"}
    assert admin.post(f"{URL}/transactions/rows", {"rows": [row], "mode": "append"}).status_code == 201


def test_a_list_has_the_members_that_are_asked_for(admin: Caller) -> None:
    whole = admin.get(URL).json["data"]
    chosen = admin.get(f"{URL}?select=rows,name").json["data"]
    assert [list(row) for row in chosen] == [["rows", "name"]] * len(whole)
    assert chosen == [{"rows": row["rows"], "name": row["name"]} for row in whole]
    answer = admin.get(f"{URL}?select=nmae")
    assert (answer.status_code, answer.json["did_you_mean"]) == (400, "name")
    assert admin.get(f"{URL}?selct=name").json["did_you_mean"] == "select"


def test_a_schema_is_known_until_it_changes_whatever_is_written(app: Flask, admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "transactions")
    tags = [reader.get(url).headers["ETag"] for url in (SCHEMA, URL)]
    append_to_transactions(admin)
    assert [is_known(reader, url, tag) for url, tag in zip((SCHEMA, URL), tags, strict=True)] == [True, False]
    changes: list[Callable[[], Any]] = [
        lambda: admin.put(f"{URL}/transactions", {"description": "bought"}),
        lambda: admin.put(f"{URL}/transactions", {"description": "bought", "time_column": "timestamp"}),
        lambda: admin.put(f"{URL}/transactions", {"description": "bought", "key": ["transaction_id"]}),
        lambda: give(admin, "rita", "transactions", "export"),
        lambda: give(admin, "rita", "stores", masks={"name": "hash"}),
        lambda: write_parquet(lake_folder(app) / "stores" / "more.parquet", [{"another": 1}]),
        lambda: give(admin, "rita", "stores"),
    ]
    tag = tags[0]
    for change in changes:
        change()
        assert not is_known(reader, SCHEMA, tag)
        tag = reader.get(SCHEMA).headers["ETag"]
        assert is_known(reader, SCHEMA, tag)


def test_who_is_out_is_not_told_that_nothing_has_changed(admin: Caller, reader: Caller) -> None:
    tag = reader.get(SCHEMA).headers["ETag"]
    admin.patch("/users/rita", {"disabled": True})
    assert reader.get(SCHEMA, headers={"If-None-Match": tag}).status_code == 401


def test_datasets_are_found_by_name_and_hidden_ones_are_absent_ones(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "stores")
    give(admin, "rita", "/sales", columns=["region"])
    asked = 'name=in.(transactions,stores,sales.regions,nowhere,sales.nowhere,a b,stores,"/")'
    assert names(reader, asked) == ["sales.regions", "stores"]
    assert names(admin, asked) == ["sales.regions", "stores", "transactions"]
    assert names(admin, "name=eq.sales.orders") == names(admin, "name=in.(sales.orders)") == ["sales.orders"]
    assert names(admin, "name=stores") == ["stores"]
    assert names(reader, "name=transactions") == []


def test_datasets_found_by_name_come_in_pages(admin: Caller) -> None:
    first = admin.get(f"{URL}?name=in.(visits,stores,transactions)&limit=2&select=name").json
    assert first["data"] == [{"name": "stores"}, {"name": "transactions"}]
    last = admin.get(first["next_url"]).json
    assert (last["data"], last["next"]) == ([{"name": "visits"}], None)
    assert admin.get(f"{URL}?name=in.(visits)&limit=2&select=name&cursor={first['next']}").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "name=neq.stores",
        "name=like.s*",
        "name=not.eq.stores",
        "name=is.null",
        "name=stores&name=visits",
        "kind=table",
        "order=name",
        "select=",
        "select=name&select=kind",
        f"name=in.({','.join(f'd{number}' for number in range(101))})",
    ],
)
def test_what_a_list_of_datasets_does_not_take_is_refused(admin: Caller, query: str) -> None:
    answer = admin.get(f"{URL}?{query}")
    assert (answer.status_code, answer.json["code"]) == (400, "invalid")


def test_a_list_takes_as_many_statements_as_a_list_of_one(app: Flask, admin: Caller) -> None:
    for dataset in ("stores", "visits", "transactions"):
        admin.put(f"{URL}/{dataset}", {"description": f"about {dataset}"})
    said: list[str] = []
    listener = lambda *given: said.append(given[2])  # noqa: E731
    event.listen(app.extensions["lakeport"].door.engine, "before_cursor_execute", listener)

    def statements(query: str) -> int:
        said.clear()
        admin.get(f"{URL}?{query}")
        return sum("datasets" in each and "SELECT" in each.upper() for each in said)

    assert statements("limit=100") == statements("name=stores") == 1
    assert statements("limit=100&select=name,kind,columns") == 0
