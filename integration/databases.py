"""Databases that routes read from: reached by URL, their failures told in a plain sentence."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from integration.errors import Misconfigured, SourceAway

NO_URL = "The source is no database URL; expected sqlite:///file or dialect://user@host/name"
DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}


@contextmanager
def connect(url: str, what: str) -> Iterator[Connection]:
    """A connection to some database. Raises Misconfigured, SourceAway."""
    engine = engine_of(url)
    try:
        with reading(engine, what) as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def reading(engine: Engine, what: str) -> Iterator[Connection]:
    """A connection whose failures are SourceAway; they name the database as `what`."""
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise SourceAway(f"{what} cannot be read: {_plainly(error)}") from error


def engine_of(url: str) -> Engine:
    """An engine that makes no database and reads any text. Raises Misconfigured."""
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=DRIVERS.get(parsed.drivername, parsed.drivername))
        is_sqlite = parsed.get_backend_name() == "sqlite"
        if is_sqlite and parsed.database:
            _check_file(parsed.database)
        engine = create_engine(parsed, pool_pre_ping=not is_sqlite, pool_use_lifo=True)
    except (ArgumentError, ValueError) as error:
        raise Misconfigured(NO_URL) from error
    except (NoSuchModuleError, ImportError) as error:
        raise Misconfigured(f"There is no driver here for {url.split(':', 1)[0]}:// databases") from error
    if is_sqlite:
        event.listen(engine, "connect", _read_any_text)
    return engine


def _read_any_text(connection: sqlite3.Connection, _record: object) -> None:
    # One text that is no UTF-8 would keep its whole page from being read; so it is parked.
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")


def _check_file(path: str) -> None:
    # SQLite would make an empty database of a wrong name.
    if not path.startswith(":") and not path.startswith("file:") and not Path(path).is_file():
        raise Misconfigured(f"There is no database {path}")


def _plainly(error: SQLAlchemyError) -> str:
    """The driver's first line; what it says of a failed login names a user and a host, never a password."""
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().split("\n", 1)[0][:300]
