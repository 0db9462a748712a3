"""Hashes of base A's articles summed by ranges of keys: in the database where it can, else over one read of all."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

from sqlalchemy import BigInteger, ColumnElement, Integer, Numeric, Text, cast, func, inspect, literal, select
from sqlalchemy.dialects.postgresql import BIT

from integration.rows import MODULUS, Row, row_hash
from integration.sources import FETCHED_ROWS, Source, Stream, raw, version_of

CHECKSUM = "lakeport_checksum"
WHOLE_NUMBER = re.compile("0|-?[1-9][0-9]{0,18}")
PUSHED_DOWN = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Span:
    """Keys from the first, which is within, to the last, which is not; None for an open end."""

    first: Any = None
    last: Any = None


class Hashes(Protocol):
    """What a comparison asks of base A."""

    def checksum(self, span: Span) -> tuple[int, int]:
        """How many articles there are, and the sum of their hashes."""

    def rows(self, span: Span) -> Iterator[Row]:
        """Them, in the order of their keys."""


def hash_of(row: Row) -> int | None:
    """The hash of a row; None where it is none that the core could have."""
    return _hash(row.external_id, row.external_version, row.title, row.content)


def _hash(external_id: str, version: int | None, title: Any, content: Any) -> int | None:
    if version is None or not isinstance(title, str) or not isinstance(content, str):
        return None
    try:
        return row_hash(external_id, version, title, content)
    except UnicodeEncodeError:
        return None


def hashes_of(source: Source, order: str) -> Hashes:
    """The quickest way to have the hashes of a source in the order that the core has its ids in."""
    stream = source.articles()
    if order == "integer" and source.engine.dialect.name in PUSHED_DOWN and _has_whole_keys(source):
        return DatabaseHashes(source, stream)
    return MemoryHashes(source, order)


def _has_whole_keys(source: Source) -> bool:
    schema, _, bare = source.mapping.articles.table.rpartition(".")
    with source.reading() as connection:
        columns = {each["name"]: each["type"] for each in inspect(connection).get_columns(bare, schema or None)}
    return isinstance(columns[source.mapping.articles.id], Integer)


@dataclass(frozen=True)
class DatabaseHashes:
    """Sums made by the database itself: rows leave it only where a comparison asks for them."""

    source: Source
    stream: Stream

    def checksum(self, span: Span) -> tuple[int, int]:
        with self.source.reading() as connection:
            if connection.dialect.name == "sqlite":
                driver: Any = connection.connection.dbapi_connection
                driver.create_aggregate(CHECKSUM, 4, _Sum)
            found = connection.execute(
                select(func.count(), self._sum(connection.dialect.name)).where(*self._within(span))
            )
            count, total = found.one()
        return count, int(total or 0) % MODULUS

    def rows(self, span: Span) -> Iterator[Row]:
        statement = self.stream.statement.where(*self._within(span)).order_by(self.stream.key)
        with self.source.reading() as connection:
            for found in connection.execute(statement, execution_options={"yield_per": FETCHED_ROWS}):
                yield self.stream.make(found)

    def _within(self, span: Span) -> Iterator[ColumnElement[bool]]:
        if span.first is not None:
            yield self.stream.key >= raw(span.first)
        if span.last is not None:
            yield self.stream.key < raw(span.last)

    def _sum(self, dialect: str) -> ColumnElement[Any]:
        mapped, of = self.source.mapping.articles, self.stream.of
        version = mapped.row_version or mapped.updated_at
        columns = [of.c[name] for name in (mapped.id, version, mapped.title, mapped.content)]
        return func.lakeport_checksum(*columns) if dialect == "sqlite" else self._sha256(*columns)

    def _sha256(self, *columns: ColumnElement[Any]) -> ColumnElement[Any]:
        """The sum in PostgreSQL's own words, of the definition in docs/INTEGRATION.md."""
        key, title, content = (cast(columns[place], Text) for place in (0, 2, 3))
        microseconds = cast(func.extract("epoch", columns[1]) * literal(1_000_000), BigInteger)
        version = columns[1] if self.source.mapping.articles.row_version else microseconds
        text = func.concat(
            func.octet_length(key), ":", key, version, ":", func.octet_length(title), ":", title, content
        )
        digest = func.encode(func.sha256(func.convert_to(text, "UTF8")), "hex")
        hashed = cast(cast(func.concat("x", func.left(digest, 16)), BIT(64)), BigInteger)
        return func.sum(cast(hashed, Numeric))


class _Sum:
    """SQLite's aggregate: the sum of the hashes of rows as a stream reads them, as text, since it may pass 64 bits."""

    def __init__(self) -> None:
        self._total = 0

    def step(self, key: Any, version: Any, title: Any, content: Any) -> None:
        """Add a row."""
        self._total += _hash(str(key), version_of(version), title, content) or 0

    def finalize(self) -> str:
        """The sum."""
        return str(self._total % MODULUS)


class MemoryHashes:
    """Every key and hash of a source, read once: some 100 bytes for each article."""

    def __init__(self, source: Source, order: str) -> None:
        self._source = source
        self._place = _place(order)
        stream = source.articles()
        found: list[tuple[Any, int, Any]] = []
        with source.reading() as connection:
            for each in connection.execute(stream.statement, execution_options={"yield_per": FETCHED_ROWS}):
                row = stream.make(each)
                found.append((self._place(row.external_id), hash_of(row) or 0, row.position.key))
        found.sort(key=lambda each: each[0])
        self._places = [each[0] for each in found]
        self._keys = [each[2] for each in found]
        self._sums = [0, *accumulate(each[1] for each in found)]

    def checksum(self, span: Span) -> tuple[int, int]:
        first, last = self._ends(span)
        return last - first, (self._sums[last] - self._sums[first]) % MODULUS

    def rows(self, span: Span) -> Iterator[Row]:
        first, last = self._ends(span)
        for start in range(first, last, FETCHED_ROWS):
            keys = self._keys[start : min(start + FETCHED_ROWS, last)]
            yield from self._source.current(self._source.articles(), keys).values()

    def _ends(self, span: Span) -> tuple[int, int]:
        first = 0 if span.first is None else bisect_left(self._places, self._place(str(span.first)))
        last = len(self._places) if span.last is None else bisect_left(self._places, self._place(str(span.last)))
        return first, max(first, last)


def _place(order: str) -> Callable[[str], Any]:
    """Where an external id lies among others; what is no number lies behind all numbers."""
    if order == "bytes":
        return lambda external_id: external_id.encode("utf-8", "surrogateescape")

    def place(external_id: str) -> tuple[int, Any]:
        return (0, int(external_id)) if WHOLE_NUMBER.fullmatch(external_id) else (1, external_id)

    return place
