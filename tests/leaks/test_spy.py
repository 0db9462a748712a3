"""What is hidden costs the same calls as what is not there: to storage, to tables, to engines and to the database."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.orm import Session

from rest_api.backends.delta import DeltaTables
from rest_api.backends.engine.duckdb import DuckDbEngine
from rest_api.backends.footers import Footers
from rest_api.backends.storage.local import LocalStorage
from rest_api.openapi import operations
from rest_api.services import audit_trail, events
from tests.api.lake import give, lake_folder, with_lake, write_parquet
from tests.conftest import Caller
from tests.leaks.attacks import DATA, REQUIRED

_VALUE = re.compile(r"'(?:[^']|'')*'|\b[0-9][0-9.]*\b|\bNULL\b")
Watch = Callable[[], AbstractContextManager[list[Any]]]
HIDDEN, ABSENT = "sales.orders", "sales.nobody"
"""Of the same length, and near to no name that the caller knows."""
WATCHED = (
    (LocalStorage, ("entries", "has_folder", "location", "walk")),
    (DeltaTables, ("snapshot", "versions", "version_at", "committed", "restore")),
    (Footers, ("of",)),
    (DuckDbEngine, ("page", "count", "distinct", "batches", "figures", "diff")),
)
SEEN_AT_EACH = ("JOIN token_families", "FROM grants", "INSERT INTO audit_records")
"""Who asks, his grants, and the record of it: what the spy sees at each request."""
BODIES: dict[str, Any] = {
    "query": {"where": {"total": {"gt": 1}}, "order": [{"column": "total"}], "count": "exact"},
    "restore": {"version": 0},
    "rows": {"rows": [{"order_id": 1}], "mode": "append"},
    "put": {"description": "d", "key": ["order_id"]},
}
GRANTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "none": [],
    "another dataset": [("stores", {})],
    "another folder": [("/stores", {"columns": ["name"]}), ("visits", {"filter": "country=FR"})],
    "a folder that is not there": [("/sale", {})],
}


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The statements are the same on every kind of database."""
    return f"sqlite:///{tmp_path}/lakeport.db"


@pytest.fixture
def statements() -> list[Any]:
    """What the database was asked, without values."""
    return []


@pytest.fixture
def app(make_app: Callable[..., Flask], statements: list[Any]) -> Flask:
    app = with_lake(make_app())
    engine = app.extensions["lakeport"].door.engine

    def connected(connection: Any, _record: Any) -> None:
        connection.set_trace_callback(lambda said: statements.append(("database", _VALUE.sub("?", said))))

    event.listen(engine, "connect", connected)
    engine.dispose()
    return app


@pytest.fixture
def watched(statements: list[Any], monkeypatch: pytest.MonkeyPatch) -> Watch:
    """All calls that are made within, in their order."""

    @contextmanager
    def watching() -> Iterator[list[Any]]:
        with monkeypatch.context() as patched:
            for kind, names in WATCHED:
                for name in names:
                    patched.setattr(kind, name, _told(statements, kind, name))
            # What is written beside the call comes now before and now after what the call does meanwhile.
            patched.setattr(audit_trail, "DENSE_SECONDS", math.inf)
            statements.clear()
            yield statements

    return watching


def _told(calls: list[Any], kind: type, name: str) -> Any:
    method = getattr(kind, name)

    def told(self: Any, *given: Any, **more: Any) -> Any:
        calls.append((kind.__name__, name, _anonymous(given)))
        return method(self, *given, **more)

    return told


def _anonymous(given: tuple[Any, ...]) -> str:
    text = repr(given)
    for name in (HIDDEN, ABSENT):
        text = text.replace(name, "<name>").replace(name.replace(".", "/"), "<path>")
    return text


def requests(app: Flask, name: str) -> Iterator[tuple[str, str, Any]]:
    """Each data route of a dataset, with what it needs, and with a version."""
    for path, method, operation in operations(app.test_client().get("/openapi.json").json or {}):
        if not DATA.match(path) or "{dataset}" not in path:
            continue
        url, kind = path.replace("{dataset}", name), "put" if method == "put" else path.rsplit("/", 1)[-1]
        needed = "&".join(f"{each}={REQUIRED[each]}" for each in ("from", "to")) if kind == "diff" else ""
        body = BODIES.get(kind) if "requestBody" in operation else None
        yield method, f"{url}?{needed}", body
        if method == "get" and kind != "diff":
            yield from ((method, f"{url}?{more}", None) for more in ("version=1", "as_of=2100-01-01", "total=gt.1"))
    yield "get", f"/data/datasets?name=in.({name},stores)", None
    yield "post", "/grants/explain", {"dataset": name, "columns": ["total"]}
    yield "post", "/grants/explain", {"dataset": name, "principal": "ed"}
    yield "post", "/grants", {"dataset": name, "principal": "ed", "privileges": ["read"]}


