"""Hashes of base A's articles summed by ranges of keys: in the database where it can, else over one read of all."""

import re
import sqlite3
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    Numeric,
    Text,
    cast,
    column,
    func,
    inspect,
    literal,
    select,
)
from sqlalchemy import values as sql_values
from sqlalchemy.dialects.postgresql import BIT

from integration.errors import SourceAway
from integration.rows import MODULUS, Row, bytes_hash, row_hash
from integration.sources import FETCHED_ROWS, Source, Stream, raw, version_of

WHOLE_NUMBER = re.compile("0|-?[1-9][0-9]{0,18}")
LEAST, LARGEST = -(2**63), 2**63 - 1
SPANS_AT_ONCE = 1_000
Checksum = tuple[int, int]
"""How many articles there are, and the sum of their hashes."""


@dataclass(frozen=True)
class Span:
    """Keys from the first, which is within, to the last, which is not; None for an open end."""

    first: Any = None
    last: Any = None


class Hashes(Protocol):
    """What a comparison asks of base A."""

    def checksums(self, spans: Sequence[Span]) -> list[Checksum]:
        """That of each span."""

    def rows(self, span: Span) -> Iterator[Row]:
        """The articles of a span, in the order of their keys."""


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
    if order == "integer" and has_whole_keys(source):
        if source.engine.dialect.name == "postgresql":
            return DatabaseHashes(source, source.articles())
        if source.engine.dialect.name == "sqlite":
            return ScannedHashes(source, source.articles())
    return MemoryHashes(source, order)


def has_whole_keys(source: Source) -> bool:
    """Whether all keys are whole numbers, as their column says."""
    schema, _, bare = source.mapping.articles.table.rpartition(".")
    with source.reading() as connection:
        columns = {each["name"]: each["type"] for each in inspect(connection).get_columns(bare, schema or None)}
    return isinstance(columns[source.mapping.articles.id], Integer)


def _rows_between(source: Source, stream: Stream, span: Span) -> Iterator[Row]:
    within = [stream.key >= raw(span.first)] if span.first is not None else []
    within += [stream.key < raw(span.last)] if span.last is not None else []
    statement = stream.statement.where(*within).order_by(stream.key)
    with source.reading() as connection:
        for found in connection.execute(statement, execution_options={"yield_per": FETCHED_ROWS}):
            yield stream.make(found)


@dataclass(frozen=True)
class DatabaseHashes:
    """Sums made by PostgreSQL itself: rows leave it only where a comparison asks for them."""

    source: Source
    stream: Stream

    def checksums(self, spans: Sequence[Span]) -> list[Checksum]:
        chunks = (spans[start : start + SPANS_AT_ONCE] for start in range(0, len(spans), SPANS_AT_ONCE))
        return [found for chunk in chunks for found in self._checksums(chunk)]

    def _checksums(self, spans: Sequence[Span]) -> Iterator[Checksum]:
        columns = column("place", BigInteger), column("first", BigInteger), column("last", BigInteger)
        asked = sql_values(*columns, name="asked").data([(place, *_ends(span)) for place, span in enumerate(spans)])
        c = asked.c
        joined = asked.join(self.stream.of, self.stream.key.between(c.first, c.last))
        summed = select(c.place, func.count(), self._sum()).select_from(joined).group_by(c.place)
        with self.source.reading() as connection:
            found = {place: (count, int(total) % MODULUS) for place, count, total in connection.execute(summed)}
        return (found.get(place, (0, 0)) for place in range(len(spans)))

    def rows(self, span: Span) -> Iterator[Row]:
        return _rows_between(self.source, self.stream, span)

    def _sum(self) -> ColumnElement[Any]:
        """The sum in PostgreSQL's own words, of the definition in docs/INTEGRATION.md."""
        mapped, of = self.source.mapping.articles, self.stream.of
        key, title, content = (cast(of.c[name], Text) for name in (mapped.id, mapped.title, mapped.content))
        microseconds = cast(func.extract("epoch", of.c[mapped.updated_at]) * literal(1_000_000), BigInteger)
        version = of.c[mapped.row_version] if mapped.row_version else microseconds
        text = func.concat(
            func.octet_length(key), ":", key, version, ":", func.octet_length(title), ":", title, content
        )
        digest = func.encode(func.sha256(func.convert_to(text, "UTF8")), "hex")
        hashed = cast(cast(func.concat("x", func.left(digest, 16)), BIT(64)), BigInteger)
        return func.sum(cast(hashed, Numeric))


def _ends(span: Span) -> tuple[int, int]:
    """Both ends of a span of whole numbers, within."""
    return LEAST if span.first is None else span.first, LARGEST if span.last is None else span.last - 1


class ScannedHashes:
    """Whole keys and the sums of the hashes up to each, of one read in their order: 16 bytes for each article."""

    def __init__(self, source: Source, stream: Stream) -> None:
        self._source, self._stream = source, stream
        self._keys, self._sums = array("q"), array("Q", [0])
        total = 0
        for key, version, title, content in _texts_in_utf8(source, stream):
            total = (total + (_hash_in_utf8(key, version, title, content) or 0)) % MODULUS
            self._keys.append(key)
            self._sums.append(total)

    def checksums(self, spans: Sequence[Span]) -> list[Checksum]:
        return [self._checksum(*_ends(span)) for span in spans]

    def _checksum(self, first: int, last: int) -> Checksum:
        begin, end = bisect_left(self._keys, first), bisect_right(self._keys, last)
        return max(0, end - begin), (self._sums[max(begin, end)] - self._sums[begin]) % MODULUS

    def rows(self, span: Span) -> Iterator[Row]:
        return _rows_between(self._source, self._stream, span)


def _texts_in_utf8(source: Source, stream: Stream) -> Iterator[tuple[Any, ...]]:
    """Key, version, title and content of each article of a SQLite, in the order of the keys."""
    mapped, of = source.mapping.articles, stream.of
    texts = (cast(of.c[name], LargeBinary) for name in (mapped.title, mapped.content))
    version = of.c[mapped.row_version or mapped.updated_at]
    with source.reading() as connection:
        found: Any = connection.execute(select(stream.key, version, *texts).order_by(stream.key)).cursor
        try:
            yield from found  # a million rows go by without becoming SQLAlchemy's
        except sqlite3.Error as error:
            raise SourceAway(f"Base A cannot be read: {error}") from error


def _hash_in_utf8(key: int, version: Any, title: Any, content: Any) -> int | None:
    number = version_of(version)
    if number is None or not isinstance(title, bytes) or not isinstance(content, bytes):
        return None
    return bytes_hash(b"%d" % key, number, title, content)


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

    def checksums(self, spans: Sequence[Span]) -> list[Checksum]:
        places = map(self._ends, spans)
        return [(last - first, (self._sums[last] - self._sums[first]) % MODULUS) for first, last in places]

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
