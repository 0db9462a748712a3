"""Datasets as typed fields: columns are fields, made of what a caller's catalog tells him."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    print_type,
)

from graphql_gateway.catalog import Catalog, Column, Dataset
from graphql_gateway.types.row_changes import following, tell_rows
from graphql_gateway.types.rows import list_typed_rows

NAME = re.compile(r"(?!__)[_A-Za-z][_0-9A-Za-z]*")
SCALARS = {
    "integer": "Long",
    "number": "Decimal",
    "text": "String",
    "timestamp": "DateTime",
    "boolean": "Boolean",
    "json": "JSON",
}
ENDS = ("Row", "Edge", "Connection", "Where", "Order", "Change")
"""Of the names of a dataset's types."""
COMBINED = ("and", "or", "not")
MAX_KEPT = 1_024
MAX_NAMED = 20
MASKED = "Some of its values are masked for you."


@dataclass(frozen=True)
class TypedRows:
    """The field of a dataset, that of its changes where it has versions, and the types they bring."""

    name: str
    field: GraphQLField
    changes: GraphQLField | None
    types: tuple[GraphQLNamedType, ...]


class RowTypes:
    """Makes typed fields beside a schema of fixed ones, whose types it uses; equal datasets get the same types."""

    def __init__(self, fixed: GraphQLSchema) -> None:
        self._fixed = fixed.type_map
        roots = (fixed.query_type, fixed.subscription_type)
        self._taken = {name for root in roots if root is not None for name in root.fields}
        self._made = lru_cache(MAX_KEPT)(self._make)

    def of(self, catalog: Catalog) -> list[TypedRows]:
        """The typed fields of a catalog: of the datasets whose name can be one and is not taken."""
        taken, found = set(self._fixed), []
        for dataset in catalog:
            if not self._may_be_field(dataset):
                continue
            made = self._made(dataset)
            names = {each.name for each in made.types}
            if taken.isdisjoint(names):
                taken |= names
                found.append(made)
        return found

    def _may_be_field(self, dataset: Dataset) -> bool:
        is_free = NAME.fullmatch(dataset.name) and dataset.name not in self._taken
        return bool(is_free and any(map(_is_field, dataset.columns)))

    def _make(self, dataset: Dataset) -> TypedRows:
        columns = [column for column in dataset.columns if _is_field(column)]
        stem = self._stem(dataset.name)
        row = GraphQLObjectType(
            f"{stem}Row", {each.name: self._field(each) for each in columns}, description=_about(dataset)
        )
        edge = self._edge(stem, row, dataset)
        connection = self._connection(stem, row, edge, dataset)
        where, order = self._where(stem, columns, dataset), self._order(stem, columns, dataset)
        arguments = {
            "where": GraphQLArgument(where),
            "orderBy": GraphQLArgument(GraphQLList(GraphQLNonNull(order))),
            "first": GraphQLArgument(GraphQLInt, description="1 to 10, 10 when not given"),
            "after": GraphQLArgument(GraphQLString, description="a cursor of this list"),
            **(self._versions() if dataset.kind == "table" else {}),
        }
        resolve = list_typed_rows(dataset.name, columns[0].name)
        field = GraphQLField(connection, arguments, resolve, description=_about(dataset))
        types = (connection, edge, row, where, order)
        if dataset.kind != "table":
            return TypedRows(dataset.name, field, None, types)
        change = self._change(stem, row, dataset)
        return TypedRows(dataset.name, field, self._changes(change, dataset), (*types, change))

    def _changes(self, change: GraphQLObjectType, dataset: Dataset) -> GraphQLField:
        about = f"New versions of {dataset.name}, with rows that they added."
        follow = following(dataset.name)
        return GraphQLField(GraphQLNonNull(change), resolve=tell_rows, subscribe=follow, description=about)

    def _change(self, stem: str, row: GraphQLObjectType, dataset: Dataset) -> GraphQLObjectType:
        nodes = GraphQLField(_list(row), description="The first 10 rows that it added.")
        fields = {**self._type("DatasetChange").fields, "nodes": nodes}
        return GraphQLObjectType(f"{stem}Change", fields, description=f"A new version of {dataset.name}.")

    def _stem(self, name: str) -> str:
        """What the names of a dataset's types begin with: `bank_accounts` gives `BankAccounts`."""
        joined = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        stem = joined if joined[:1].isalpha() else f"_{joined}"
        return stem if self._fixed.keys().isdisjoint(stem + end for end in ENDS) else f"{stem}Dataset"

    def _field(self, column: Column) -> GraphQLField:
        return GraphQLField(self._type(SCALARS[column.type]), description=MASKED if column.is_masked else None)

    def _type(self, name: str) -> Any:
        return self._fixed[name]

    def _edge(self, stem: str, row: GraphQLObjectType, dataset: Dataset) -> GraphQLObjectType:
        fields = {"cursor": GraphQLField(GraphQLNonNull(GraphQLString)), "node": GraphQLField(GraphQLNonNull(row))}
        about = f"A row of {dataset.name} in a list, and the cursor of its place."
        return GraphQLObjectType(f"{stem}Edge", fields, description=about)

    def _connection(
        self, stem: str, row: GraphQLObjectType, edge: GraphQLObjectType, dataset: Dataset
    ) -> GraphQLObjectType:
        fields = {
            "nodes": GraphQLField(_list(row)),
            "edges": GraphQLField(_list(edge)),
            "pageInfo": GraphQLField(GraphQLNonNull(self._type("PageInfo"))),
            "totalCount": GraphQLField(GraphQLNonNull(self._type("Long")), description="On all pages."),
        }
        return GraphQLObjectType(f"{stem}Connection", fields, description=f"A page of rows of {dataset.name}.")

    def _where(self, stem: str, columns: Iterable[Column], dataset: Dataset) -> GraphQLInputObjectType:
        name = f"{stem}Where"

        def fields() -> dict[str, GraphQLInputField]:
            filters = {each.name: self._filter(each) for each in columns if each.name not in COMBINED}
            several = GraphQLInputField(GraphQLList(GraphQLNonNull(where)))
            return {**filters, "and": several, "or": several, "not": GraphQLInputField(where)}

        where = GraphQLInputObjectType(
            name, fields, description=f"Which rows of {dataset.name}: all that is given must hold."
        )
        return where

    def _filter(self, column: Column) -> GraphQLInputField:
        return GraphQLInputField(self._type(f"{SCALARS[column.type]}Filter"))

    def _order(self, stem: str, columns: Iterable[Column], dataset: Dataset) -> GraphQLInputObjectType:
        fields = {each.name: GraphQLInputField(self._type("Direction")) for each in columns if each.type != "json"}
        about = f"A column of {dataset.name} to order by."
        return GraphQLInputObjectType(f"{stem}Order", fields, is_one_of=True, description=about)

    def _versions(self) -> dict[str, GraphQLArgument]:
        return {
            "version": GraphQLArgument(self._type("Long"), description="a version of the table"),
            "asOf": GraphQLArgument(self._type("DateTime"), description="the version that was the newest then"),
        }