@pytest.mark.parametrize("given", list(GRANTS))
def test_what_is_hidden_costs_the_calls_of_what_is_not_there(
    app: Flask, admin: Caller, reader: Caller, watched: Watch, given: str
) -> None:
    for target, more in GRANTS[given]:
        give(admin, "rita", target, **more)
    reader.get("/data/datasets")  # tables are open from now on
    differing = []
    for hidden, absent in zip(requests(app, HIDDEN), requests(app, ABSENT), strict=True):
        made = []
        for method, url, body in (hidden, absent):
            with watched() as calls:
                answer = reader.call(method.upper(), url, json=body)
            told = str({**(answer.json or {}), "request_id": None}).replace(HIDDEN, "<name>").replace(ABSENT, "<name>")
            made.append((answer.status_code, told, list(calls)))
            assert all(any(part in said for _, said, *_ in calls) for part in SEEN_AT_EACH), calls
        if made[0] != made[1]:
            differing.append((hidden, made))
    assert differing == []


@pytest.mark.parametrize("given", list(GRANTS))
def test_a_change_of_what_is_hidden_costs_the_calls_of_no_change(
    app: Flask, admin: Caller, reader: Caller, watched: Watch, given: str
) -> None:
    for target, more in GRANTS[given]:
        give(admin, "rita", target, **more)
    catalog = app.extensions["lakeport"].lake.catalog
    made = []
    for dataset, identity in ((None, None), (HIDDEN, catalog.identity(HIDDEN)), (ABSENT, "table:none")):
        after = reader.get("/events").json["next"]
        leave_change(app, dataset, identity)
        with watched() as calls:
            answer = reader.get(f"/events?after={after}")
        made.append((answer.json["data"], list(calls)))
    assert made[0] == made[1] == made[2]
    assert made[0][0] == []
    assert {call[0] for call in made[0][1]} == {"database"}


def leave_change(app: Flask, dataset: str | None, identity: str | None) -> None:
    """Leave the event of a change of a dataset; without one, of something else that is for administrators."""
    with Session(app.extensions["lakeport"].door.engine) as session:
        events.install(session)
        about: dict[str, Any] = {"dataset": dataset, "identity": identity}
        events.record(session, type="dataset.changed", subject="datasets", data=about, audience="admin", **about)
        session.commit()


def test_the_spy_sees_a_look_at_storage_and_at_a_table(app: Flask, admin: Caller, watched: Watch) -> None:
    with watched() as calls:
        admin.get(f"/data/datasets/{HIDDEN}/rows")
    assert {"LocalStorage", "DeltaTables", "Footers", "DuckDbEngine", "database"} <= {call[0] for call in calls}


def test_figures_of_hidden_transactions_cost_the_calls_of_those_that_are_not_there(
    app: Flask, admin: Caller, reader: Caller, watched: Watch
) -> None:
    give(admin, "rita", "stores")
    asked = [
        f"/analytics/{each}"
        for each in (
            "spend?window=1d",
            "spend/series?window=1d&step=1h",
            "spend-by-user-and-type?window=1d",
            "top-products?window=1d&x=3",
        )
    ]

    def calls_of(url: str) -> Any:
        with watched() as calls:
            answer = reader.get(url)
        return answer.status_code, (answer.json or {})["detail"], list(calls)

    there = [calls_of(url) for url in asked]
    (lake_folder(app) / "transactions").rename(lake_folder(app).parent / "gone")
    assert [calls_of(url) for url in asked] == there
    assert {status for status, *_ in there} == {404}


def test_a_hidden_dataset_beside_a_visible_one_adds_no_call_to_its_reading(
    app: Flask, admin: Caller, reader: Caller, watched: Watch
) -> None:
    give(admin, "rita", "stores")

    def calls_of(url: str) -> list[Any]:
        with watched() as calls:
            assert reader.get(url).status_code in (200, 404)
        return list(calls)

    urls = ("/data/datasets", "/data/datasets/stores/rows", "/data/datasets/store", "/data/datasets/stores")
    before = [calls_of(url) for url in urls]
    write_parquet(lake_folder(app) / "stores2" / "a.parquet", [{"a": 1}])
    write_parquet(lake_folder(app) / "store" / "a.parquet", [{"a": 1}])
    assert [calls_of(url) for url in urls] == before
