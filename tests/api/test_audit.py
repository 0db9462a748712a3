"""`/audit`: every call is recorded, secrets are not, and tampering is found."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import current_thread
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import text

from rest_api.services import audit_trail
from rest_api.services.audit_heads import HeadFile
from rest_api.statements import MOST_LENT, Statement
from tests.conftest import PASSWORD, Caller, log_in

CALLS = [("GET", None), ("POST", {"title": "x", "content": ""})]
WRITTEN_BY = pytest.mark.parametrize(
    "dense_seconds", [pytest.param(0.0, id="a thread beside the call"), pytest.param(math.inf, id="the call itself")]
)


def execute(app: Flask, statement: str, **values: Any) -> None:
    """What somebody does who holds the database."""
    with app.app_context(), app.extensions["sqlalchemy"].engine.begin() as connection:
        connection.execute(text(statement), values)


def entries(admin: Caller, query: str) -> list[dict[str, Any]]:
    return list(admin.get(f"/audit?{query}").json["data"])


def problems(admin: Caller) -> list[str]:
    found = admin.get("/audit/verify").json
    assert found["ok"] is (not found["problems"])
    return [each["detail"] for each in found["problems"]]


def make_some(editor: Caller) -> None:
    for number in range(4):
        assert editor.post("/articles", {"title": f"t{number}", "content": ""}).status_code == 201


def test_an_entry_says_who_did_what_when_and_how_it_ended(admin: Caller, editor: Caller) -> None:
    made = editor.post("/articles", {"title": "Lakes", "content": "Deep."}, headers={"X-Request-ID": "r-1"})
    assert made.status_code == 201
    entry = entries(admin, "request_id=r-1")[0]
    expected = {"username": "ed", "method": "POST", "path": "/articles", "status": 201, "address": "127.0.0.1"}
    assert {name: entry[name] for name in expected} == expected
    assert entry["body"] == '{"title":"Lakes","content":"Deep."}'
    assert entry["at"].endswith("Z")
    assert entry["duration_ms"] > 0


def test_a_read_says_which_columns_and_how_many_rows(admin: Caller, editor: Caller) -> None:
    make_some(editor)
    editor.get("/articles?select=id,title&limit=3")
    entry = entries(admin, "method=GET&path=/articles")[0]
    assert (entry["dataset"], entry["columns"], entry["rows"]) == ("articles", ["id", "title"], 3)
    assert entry["query"] == "select=id,title&limit=3"


def test_entries_are_found_by_user_time_path_and_dataset(admin: Caller, reader: Caller) -> None:
    reader.get("/articles")
    at = entries(admin, "username=rita&path=/articles")[0]["at"]
    assert entries(admin, f"username=rita&dataset=articles&at=gte.{at}")
    assert not entries(admin, f"username=rita&at=gt.{at}")


def test_no_secret_is_recorded(admin: Caller, reader: Caller) -> None:
    reader.put("/users/me/password", {"old": PASSWORD, "new": "another secret one"})
    reader.client.post("/auth/token", json={"username": "rita", "password": "a wrong guess"})
    reader.client.post("/auth/token", data='{"password": "a torn guess"', content_type="application/json")
    reader.get("/articles?access_token=abcdef&x_password=hunter2")
    shown = str([entries(admin, "limit=100"), admin.get("/audit").get_data(as_text=True)])
    for secret in (PASSWORD, "another secret one", "a wrong guess", "a torn guess", "abcdef", "hunter2"):
        assert secret not in shown
    assert "[redacted]" in shown


def test_a_failed_login_is_recorded_under_the_account_it_was_tried_for(admin: Caller, app: Flask) -> None:
    app.test_client().post("/auth/token", json={"username": "rita", "password": "x"})
    assert entries(admin, "username=rita")[0]["status"] == 401


def test_anonymous_refusals_are_counted_not_recorded(admin: Caller, app: Flask) -> None:
    before = admin.get("/audit?count=exact").json["count"]
    assert app.test_client().get("/articles").status_code == 401
    assert admin.get("/audit?count=exact").json["count"] == before + 1
    assert "lakeport_anonymous_refusals_total 1.0" in app.test_client().get("/metrics").get_data(as_text=True)


def test_health_and_metrics_are_not_recorded(admin: Caller) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/metrics"):
        assert admin.get(path).status_code == 200
    assert not entries(admin, "or=(path.like./health*,path.eq./metrics)")


def test_calls_at_once_are_recorded_each_once_and_in_one_chain(admin: Caller, app: Flask) -> None:
    callers = [log_in(app, "rita") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda number: callers[number % 8].get("/articles").status_code, range(40)))
    assert statuses == [200] * 40
    read = entries(admin, "path=/articles&username=rita&limit=100")
    assert len(read) == 40
    assert len({each["chain"] for each in read}) == 1
    assert problems(admin) == []


def test_a_path_with_a_nul_is_recorded_and_refused(admin: Caller) -> None:
    assert admin.get("/articles%00").status_code == 404
    assert entries(admin, "path=like./articles*")[0]["path"] == "/articles\\x00"


def test_a_whole_trail_verifies(admin: Caller, editor: Caller) -> None:
    make_some(editor)
    found = admin.get("/audit/verify").json
    assert found["ok"] is True
    assert found["checked"] >= 6


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("update audit_records set username = 'rita' where username = 'ed' and status = 201", "an entry was altered"),
        ("update audit_records set hmac = 'x' where sequence = 3", "an entry was altered"),
        ("delete from audit_records where sequence = 3", "an entry is missing"),
        ("delete from audit_records where sequence > 3", "the chain was cut short"),
        ("delete from audit_records", "the chain was cut short"),
        ("delete from audit_records where sequence = 1", "an entry is missing"),
    ],
)
def test_an_edit_a_removal_and_a_cut_are_found(
    app: Flask, admin: Caller, editor: Caller, statement: str, problem: str
) -> None:
    make_some(editor)
    execute(app, statement)
    assert problems(admin) == [problem]


def test_a_head_that_was_altered_or_taken_away_is_found(app: Flask, admin: Caller, editor: Caller) -> None:
    make_some(editor)
    (head,) = app.extensions["lakeport"].settings.heads_dir.glob("*.head")
    whole = head.read_bytes()
    head.write_bytes(whole.replace(b",", b", ", 1).replace(b"1", b"2"))
    assert "the sealed head was altered" in problems(admin)
    head.unlink()
    assert problems(admin) == ["the sealed head is missing"]


@pytest.mark.parametrize(("method", "body"), CALLS)
def test_the_head_is_sealed_once_an_answer_has_left_and_never_more_than_one_entry_behind(
    app: Flask, editor: Caller, method: str, body: Any
) -> None:
    def sealed() -> int:
        heads = app.extensions["lakeport"].settings.heads_dir.glob("*.head")
        return sum(int(json.loads(head.read_bytes())[1]) for head in heads)

    editor.call(method, "/articles", json=body).close()
    whole = sealed()
    held = editor.call(method, "/articles", json=body)
    assert sealed() == whole
    also_held = editor.call(method, "/articles", json=body)
    assert sealed() == whole + 1
    held.close()
    also_held.close()
    assert sealed() == whole + 2


@WRITTEN_BY
def test_no_answer_leaves_before_its_record_is_there(
    app: Flask, admin: Caller, reader: Caller, database_url: str, dense_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_trail, "DENSE_SECONDS", dense_seconds)
    with ThreadPoolExecutor(2) as pool:
        with no_writing(app, database_url):
            answers = [pool.submit(reader.get, "/articles") for _ in range(2)]
            assert not wait(answers, timeout=0.5).done
        assert [answer.result(timeout=30).status_code for answer in answers] == [200] * 2
    assert len(entries(admin, "path=/articles&username=rita")) == 2
    assert problems(admin) == []


@pytest.mark.parametrize(("dense_seconds", "writes"), [(0.0, True), (math.inf, False)])
def test_only_an_entry_that_comes_alone_is_handed_to_the_clerk(
    reader: Caller, dense_seconds: float, writes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters, writers = Statement.parameters, []

    def seen(statement: Statement, values: Mapping[str, Any]) -> Any:
        if statement.sql.startswith("INSERT INTO audit_records"):
            writers.append(current_thread().name)
        return parameters(statement, values)

    monkeypatch.setattr(audit_trail, "DENSE_SECONDS", dense_seconds)
    monkeypatch.setattr(Statement, "parameters", seen)
    assert [reader.get("/articles").status_code for _ in range(3)] == [200] * 3
    assert [name.startswith("clerk") for name in writers] == [writes] * 3


@contextmanager
def no_writing(app: Flask, database_url: str) -> Iterator[None]:
    """Keep everybody else from writing audit entries."""
    with app.app_context():
        engine = app.extensions["sqlalchemy"].engine
    with engine.begin() as connection:
        if database_url.startswith("postgresql"):
            connection.execute(text("lock table audit_records in exclusive mode"))
        yield


def test_a_call_is_refused_until_the_head_before_it_is_sealed(
    app: Flask, admin: Caller, editor: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("no space left")

    held = editor.get("/articles")
    with monkeypatch.context() as broken:
        broken.setattr(HeadFile, "write", fail)
        assert [editor.get("/articles").status_code for _ in range(3)] == [503] * 3
        assert editor.post("/articles", {"title": "x", "content": ""}).status_code == 503
    assert editor.post("/articles", {"title": "x", "content": ""}).status_code == 201
    held.close()
    assert problems(admin) == []


@WRITTEN_BY
def test_without_its_record_a_call_is_not_answered_and_changes_nothing(
    make_app: Callable[..., Flask], dense_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_trail, "DENSE_SECONDS", dense_seconds)
    app = make_app()
    editor = log_in(app, "ed")
    execute(app, "alter table audit_records rename to hidden")
    for answer in (editor.get("/articles"), editor.post("/articles", {"title": "x", "content": ""})):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    execute(app, "alter table hidden rename to audit_records")
    assert editor.get("/articles").json["data"] == []
    assert editor.post("/articles", {"title": "x", "content": ""}).status_code == 201


def test_calls_that_fail_at_their_record_keep_no_connection(app: Flask, reader: Caller) -> None:
    execute(app, "alter table audit_records rename to hidden")
    assert {reader.get("/articles").status_code for _ in range(MOST_LENT + 1)} == {503}
    execute(app, "alter table hidden rename to audit_records")
    assert reader.get("/articles").status_code == 200


def test_a_commit_whose_end_is_not_known_begins_a_new_chain(
    app: Flask, admin: Caller, editor: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_some(editor)
    session_type = app.extensions["sqlalchemy"].session.session_factory.class_

    def fail(_: Any) -> None:
        raise OSError("the line broke")

    with monkeypatch.context() as broken:
        broken.setattr(session_type, "commit", fail)
        assert editor.post("/articles", {"title": "x", "content": ""}).status_code == 500
    make_some(editor)
    assert len({each["chain"] for each in entries(admin, "limit=100")}) == 2
    assert problems(admin) == []


def test_only_administrators_read_the_trail(editor: Caller) -> None:
    assert editor.get("/audit").status_code == 403
    assert editor.get("/audit/verify").status_code == 403


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_connections_that_were_cut_are_replaced(admin: Caller, reader: Caller, database_url: str) -> None:
    assert reader.get("/articles").status_code == 200
    cut_connections(database_url)
    assert reader.get("/articles", headers={"X-Request-ID": "after"}).status_code == 200
    assert entries(admin, "request_id=after")
    assert problems(admin) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("method", "body"), CALLS)
def test_a_connection_cut_under_the_record_costs_one_answer(
    editor: Caller, database_url: str, method: str, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = Statement.parameters

    def cut_and_give(statement: Statement, values: Mapping[str, Any]) -> Any:
        if statement.sql.startswith("INSERT INTO audit_records"):
            cut_connections(database_url)
        return parameters(statement, values)

    with monkeypatch.context() as broken:
        broken.setattr(Statement, "parameters", cut_and_give)
        answer = editor.call(method, "/articles", json=body)
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert editor.get("/articles").json["data"] == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_takes_no_connections_gives_503(reader: Caller, database_url: str) -> None:
    server, _, name = database_url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"alter database {name} with allow_connections false".encode())
    cut_connections(f"{server}/postgres", name)
    answer = reader.get("/articles")
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")


def cut_connections(url: str, name: str | None = None) -> None:
    """Cut every connection to a PostgreSQL database: that of the URL, or another one of its server."""
    others = "datname = coalesce(%s, current_database()) and pid <> pg_backend_pid()"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {others}".encode(), [name])
