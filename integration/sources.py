"""Base A through SQLAlchemy: its rows and tombstones in the order of their times, up to a bound taken first."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    bindparam,
    cast,
    column,
    exists,
    func,
    inspect,
    not_,
    or_,
    select,
    table,
)
from sqlalchemy.sql.expression import FromClause
from sqlalchemy.types import NullType, Text

from integration.databases import engine_of, reading
from integration.errors import Misconfigured
from integration.mapping import Articles, SourceMapping, Tombstones, did_you_mean
from integration.rows import Position, Row, microseconds

PAGE_ROWS = 1_000
FETCHED_ROWS = 100
PAGE_CHARACTERS = 4 << 20
TOMBSTONES = "tombstones"
NUMBERS = (int, Decimal)
HALF = re.compile("[\ud800-\udfff]")
"""What a text that is no UTF-8 is read as."""


@dataclass(frozen=True)
class Stream:
    """A table in the order of (time, key): what there is of it and how its rows are read."""

    name: str
    of: FromClause
    at: ColumnElement[Any]
    key: ColumnElement[Any]
    statement: Select[Any]
    make: Callable[[Any], Row]

    def within(self, after: Position | None, upper: Position) -> Select[Any]:
        """Its rows behind a position up to another."""
        bounded = self.statement.where(self.key.is_not(None), _up_to(self, upper))
        return bounded if after is None else bounded.where(_behind(self, after))


@dataclass(frozen=True)
class Source:
    """Base A; every method raises SourceAway where it cannot be read."""

    engine: Engine
    mapping: SourceMapping

    @property
    def name(self) -> str:
        """Which database it is, without secrets."""
        return self.engine.url.set(username=None, password=None, query={}).render_as_string()

    def streams(self) -> list[Stream]:
        """Tombstones first, then articles: what was deleted and created again is told by its article."""
        articles = self.articles()
        if self.mapping.tombstones is None:
            return [articles]
        return [_tombstones(self.mapping.tombstones, articles), articles]

    def articles(self) -> Stream:
        """The articles alone."""
        return _articles(self.mapping.articles)

    def last(self, stream: Stream) -> Position | None:
        """The end of a stream as it is now; None where nothing is in it."""
        newest = select(stream.at, stream.key).where(stream.at.is_not(None), stream.key.is_not(None))
        with self.reading() as connection:
            found = connection.execute(newest.order_by(stream.at.desc(), stream.key.desc()).limit(1)).first()
        return None if found is None else Position(found[0], found[1])

    def count(self, stream: Stream, after: Position | None, upper: Position) -> int:
        """How many rows there are to read."""
        counted = stream.within(after, upper).with_only_columns(func.count(), maintain_column_froms=True)
        with self.reading() as connection:
            return connection.execute(counted).scalar_one()

    def keyless(self, stream: Stream) -> int:
        """How many rows have no key, so that nobody can say which they are."""
        counted = select(func.count()).select_from(stream.of).where(stream.key.is_(None))
        with self.reading() as connection:
            return connection.execute(counted).scalar_one()

    def rows(self, stream: Stream, after: Position | None, upper: Position) -> Iterator[Row]:
        """The rows behind a position up to another; while they are worked on, no transaction is open in base A."""
        while page := self._page(stream, after, upper):
            yield from page
            after = page[-1].position

    def _page(self, stream: Stream, after: Position | None, upper: Position) -> list[Row]:
        """The next rows: at most 1,000, and fewer where they are long."""
        statement = stream.within(after, upper).order_by(stream.at, stream.key).limit(PAGE_ROWS)
        page: list[Row] = []
        room = PAGE_CHARACTERS
        with self.reading() as connection:
            for found in connection.execute(statement, execution_options={"yield_per": FETCHED_ROWS}):
                page.append(stream.make(found))
                room -= page[-1].characters
                if room < 0:
                    break
        return page

    def current(self, stream: Stream, keys: Sequence[Any]) -> dict[str, Row]:
        """The rows of these raw keys as they are now, by external id."""
        with self.reading() as connection:
            found = connection.execute(stream.statement.where(_is_one_of(stream.key, keys)))
            rows = [stream.make(each) for each in found]
        return {row.external_id: row for row in rows}

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection whose failures are SourceAway."""
        with reading(self.engine, "Base A") as connection:
            yield connection


@contextmanager
def open_source(url: str, mapping: SourceMapping) -> Iterator[Source]:
    """A source whose tables and columns are there. Raises Misconfigured, SourceAway."""
    engine = engine_of(url)
    try:
        source = Source(engine, mapping)
        with source.reading() as connection:
            checked = _checked(mapping, _Tables(connection))
        yield replace(source, mapping=checked)
    finally:
        engine.dispose()


