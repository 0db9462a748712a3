"""Statements that are run often: compiled once for a database, then run by its driver alone."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import BoundedSemaphore
from typing import Any, cast

from sqlalchemy import ClauseElement, Connection, Dialect, Engine, FromClause, Select, TableClause, event, insert
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.compiler import SQLCompiler

MOST_LENT = 16
"""How many connections are lent at once; who wants one more waits."""
WAIT_SECONDS = 5
Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Statement:
    """The text of a statement in a database's own dialect, and how values go in and come out."""

    sql: str
    is_positional: bool
    binds: tuple[tuple[str, Convert | None], ...]
    results: tuple[tuple[int, Convert], ...]

    @classmethod
    def compiled(cls, clause: ClauseElement, dialect: Dialect, columns: Sequence[str] | None = None) -> "Statement":
        """Compile a clause; `columns` are those that an INSERT fills."""
        done = cast(SQLCompiler, clause.compile(dialect=dialect, column_keys=columns))
        names = done.positiontup or list(done.binds)
        binds = [(name, done.binds[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in names]
        given = clause.selected_columns if isinstance(clause, Select) else ()
        results = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in given]
        return cls(
            str(done),
            done.positional,
            tuple(binds),
            tuple((place, convert) for place, convert in enumerate(results) if convert is not None),
        )

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """The values by name, as the driver takes them beside `sql`."""
        if self.is_positional:
            return tuple([values[name] if convert is None else convert(values[name]) for name, convert in self.binds])
        return {name: values[name] if convert is None else convert(values[name]) for name, convert in self.binds}

    def parameters_of_each(self, common: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Such parameters of many; what they have in common is converted once."""
        shared = {
            name: common[name] if convert is None else convert(common[name])
            for name, convert in self.binds
            if name in common
        }
        rest = replace(self, binds=tuple((name, None if name in common else convert) for name, convert in self.binds))
        return [rest.parameters({**shared, **row}) for row in rows]

    def rows(self, cursor: DBAPICursor, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What a SELECT gives, in the order of its columns."""
        cursor.execute(self.sql, self.parameters(values))
        found = cursor.fetchall()
        return [self._row(row) for row in found] if self.results else list(found)

    def _row(self, row: Sequence[Any]) -> tuple[Any, ...]:
        values = list(row)
        for place, convert in self.results:
            values[place] = convert(values[place])
        return tuple(values)


class DriverConnections:
    """A database's connections as its driver makes them, for what every call asks and writes.

    Those to SQLite are kept apart from the pool, whose ways cost as much as a statement; the one used last goes first.
    Those to PostgreSQL are the pool's, which notices when they were cut.
    """

    def __init__(self, engine: Engine) -> None:
        self.dialect = engine.dialect
        self._engine = engine
        self._keeps = engine.dialect.name == "sqlite"
        self._kept: deque[DBAPIConnection] = deque()
        self._turns = BoundedSemaphore(MOST_LENT)
        event.listen(engine, "engine_disposed", self._close_kept)

    def lent(self) -> "Lent":
        """One of them, for a `with`; what is not committed on it is rolled back.

        Raises the errors of SQLAlchemy in the place of the driver's; a connection that failed is not used again.
        """
        return Lent(self)

    def take(self) -> DBAPIConnection:
        """A connection that nobody else has. Raises the driver's errors, and TimeoutError of SQLAlchemy."""
        if not self._turns.acquire(timeout=WAIT_SECONDS):
            raise PoolTimeoutError("no connection came free")
        try:
            return self._kept.pop()
        except IndexError:
            return self._opened()

    def _opened(self) -> DBAPIConnection:
        try:
            connection = self._engine.raw_connection()
            if not self._keeps:
                return cast(DBAPIConnection, connection)
            connection.detach()
        except BaseException:
            self._turns.release()
            raise
        return cast(DBAPIConnection, connection.dbapi_connection)

    def give_back(self, connection: DBAPIConnection) -> None:
        """Let others have it."""
        try:
            if self._keeps:
                self._kept.append(connection)
            else:
                connection.close()
        finally:
            self._turns.release()

    def give_up(self, connection: DBAPIConnection, error: BaseException) -> None:
        """Let nobody have it any more where it may be broken."""
        try:
            if isinstance(connection, PoolProxiedConnection) and isinstance(error, self.dialect.loaded_dbapi.Error):
                connection.invalidate(error)
            else:
                connection.close()
        finally:
            self._turns.release()

    def _close_kept(self, _engine: Engine) -> None:
        while self._kept:
            self._kept.pop().close()


class Lent:
    """A connection for as long as a `with` lasts: a generator would take as long as the rest of it."""

    def __init__(self, connections: DriverConnections) -> None:
        self._connections = connections

    def __enter__(self) -> DBAPIConnection:
        try:
            self._connection = self._connections.take()
        except self._driver_error as error:
            raise self._told(error) from error
        return self._connection

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return self._connections.give_back(self._connection)
        self._connections.give_up(self._connection, error)
        if isinstance(error, self._driver_error):
            raise self._told(error) from error
        return None

    @property
    def _driver_error(self) -> type[Exception]:
        return self._connections.dialect.loaded_dbapi.Error

    def _told(self, error: Exception) -> StatementError:
        return DBAPIError.instance(None, None, error, self._driver_error, dialect=self._connections.dialect)


@contextmanager
def driver_cursor(connection: Connection, sql: str) -> Iterator[DBAPICursor]:
    """The driver's cursor in a transaction that is running. Raises the errors of SQLAlchemy in the place of its own."""
    driver_error = connection.dialect.loaded_dbapi.Error
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except driver_error as error:
        raise DBAPIError.instance(sql, None, error, driver_error, dialect=connection.dialect) from error
    finally:
        cursor.close()


def rows_on(connection: Connection, statement: Statement, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What a SELECT gives in a transaction that is running. Raises the errors of SQLAlchemy."""
    with driver_cursor(connection, statement.sql) as cursor:
        return statement.rows(cursor, values)


def insert_all(
    connection: Connection, table: FromClause, common: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows of the same columns, besides those with a value in common, in a transaction that is running.

    Raises the errors of SQLAlchemy.
    """
    statement = Statement.compiled(insert(cast(TableClause, table)), connection.dialect, [*common, *rows[0]])
    with driver_cursor(connection, statement.sql) as cursor:
        cursor.executemany(statement.sql, statement.parameters_of_each(common, rows))
