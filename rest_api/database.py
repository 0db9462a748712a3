"""The database: engines for SQLite and PostgreSQL that behave alike, and the database's own clock."""

import sqlite3
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Double, Engine, create_engine, event, literal_column
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import DBAPIError

READ_ONLY = {"lakeport_read": True}
"""Execution options of a transaction that only reads: on SQLite it takes no write lock."""

BUSY_TIMEOUT_SECONDS = 15
IN_UTC = "-c timezone=utc"
TIME_OUTS = ("57014", "25P03")
"""SQLSTATE of a statement that was cancelled, and of a transaction that waited too long and was ended."""


def driver_url(url: str) -> str:
    """The SQLAlchemy URL that names our driver: `postgresql://` means psycopg 3."""
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


def engine_options(url: str) -> dict[str, Any]:
    """Pool and driver options for `url`."""
    if url.startswith("sqlite"):
        # The connection that was used last still has the pages that the next call reads.
        lately_used_first = {"pool_use_lifo": True}
        return {**lately_used_first, "connect_args": {"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False}}
    return {
        "pool_pre_ping": True,
        "pool_size": 20,
        "max_overflow": 20,
        "pool_timeout": 5,
        "connect_args": {"connect_timeout": 3, "options": IN_UTC},
    }


def create_engine_for(url: str) -> Engine:
    """An engine on `url` with the same transaction rules everywhere."""
    engine = create_engine(driver_url(url), **engine_options(url))
    prepare(engine)
    return engine


def prepare(engine: Engine) -> None:
    """Give an engine our transaction rules; on PostgreSQL its defaults are already right."""
    if engine.dialect.name != "sqlite":
        return
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)


def bound(engine: Engine, statement_seconds: int, idle_seconds: int) -> None:
    """Have PostgreSQL end statements, and transactions that wait for their client, which take longer than that."""
    if engine.dialect.name == "postgresql":
        limits = {"statement_timeout": statement_seconds, "idle_in_transaction_session_timeout": idle_seconds}
        options = " ".join([IN_UTC, *(f"-c {name}={seconds}s" for name, seconds in limits.items())])
        event.listen(engine, "do_connect", lambda _dialect, _record, _args, given: given.update(options=options))


def may_wait(connection: Connection) -> None:
    """Let a transaction wait for its client however long, as a stream does for who reads it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("set local idle_in_transaction_session_timeout = 0")


def is_time_out(error: DBAPIError) -> bool:
    """Whether PostgreSQL ended what took too long."""
    return getattr(error.orig, "sqlstate", None) in TIME_OUTS


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transaction handling would begin too late to take the write lock first.
    connection.isolation_level = None
    for pragma in ("journal_mode=wal", "synchronous=full", "foreign_keys=on", "case_sensitive_like=on"):
        connection.execute(f"pragma {pragma}")


def _begin(connection: Connection) -> None:
    # A transaction that reads before it writes fails at once when another wrote in between; taking the
    # write lock first makes it wait instead.
    is_read = connection.get_execution_options().get("lakeport_read", False)
    connection.connection.cursor().execute("begin" if is_read else "begin immediate")


def database_now(dialect_name: str) -> ColumnElement[float]:
    """The database's clock as seconds since 1970: leases are decided by it, never by a worker's clock."""
    if dialect_name == "sqlite":
        return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Double())
    return literal_column("cast(extract(epoch from clock_timestamp()) as double precision)", Double())


def utc_now() -> datetime:
    """The time now, in UTC, to the microsecond."""
    return datetime.now(UTC)
