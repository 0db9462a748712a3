"""The Parquet files of a snapshot as a relation: names and types are the snapshot's, whatever each file has."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp

from rest_api.backends.engine.rendering import POSITIONS, Relation
from rest_api.backends.footers import Footer, Footers
from rest_api.lake.columns import LakeColumn
from rest_api.lake.snapshots import DataFile, Snapshot

Expression = exp.Expr
_SQL_TYPES = {
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
    "halffloat": "REAL",
    "float": "REAL",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "binary": "BLOB",
    "large_binary": "BLOB",
}
_DECIMAL = re.compile(r"decimal\d+\((\d+), ?(\d+)\)")


def sql_type(stored: str) -> str:
    """DuckDB's name of a stored type; nested and unusual ones are read as text."""
    decimal = _DECIMAL.fullmatch(stored)
    if decimal:
        return f"DECIMAL({decimal[1]}, {decimal[2]})"
    if stored.startswith("timestamp"):
        return "TIMESTAMPTZ" if "tz=" in stored else "TIMESTAMP"
    return "DATE" if stored.startswith("date") else _SQL_TYPES.get(stored, "VARCHAR")


def relation(snapshot: Snapshot, files: Sequence[DataFile], footers: Footers, parameters: dict[str, Any]) -> Relation:
    """The files as a table; `parameters` takes the values it needs. Raises CorruptFile, FileNotFoundError."""
    read = [footers.of(file.path) for file in files]
    return Relation(
        _table(files, read, parameters),
        {column.name: _stored(column, snapshot, files, read, parameters) for column in snapshot.columns},
    )


def _table(files: Sequence[DataFile], read: Sequence[Footer], parameters: dict[str, Any]) -> Expression:
    if not files:
        nothing = [exp.alias_(exp.cast(exp.Literal.number(0), "BIGINT"), name) for name in POSITIONS.values()]
        return exp.select(*nothing).where(exp.false()).subquery("lakeport_nothing")
    parameters["files"] = [_literally(file.path) for file in files]
    options = [_option("hive_partitioning", is_on=False)]
    if any(footer.columns != read[0].columns for footer in read):
        options.append(_option("union_by_name", is_on=True))
    return exp.Table(this=exp.Anonymous(this="read_parquet", expressions=[exp.Placeholder(this="files"), *options]))


def _option(name: str, *, is_on: bool) -> Expression:
    return exp.PropertyEQ(this=exp.to_identifier(name), expression=exp.Boolean(this=is_on))


def _literally(path: str) -> str:
    """A path in which no character is a wildcard."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _stored(
    column: LakeColumn,
    snapshot: Snapshot,
    files: Sequence[DataFile],
    read: Sequence[Footer],
    parameters: dict[str, Any],
) -> Expression:
    wanted = sql_type(column.stored)
    if column.name in snapshot.partition_columns and files:
        return exp.cast(_partition(column.name, files, parameters), wanted, dialect="duckdb")
    found = {each.stored for footer in read for each in footer.columns if each.name == column.name}
    if not found:
        return exp.cast(exp.null(), wanted, dialect="duckdb")
    value = exp.Column(this=exp.Identifier(this=column.name, quoted=True))
    is_same = all(sql_type(each) == wanted for each in found)
    return value if is_same else exp.cast(value, wanted, dialect="duckdb")


def _partition(name: str, files: Sequence[DataFile], parameters: dict[str, Any]) -> Expression:
    """The value that all rows of a file share: looked up by the file's place among those read."""
    values: Mapping[int, Any] = dict(enumerate(file.partition.get(name) for file in files))
    key = f"partition{len(parameters)}"
    parameters[key] = [_text(value) for value in values.values()]
    place = exp.Add(this=exp.column("file_index"), expression=exp.Literal.number(1))
    texts = exp.cast(exp.Placeholder(this=key), "VARCHAR[]", dialect="duckdb")
    return exp.Anonymous(this="list_extract", expressions=[texts, exp.cast(place, "BIGINT", dialect="duckdb")])


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
