"""SQLAlchemy reads `sql` datasets: tables of the core's own database, with views as expressions of its dialect."""

import hashlib
import hmac
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    DateTime,
    Engine,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Table,
    case,
    cast,
    event,
    extract,
    func,
    literal,
    null,
    select,
    type_coerce,
)
from sqlalchemy import Column as SqlColumn
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from rest_api.backends.engine.masks import HASH_DIGITS, LAST, SHORTEST_LAST4, MaskKey
from rest_api.database import READ_ONLY, may_wait
from rest_api.errors import Conflict
from rest_api.lake.columns import LakeColumn
from rest_api.lake.diffs import Diff, DiffPage
from rest_api.lake.figures import FigurePlan
from rest_api.lake.plans import Plan
from rest_api.lake.snapshots import SQL, Snapshot
from rest_api.lake.views import Alternative, ViewColumn
from rest_api.models.base import INTERNAL, UtcDateTime
from rest_api.query.conditions import Column, ColumnType
from rest_api.query.sql import Page, Reading, Source, rendered

BATCH_ROWS = 200
_HASH = "lakeport_hash"
_ARROW_TYPES = {
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.NUMBER: pa.float64(),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
    ColumnType.TEXT: pa.string(),
}
_KINDS: tuple[tuple[type[TypeEngine[Any]], ColumnType, str], ...] = (
    (Boolean, ColumnType.BOOLEAN, "bool"),
    (Integer, ColumnType.INTEGER, "int64"),
    (Numeric, ColumnType.NUMBER, "double"),
    (Float, ColumnType.NUMBER, "double"),
    (DateTime, ColumnType.TIMESTAMP, "timestamp[us, tz=UTC]"),
    (UtcDateTime, ColumnType.TIMESTAMP, "timestamp[us, tz=UTC]"),
)


def snapshot_of(table: Table) -> Snapshot:
    """A table as a dataset; its primary key puts rows in a total order."""
    shown = [column for column in table.columns if _is_shown(column)]
    columns = tuple(LakeColumn(column.name, _kind(column)[1]) for column in shown)
    key = tuple(Column(_hidden(column.name), _kind(column)[0]) for column in table.primary_key)
    return Snapshot(table.name, SQL, f"sql:{table.name}", columns, key=key)


def _is_shown(column: SqlColumn[Any]) -> bool:
    return not isinstance(column.type, LargeBinary | JSON) and INTERNAL.items().isdisjoint(column.info.items())


