"""Statements that are run often: compiled once for a database, then run by its driver alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ClauseElement, Connection, Dialect, Engine, FromClause, Select, TableClause, insert
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Statement:
    """The text of a statement in a database's own dialect, and how values go in and come out."""

    sql: str
    is_positional: bool
    names: tuple[str, ...]
    conversions: tuple[tuple[str, Convert], ...]
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
            tuple(names),
            tuple((name, convert) for name, convert in binds if convert is not None),
            tuple((place, convert) for place, convert in enumerate(results) if convert is not None),
        )

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """The values by name, as the driver takes them beside `sql`."""
        return self._placed({**values, **{name: convert(values[name]) for name, convert in self.conversions}})

    def parameters_of_each(self, common: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Such parameters of many; what they have in common is converted once."""
        shared = {**common, **{name: convert(common[name]) for name, convert in self.conversions if name in common}}
        own = [(name, convert) for name, convert in self.conversions if name not in common]
        return [self._placed({**shared, **row, **{name: convert(row[name]) for name, convert in own}}) for row in rows]

    def _placed(self, given: dict[str, Any]) -> Any:
        return tuple(map(given.__getitem__, self.names)) if self.is_positional else given

    def rows(self, cursor: DBAPICursor, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What a SELECT gives, in the order of its columns."""
        cursor.execute(self.sql, self.parameters(values))
        return [self._row(row) for row in cursor.fetchall()]

    def _row(self, row: Sequence[Any]) -> tuple[Any, ...]:
        if not self.results:
            return tuple(row)
        values = list(row)
        for place, convert in self.results:
            values[place] = convert(values[place])
        return tuple(values)


@contextmanager
def driver_connection(engine: Engine) -> Iterator[DBAPIConnection]:
    """A connection of the pool as the driver made it; what is not committed on it is rolled back.

    Raises the errors of SQLAlchemy in the place of the driver's; a connection that failed is not used again.
    """
    driver_error = engine.dialect.loaded_dbapi.Error
    connection = None
    try:
        connection = engine.raw_connection()
        yield cast(DBAPIConnection, connection)
    except driver_error as error:
        if connection is not None:
            connection.invalidate(error)
        raise DBAPIError.instance(None, None, error, driver_error, dialect=engine.dialect) from error
    finally:
        if connection is not None:
            connection.close()


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
