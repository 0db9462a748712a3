"""Events of datasets: told to who may read them at that moment, as far as he sees them; and the policy beside them."""

import shutil
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from flask import Flask
from sqlalchemy.orm import Session

from rest_api.resources.events import NOTHING
from rest_api.services import events
from tests.api.lake import append, give, lake_folder, with_lake
from tests.api.test_uploads import send
from tests.conftest import Caller, log_in

CHANGED = "/events?type=dataset.changed"
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An app over the small lake."""
    return with_lake(make_app())


def add_transaction(caller: Caller, name: str) -> dict[str, Any]:
    row = {"transaction_id": name, "timestamp": "2026-11-01T00:00:00Z"}
    answer = caller.post("/data/datasets/transactions/rows", {"rows": [row], "mode": "append"})
    assert answer.status_code == 201, answer.json
    return dict(answer.json or {})


def told(caller: Caller, url: str = CHANGED) -> list[dict[str, Any]]:
    answer = caller.get(url)
    assert answer.status_code == 200, answer.json
    return [each["data"] for each in answer.json["data"]]


def policy(caller: Caller) -> str:
    return str(caller.get("/auth/me").json["policy"])


def leave(app: Flask, dataset: str, identity: str, times: int = 1) -> None:
    """Leave events of changes that nobody made."""
    with Session(app.extensions["lakeport"].door.engine) as session:
        events.install(session)
        for number in range(times):
            data = {"dataset": dataset, "version": number, "kind": "append", "rows": 1}
            about: dict[str, Any] = {"dataset": dataset, "identity": identity, "audience": "admin"}
            events.record(session, type="dataset.changed", subject=f"datasets/{dataset}", data=data, **about)
        session.commit()


def test_a_change_is_told_to_who_reads_the_dataset(admin: Caller, editor: Caller, reader: Caller) -> None:
    give(admin, "rita", "transactions")
    give(admin, "ed", "stores")
    add_transaction(admin, "new")
    whole = {"dataset": "transactions", "version": 3, "kind": "append", "rows": 1}
    assert told(reader) == told(admin) == [whole]
    assert told(editor) == []


@pytest.mark.parametrize(
    "part", [{"filter": "country=eq.FR"}, {"columns": ["country"]}, {"masks": {"user_name": "hash"}}], ids=str
)
def test_who_sees_a_part_is_told_no_more_of_a_change_than_of_a_version(
    admin: Caller, reader: Caller, part: dict[str, Any]
) -> None:
    give(admin, "rita", "transactions", **part)
    add_transaction(admin, "new")
    assert told(reader) == [{"dataset": "transactions", "version": 3, "kind": None, "rows": None}]
    give(admin, "rita", "/transactions")
    assert told(reader) == told(admin)


def test_a_change_is_told_by_the_rights_of_the_moment(admin: Caller, reader: Caller) -> None:
    add_transaction(admin, "new")
    assert told(reader) == []
    given = give(admin, "rita", "transactions")
    assert len(told(reader)) == 1
    admin.delete(f"/grants/{given['id']}")
    assert told(reader) == []
    give(admin, "rita", "transactions", "write")
    assert told(reader) == []


def test_a_grant_that_admits_nothing_tells_nothing(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "/", filter="nobody_has_this=eq.1")
    add_transaction(admin, "new")
    assert told(reader) == []


def test_who_only_writes_is_told_what_he_did_himself_while_he_may(admin: Caller, reader: Caller) -> None:
    given = give(admin, "rita", "transactions", "write")
    add_transaction(admin, "his")
    add_transaction(reader, "own")
    assert [each["version"] for each in told(reader)] == [4]
    assert told(reader)[0]["rows"] == 1
    admin.delete(f"/grants/{given['id']}")
    assert told(reader) == []


def test_a_change_of_a_folder_has_no_version(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "/")
    assert send(admin, "shops", kind="files").status_code == 201
    assert [(each["dataset"], each["version"]) for each in told(reader)] == [("shops", None)]


def test_a_quarantine_is_told_to_who_has_a_grant_on_itself(app: Flask, admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "/")
    identity = app.extensions["lakeport"].lake.catalog.identity("transactions_quarantine")
    leave(app, "transactions_quarantine", identity)
    assert told(reader) == []
    give(admin, "rita", "transactions_quarantine")
    assert len(told(reader)) == 1


@pytest.mark.parametrize("part", [{}, {"columns": ["id", "country"]}], ids=["whole", "part"])
def test_changes_of_a_table_that_was_replaced_are_not_told_to_who_reads_the_new_one(
    app: Flask, admin: Caller, reader: Caller, part: dict[str, Any]
) -> None:
    give(admin, "rita", "/", **part)
    add_transaction(admin, "old")
    folder = lake_folder(app) / "transactions"
    shutil.rmtree(folder)
    assert told(reader) == []
    append(folder, pa.table({"id": [1]}))
    assert told(reader) == []
    assert len(told(admin)) == 1


def test_pages_pass_over_what_is_hidden_and_miss_nothing(app: Flask, admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "transactions")
    identity = app.extensions["lakeport"].lake.catalog.identity("transactions")
    for _ in range(3):
        leave(app, "stores", "files:/stores", 7)
        leave(app, "transactions", identity)
        leave(app, "transactions", "table:of-old")
    leave(app, "stores", "files:/stores", 7)
    url, pages = f"{CHANGED}&limit=2&after=0", []
    for _ in range(3):
        page = reader.get(url).json
        pages.append([each["data"]["dataset"] for each in page["data"]])
        url = page["next_url"]
    assert pages == [["transactions"] * 2, ["transactions"], []]
    newest = admin.get("/events?limit=100").json["next"]
    assert page["next"] == newest
    leave(app, "transactions", identity)
    assert len(told(reader, f"{CHANGED}&after={newest}")) == 1


def test_each_event_and_page_names_the_policy_that_it_was_chosen_by(admin: Caller, reader: Caller) -> None:
    empty = reader.get(CHANGED).json
    assert (empty["data"], empty["policy"]) == ([], policy(reader))
    give(admin, "rita", "transactions")
    add_transaction(admin, "new")
    page = reader.get(CHANGED).json
    assert page["policy"] == page["data"][0]["policy"] == policy(reader) != empty["policy"]


def chunks(answer: Any) -> Any:
    return (each.decode() if isinstance(each, bytes) else each for each in answer.response if each != NOTHING)


def test_a_stream_says_its_policy_first_and_when_it_changes(app: Flask, admin: Caller, reader: Caller) -> None:
    first = policy(reader)
    answer = reader.get(CHANGED, headers=STREAM, buffered=False)
    said = chunks(answer)
    assert f'event: policy\ndata: {{"policy":"{first}"}}\n\n' in next(said)
    give(log_in(app, "root"), "rita", "transactions")
    add_transaction(admin, "new")
    second = policy(log_in(app, "rita"))
    assert next(said) == f'event: policy\ndata: {{"policy":"{second}"}}\n\n'
    assert f'"policy":"{second}"' in next(said)
    answer.close()


def test_a_silent_stream_says_its_policy_and_how_far_it_has_told(
    app: Flask, admin: Caller, reader: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rest_api.resources.events.HEARTBEAT_SECONDS", 0)
    leave(app, "stores", "files:/stores", 3)
    newest = admin.get("/events?limit=100").json["next"]
    answer = reader.get(CHANGED, headers=STREAM, buffered=False)
    said = chunks(answer)
    next(said)
    assert next(said) == f'id: {newest}\nevent: policy\ndata: {{"policy":"{policy(log_in(app, "rita"))}"}}\n\n'
    answer.close()