class SqlEngine:
    """Runs plans on tables of a database; each plan reads in a transaction of its own."""

    def __init__(self, engine: Engine, tables: Mapping[str, Table], secret: bytes) -> None:
        """`secret` keys the hash mask."""
        self._engine = engine
        self._tables = tables
        self._secret = secret
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", self._add_hash)

    def page(self, plan: Plan) -> Page:
        with self._session() as session:
            return self._source(plan).page(session, plan.query)

    def count(self, plan: Plan) -> int:
        with self._session() as session:
            return session.scalar(Reading(self._source(plan), plan.query).counting) or 0

    def distinct(self, plan: Plan, columns: tuple[str, ...]) -> int:
        with self._session() as session:
            source = self._source(plan)
            values = select(*(source.columns[name] for name in columns)).where(*source.restrictions).distinct()
            return session.scalar(select(func.count()).select_from(values.subquery())) or 0

    def batches(self, plan: Plan) -> Generator[Any, None, None]:
        with self._session() as session:
            may_wait(session.connection())
            reading = Reading(self._source(plan), plan.query)
            found = session.execute(reading.statement.limit(None), execution_options={"yield_per": BATCH_ROWS})
            schema = _schema(plan)
            yield pa.RecordBatch.from_pylist([], schema)
            for rows in found.partitions():
                yield pa.RecordBatch.from_pylist([dict(zip(plan.names, row, strict=False)) for row in rows], schema)

    def figures(self, plan: FigurePlan) -> list[tuple[Any, ...]]:
        raise Conflict(f"No figures are made of sql datasets such as {plan.snapshot.name}", code="unsupported")

    def diff(self, diff: Diff) -> DiffPage:
        name = diff.after.snapshot.name
        raise Conflict(f"Only tables have versions; {name} is none", code="dataset_not_versioned")

    def close(self) -> None:
        """Nothing is held: the database's engine is the core's."""

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._engine.connect().execution_options(**READ_ONLY) as connection, Session(connection) as session:
            yield session

    def _source(self, plan: Plan) -> Source:
        table = self._tables[plan.snapshot.name]
        columns = {column.name: self._seen(table, column) for column in plan.view.columns}
        key = {_hidden(column.name): column for column in table.primary_key}
        admission = plan.view.admission
        restrictions = () if admission is None else (rendered(admission, dict(table.columns)),)
        return Source(plan.view.shape, {**columns, **key}, restrictions)

    def _seen(self, table: Table, column: ViewColumn) -> Any:
        ways = column.alternatives
        if ways[0].condition is None:
            return self._masked(table.columns[column.name], ways[0], column)
        whens = [
            (
                literal(True) if way.condition is None else rendered(way.condition, dict(table.columns)),
                self._masked(table.columns[column.name], way, column),
            )
            for way in ways
        ]
        return case(*whens, else_=null())

    def _masked(self, stored: Any, way: Alternative, column: ViewColumn) -> Any:
        if way.mask is None:
            is_same = column.type is _kind(stored)[0]
            return stored if is_same else self._text(stored)
        if way.mask == "null":
            return null() if len(column.alternatives) > 1 else cast(null(), stored.type)
        if way.mask == "year":
            year = cast(extract("year", stored), Integer)
            return year if column.type is ColumnType.INTEGER else cast(year, String)
        text = self._text(stored)
        return self._hashed(text) if way.mask == "hash" else _last4(text)

    def _text(self, stored: Any) -> ColumnElement[str]:
        """A value as text, as every engine writes it: times in RFC 3339 to the microsecond."""
        kind = _kind(stored)[0]
        if kind is ColumnType.TEXT:
            return type_coerce(stored, String)
        if kind is ColumnType.BOOLEAN:
            return case((stored.is_(True), "true"), (stored.is_(False), "false"))
        if kind is not ColumnType.TIMESTAMP:
            return cast(stored, String)
        if self._engine.dialect.name == "sqlite":
            return func.replace(type_coerce(stored, String), " ", "T", type_=String).op("||")(literal("Z"))
        return func.to_char(func.timezone("UTC", stored), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"', type_=String)

    def _hashed(self, text: ColumnElement[str]) -> ColumnElement[str]:
        if self._engine.dialect.name == "sqlite":
            return type_coerce(getattr(func, _HASH)(text), String)
        key = MaskKey.of(self._secret)
        inner = func.sha256(literal(key.inner).op("||")(func.convert_to(text, "UTF8")))
        outer = func.encode(func.sha256(literal(key.outer).op("||")(inner)), "hex")
        return func.substr(outer, 1, HASH_DIGITS, type_=String)

    def _add_hash(self, connection: Any, _record: object) -> None:
        def hashed(text: str | None) -> str | None:
            if text is None:
                return None
            return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]

        connection.create_function(_HASH, 1, hashed, deterministic=True)


def _kind(column: Any) -> tuple[ColumnType, str]:
    found = next(((kind, stored) for base, kind, stored in _KINDS if isinstance(column.type, base)), None)
    return found or (ColumnType.TEXT, "string")


def _schema(plan: Plan) -> Any:
    return pa.schema([(name, _ARROW_TYPES[plan.view.by_name[name].type]) for name in plan.names])


def _hidden(name: str) -> str:
    """A name that no caller can say."""
    return f"\x00{name}"


def _last4(text: ColumnElement[str]) -> ColumnElement[str]:
    return case(
        (func.length(text) >= SHORTEST_LAST4, func.substr(text, func.length(text) - LAST + 1, LAST, type_=String))
    )