class _Tables:
    """The tables of a database and their columns."""

    def __init__(self, connection: Connection) -> None:
        self._inspector = inspect(connection)

    def columns(self, name: str) -> list[str] | None:
        """None where there is no such table."""
        schema, _, bare = name.rpartition(".")
        if not self._inspector.has_table(bare, schema or None):
            return None
        return [each["name"] for each in self._inspector.get_columns(bare, schema or None)]

    def names(self) -> list[str]:
        """Those of the default schema."""
        return self._inspector.get_table_names()


def _checked(mapping: SourceMapping, tables: _Tables) -> SourceMapping:
    """The mapping as far as the database has it; a given one must be there whole."""
    if not mapping.is_given:
        mapping = _as_far_as_there(mapping, tables)
    for each in (mapping.articles, mapping.tombstones):
        if each is not None:
            _check(each, tables)
    return mapping


def _as_far_as_there(mapping: SourceMapping, tables: _Tables) -> SourceMapping:
    articles, tombstones = mapping.articles, mapping.tombstones
    if tombstones is not None and tables.columns(tombstones.table) is None:
        tombstones = None
    if "row_version" in (tables.columns(articles.table) or ["row_version"]):
        return replace(mapping, tombstones=tombstones)
    return replace(
        mapping,
        articles=replace(articles, row_version=None),
        tombstones=tombstones and replace(tombstones, row_version=None),
    )


def _check(mapped: Articles | Tombstones, tables: _Tables) -> None:
    columns = tables.columns(mapped.table)
    if columns is None:
        raise Misconfigured(f"Base A has no table {mapped.table!r}{did_you_mean(mapped.table, tables.names())}")
    named = {value for name, value in vars(mapped).items() if name != "table" and value is not None}
    for name in sorted(named - set(columns)):
        raise Misconfigured(f"The table {mapped.table!r} has no column {name!r}{did_you_mean(name, columns)}")


def _articles(mapped: Articles) -> Stream:
    of = _from(mapped.table, mapped.id, mapped.title, mapped.content, mapped.updated_at, mapped.row_version)
    at, key = of.c[mapped.updated_at], of.c[mapped.id]
    version = of.c[mapped.row_version] if mapped.row_version else at
    read = select(at, key, version, of.c[mapped.title], of.c[mapped.content])

    def make(found: Any) -> Row:
        at, key, version, title, content = found
        return Row(Position(at, key), version_of(version), title, content)

    return Stream("articles", of, at, key, read, make)


def _tombstones(mapped: Tombstones, articles: Stream) -> Stream:
    of = _from(mapped.table, mapped.id, mapped.deleted_at, mapped.row_version)
    at, key = of.c[mapped.deleted_at], of.c[mapped.id]
    version = of.c[mapped.row_version] if mapped.row_version else at
    is_back = exists(select(1).select_from(articles.of).where(articles.key == key))
    read = select(at, key, version).where(not_(is_back))

    def make(found: Any) -> Row:
        at, key, version = found
        return Row(Position(at, key), version_of(version), is_gone=True)

    return Stream(TOMBSTONES, of, at, key, read, make)


def _from(name: str, *columns: str | None) -> FromClause:
    # Columns without types: what the driver gives goes back as it came, so that equal times stay equal.
    schema, _, bare = name.rpartition(".")
    return table(bare, *(column(each) for each in dict.fromkeys(columns) if each), schema=schema or None)


def version_of(raw: Any) -> int | None:
    """None for what is neither a number nor a time: the core then says so, and the row is parked."""
    if isinstance(raw, NUMBERS):
        return int(raw)
    try:
        return microseconds(raw)
    except ValueError:
        return None


def raw(value: Any) -> ColumnElement[Any]:
    """A value that goes to the driver as it came from it."""
    if isinstance(value, str) and HALF.search(value):
        return cast(bindparam(None, value.encode("utf-8", "surrogateescape"), NullType()), Text)
    return bindparam(None, value, NullType())


def _behind(stream: Stream, position: Position) -> ColumnElement[bool]:
    at, key = raw(position.at), raw(position.key)
    if position.key is None:
        return stream.at >= at
    # Said twice, so that every planner takes the range of the index.
    return and_(stream.at >= at, or_(stream.at > at, stream.key > key))


def _is_one_of(column: ColumnElement[Any], keys: Sequence[Any]) -> ColumnElement[bool]:
    known = column.in_([raw(key) for key in keys if key is not None])
    return or_(known, column.is_(None)) if None in keys else known


def _up_to(stream: Stream, position: Position) -> ColumnElement[bool]:
    at, key = raw(position.at), raw(position.key)
    return and_(stream.at <= at, or_(stream.at < at, stream.key <= key))