def extended(fixed: GraphQLSchema, typed: Iterable[TypedRows], sdl: str) -> GraphQLSchema:
    """A schema with typed fields besides the fixed ones; among its extensions is what writes its SDL."""
    typed, roots = list(typed), (fixed.query_type, fixed.subscription_type)
    return GraphQLSchema(
        _with_fields(fixed.query_type, {each.name: each.field for each in typed}),
        fixed.mutation_type,
        _with_fields(fixed.subscription_type, _changes(typed)),
        [each for each in fixed.type_map.values() if each not in roots],
        fixed.directives,
        description=fixed.description,
        extensions={**fixed.extensions, "sdl": cache(lambda: sdl_of(typed, sdl))},
        assume_valid=True,
    )


def sdl_of(typed: Iterable[TypedRows], sdl: str) -> str:
    """The SDL of fixed fields, with that of typed ones after it."""
    typed = list(typed)
    if not typed:
        return sdl
    query = GraphQLObjectType("Query", {each.name: each.field for each in typed})
    changes = _changes(typed)
    roots = [query, *([GraphQLObjectType("Subscription", changes)] if changes else [])]
    types = [print_type(each) for made in typed for each in made.types]
    return "\n\n".join([sdl, *(f"extend {print_type(root)}" for root in roots), *types])


def _changes(typed: Iterable[TypedRows]) -> dict[str, GraphQLField]:
    return {each.name: each.changes for each in typed if each.changes is not None}


def _with_fields(root: GraphQLObjectType | None, fields: Mapping[str, GraphQLField]) -> GraphQLObjectType | None:
    """A root type with typed fields after its own."""
    if root is None:
        return None
    return GraphQLObjectType(root.name, {**root.fields, **fields}, description=root.description)


def _is_field(column: Column) -> bool:
    return NAME.fullmatch(column.name) is not None and column.type in SCALARS


def _list(type_: GraphQLObjectType) -> GraphQLNonNull[Any]:
    return GraphQLNonNull(GraphQLList(GraphQLNonNull(type_)))


def _about(dataset: Dataset) -> str:
    """What the dataset is, and which of its columns have no field."""
    said = dataset.description or f"Rows of {dataset.name}."
    left_out = [repr(each.name) for each in dataset.columns if not _is_field(each)]
    if not left_out:
        return said
    more = f" and {len(left_out) - MAX_NAMED} more" if len(left_out) > MAX_NAMED else ""
    return f"{said}\n\nReached by `dataset(name:)` only: {', '.join(left_out[:MAX_NAMED])}{more}."
