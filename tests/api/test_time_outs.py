"""What takes too long on PostgreSQL: a statement, a lock that is waited for, a transaction that nobody goes on with."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from rest_api.app import build_app
from rest_api.database import create_engine_for
from tests.conftest import log_in, settings_for

WAIT_SECONDS = 30


@pytest.fixture
def database_url(postgresql_url: str) -> str:
    """PostgreSQL alone: SQLite has no such limits."""
    return postgresql_url


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An app whose statements may take a second."""
    return make_app(STATEMENT_SECONDS="1", QUERY_SECONDS="1")


@contextmanager
def locked(url: str, statement: str) -> Iterator[None]:
    """What a statement locks stays locked."""
    with psycopg.connect(url) as other:
        other.execute(statement.encode())
        yield
        other.rollback()


def shown(engine: Engine, name: str) -> str:
    """A setting of a connection, as the server has it."""
    with engine.connect() as connection:
        return str(connection.execute(text(f"show {name}")).scalar_one())


def test_a_write_that_waits_for_a_lock_is_answered_with_504_and_leaves_nothing(app: Flask, database_url: str) -> None:
    editor = log_in(app, "ed")
    path = editor.post("/articles", {"title": "Lakes", "content": ""}).headers["Location"]
    with locked(database_url, "select * from articles for update"):
        answer = editor.patch(path, {"title": "Seas"})
    assert answer.status_code == 504
    assert answer.get_json()["code"] == "timeout"
    assert editor.get(path).get_json()["title"] == "Lakes"
    assert editor.patch(path, {"title": "Seas"}).status_code == 200


def test_a_read_that_waits_for_a_table_is_answered_with_504_and_recorded(app: Flask, database_url: str) -> None:
    reader = log_in(app, "rita")
    with locked(database_url, "lock table articles in access exclusive mode"):
        answer = reader.get("/articles")
    assert (answer.status_code, answer.get_json()["code"]) == (504, "timeout")
    entries = log_in(app, "root").get("/audit?path=/articles&status=504").get_json()["data"]
    assert [entry["username"] for entry in entries] == ["rita"]


def test_a_transaction_that_nobody_goes_on_with_is_ended(app: Flask, database_url: str) -> None:
    with app.app_context():
        engine = app.extensions["sqlalchemy"].engine
    with engine.connect() as connection:
        number = connection.execute(text("select pg_backend_pid()")).scalar_one()
        with psycopg.connect(database_url, autocommit=True) as other:
            deadline = time.monotonic() + WAIT_SECONDS
            while other.execute("select 1 from pg_stat_activity where pid = %s", [number]).fetchone():
                assert time.monotonic() < deadline
                time.sleep(0.05)
        with pytest.raises(DBAPIError):
            connection.execute(text("select 1"))
        connection.invalidate()
    assert log_in(app, "rita").get("/articles").status_code == 200


def test_only_the_connections_of_calls_are_bound(app: Flask, database_url: str, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, DATABASE_URL=database_url, STATEMENT_SECONDS="1")
    migrating, *_ = build_app(settings)
    with app.app_context():
        of_calls = app.extensions["sqlalchemy"].engine
    with migrating.app_context():
        of_migrations = migrating.extensions["sqlalchemy"].engine
    of_the_worker = create_engine_for(database_url)
    assert shown(of_calls, "statement_timeout") == "1s"
    assert shown(of_calls, "idle_in_transaction_session_timeout") == "2s"
    assert shown(of_calls, "timezone").lower() == "utc"
    for engine in (of_migrations, of_the_worker):
        assert shown(engine, "statement_timeout") == "0"
        assert shown(engine, "idle_in_transaction_session_timeout") == "0"
        engine.dispose()
