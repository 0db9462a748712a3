"""What people say of a dataset, as a client sees it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from tests.api.lake import give, with_lake
from tests.conftest import Caller, log_in

URL = "/data/datasets/transactions"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An app over the small lake."""
    return with_lake(make_app())


@pytest.fixture
def admin(app: Flask) -> Caller:
    """The administrator."""
    return log_in(app, "root")


def test_what_is_said_is_shown(admin: Caller) -> None:
    said = {"description": "what was bought", "owner": "root", "tags": ["sales"], "key": ["transaction_id"]}
    answer = admin.put(URL, {**said, "time_column": "timestamp"})
    assert answer.status_code == 200, answer.json
    shown = admin.get(URL).json or {}
    assert {name: shown[name] for name in said} == said
    assert shown["time_column"] == "timestamp"


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"key": ["country"]}, 409, "key_not_unique"),
        ({"key": ["transaction_idd"]}, 400, "invalid"),
        ({"key": ["user_id"]}, 409, "key_not_unique"),
        ({"time_column": "amount"}, 400, "invalid"),
    ],
)
def test_what_is_not_so_is_not_said(admin: Caller, said: dict[str, Any], status: int, code: str) -> None:
    answer = admin.put(URL, {"description": "wrong", **said})
    assert (answer.status_code, (answer.json or {})["code"]) == (status, code)
    assert (admin.get(URL).json or {})["description"] == ""


def test_who_only_reads_says_nothing(app: Flask, admin: Caller) -> None:
    give(admin, "rita", "transactions", "read")
    assert log_in(app, "rita").put(URL, {"description": "mine"}).status_code == 403


def test_others_write_while_a_key_is_looked_at(app: Flask, admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, editor = app.extensions["lakeport"].lake.files, log_in(app, "ed")
    distinct, meanwhile = engine.distinct, list[int]()

    def write_meanwhile(*arguments: Any) -> int:
        # Of a thread of its own, as another client's: one of this thread would share the request's session.
        with ThreadPoolExecutor(1) as other:
            wrote = other.submit(editor.post, "/articles", {"title": "meanwhile", "content": ""})
            meanwhile.append(wrote.result().status_code)
        return int(distinct(*arguments))

    monkeypatch.setattr(engine, "distinct", write_meanwhile)
    assert admin.put(URL, {"key": ["transaction_id"]}).status_code == 200
    assert meanwhile == [201]
