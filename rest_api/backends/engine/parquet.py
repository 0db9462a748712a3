"""The Parquet files of a snapshot as a relation: names and types are the snapshot's, whatever each file has."""

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import groupby
from typing import Any

from sqlglot import exp

from rest_api.backends.engine.masks import clear, spoken
from rest_api.backends.engine.rendering import POSITIONS, Relation
from rest_api.backends.footers import Footer, Footers
from rest_api.lake.columns import Columns, LakeColumn
from rest_api.lake.snapshots import DataFile, Snapshot
from rest_api.query.conditions import ColumnType

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
        _table(snapshot, files, read, parameters),
        {column.name: _stored(column, snapshot, files, read, parameters) for column in snapshot.columns},
    )


def _table(
    snapshot: Snapshot, files: Sequence[DataFile], read: Sequence[Footer], parameters: dict[str, Any]
) -> Expression:
    if not files:
        nothing = [exp.alias_(exp.cast(exp.Literal.number(0), "BIGINT"), name) for name in POSITIONS.values()]
        return exp.select(*nothing).where(exp.false()).subquery("lakeport_nothing")
    mixed = [column for column in snapshot.columns if _is_mixed(column, read)]
    if mixed:
        return _run_by_run(mixed, files, read, parameters)
    return _files(files, parameters, by_name=any(footer.columns != read[0].columns for footer in read))


def _files(files: Sequence[DataFile], parameters: dict[str, Any], *, by_name: bool) -> Expression:
    name = f"files{len(parameters)}" if "files" in parameters else "files"
    parameters[name] = [_literally(file.path) for file in files]
    options = [_option("hive_partitioning", is_on=False)]
    if by_name:
        options.append(_option("union_by_name", is_on=True))
    return exp.Table(this=exp.Anonymous(this="read_parquet", expressions=[exp.Placeholder(this=name), *options]))


def _is_mixed(column: LakeColumn, read: Sequence[Footer]) -> bool:
    """Whether a column is text because its files have values of several kinds."""
    found = {LakeColumn("", each.stored).type for footer in read for each in footer.columns if each.name == column.name}
    return column.type is ColumnType.TEXT and len(found) > 1


def _run_by_run(
    mixed: Sequence[LakeColumn], files: Sequence[DataFile], read: Sequence[Footer], parameters: dict[str, Any]
) -> Expression:
    """Files whose columns are alike together, each mixed column as the text that a caller would see of it."""
    statements: list[Expression] = []
    first = 0
    for columns, run in groupby(read, key=lambda footer: footer.columns):
        end = first + len(list(run))
        table = _files(files[first:end], parameters, by_name=False)
        statements.append(_run(mixed, columns, first).from_(table))
        first = end
    union = reduce(lambda one, other: exp.Union(this=one, expression=other, distinct=False, by_name=True), statements)
    return exp.Subquery(this=union, alias=exp.TableAlias(this=exp.to_identifier("lakeport_runs")))


def _run(mixed: Sequence[LakeColumn], columns: Columns, first: int) -> exp.Select:
    """All columns of some files, of which the first is number `first` of all that are read."""
    names = {column.name for column in mixed}
    texts = [exp.alias_(_text_of(each), each.name, quoted=True) for each in columns if each.name in names]
    index, row = POSITIONS.values()
    place = exp.alias_(exp.Add(this=exp.column(index), expression=exp.Literal.number(first)), index)
    return exp.select(exp.Star(replace=texts) if texts else exp.Star(), place, exp.column(row))


def _text_of(column: LakeColumn) -> Expression:
    value = exp.Column(this=exp.Identifier(this=column.name, quoted=True))
    return exp.cast(spoken(clear(value, column.stored), column.stored), "VARCHAR", dialect="duckdb")


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
    found = {each.stored for footer in read for each in footer.columns if each.name == column.name}
    value = exp.Column(this=exp.Identifier(this=column.name, quoted=True))
    if column.name in snapshot.partition_columns and files:
        shared = exp.cast(_partition(column.name, files, parameters), wanted, dialect="duckdb")
        # Rows that are only about to be written hold the value themselves.
        return exp.Coalesce(this=shared, expressions=[exp.cast(value, wanted, dialect="duckdb")]) if found else shared
    if not found:
        return exp.cast(exp.null(), wanted, dialect="duckdb")
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
