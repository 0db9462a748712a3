"""A subgraph of Apollo Federation 2: its SDL for composers, and its objects by their keys for a federated gateway."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, cast

from ariadne import make_executable_schema
from ariadne.contrib.federation.utils import gather_directives
from ariadne.types import SchemaBindable
from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    parse,
    value_from_ast_untyped,
)

from graphql_gateway.errors import Failure, TooLarge, invalid, not_found
from graphql_gateway.rest_client import Core, Info
from graphql_gateway.types.entities import Row, entity_of
from graphql_gateway.types.joins import Lookup, join, looked_up
from graphql_gateway.types.selections import Selection

LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.6", import: ["@key", "@shareable"])'
# Apollo's composer does not know it unless the schema defines it.
ONE_OF = '"""Takes exactly one of its fields.""" directive @oneOf on INPUT_OBJECT'
MACHINERY = Path(__file__).with_suffix(".graphql")
REFERENCES = "lakeport_references"
MAX_REPRESENTATIONS = 1_000
Representation = Mapping[str, Any]
Found = Row | Failure
Resolve = Callable[[Core, Sequence[Representation], Selection], Awaitable[Sequence[Found]]]
"""Gives an object, or the Failure in its place, for each representation; all have the fields of a key."""


@dataclass(frozen=True)
class References(SchemaBindable):
    """How the objects of a type are had by their keys, where they are not the rows of an entity with one column."""

    type: str
    resolve: Resolve

    def bind_to_schema(self, schema: GraphQLSchema) -> None:
        """Let the type know."""
        type_ = schema.type_map[self.type]
        type_.extensions = {**type_.extensions, REFERENCES: self.resolve}


@dataclass(frozen=True)
class Key:
    """The fields by which an object is known, each as its path."""

    fields: str
    paths: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, fields: str) -> "Key":
        """The key in the text of a `@key`."""
        operation = cast(OperationDefinitionNode, parse(f"{{{fields}}}").definitions[0])
        return cls(fields, tuple(_paths(operation.selection_set)))

    def is_in(self, representation: Representation) -> bool:
        """Whether a representation has all of it."""
        return not self.missing(representation)

    def missing(self, representation: Representation) -> list[str]:
        """The fields that a representation lacks."""
        return [".".join(path) for path in self.paths if reduce(_member, path, representation) is None]


class Subgraph(SchemaBindable):
    """What a schema answers to composers and federated gateways; its SDL is among its extensions."""

    def bind_to_schema(self, schema: GraphQLSchema) -> None:
        """Let every type with a key be an entity."""
        types = [each for each in schema.type_map.values() if isinstance(each, GraphQLObjectType)]
        keys = {type_.name: found for type_ in types if (found := keys_of(type_))}
        entity = cast(GraphQLUnionType, schema.type_map["_Entity"])
        entity.types = tuple(type_ for type_ in types if type_.name in keys)
        fields = cast(GraphQLObjectType, schema.query_type).fields
        fields["_service"].resolve = describe_service
        fields["_entities"].resolve = EntityResolver(keys)


@dataclass(frozen=True)
class EntityResolver:
    """Resolves `_entities`; `keys` are those of each type."""

    keys: Mapping[str, Sequence[Key]]

    async def __call__(self, _: object, info: Info, representations: Sequence[Any]) -> list[Found]:
        """The objects in the order of the representations: each type's had together. Raises TooLarge."""
        if len(representations) > MAX_REPRESENTATIONS:
            raise TooLarge(f"_entities takes at most {MAX_REPRESENTATIONS:,} representations")
        found: list[Found | None] = [self._fault(each) for each in representations]
        asked: dict[str, list[int]] = {}
        for index, fault in enumerate(found):
            if fault is None:
                asked.setdefault(representations[index]["__typename"], []).append(index)
        groups = [[representations[index] for index in indexes] for indexes in asked.values()]
        resolved = await asyncio.gather(*map(_resolved, [info] * len(asked), asked, groups))
        for indexes, objects in zip(asked.values(), resolved, strict=True):
            for index, each in zip(indexes, objects, strict=True):
                found[index] = each
        return cast(list[Found], found)

    def _fault(self, representation: object) -> Failure | None:
        """What is wrong with a representation."""
        if not isinstance(representation, dict) or not isinstance(representation.get("__typename"), str):
            return invalid("A representation is an object with __typename and the fields of a key")
        name = representation["__typename"]
        keys = self.keys.get(name)
        if keys is None:
            return invalid(f"There is no entity {name[:100]}")
        if any(key.is_in(representation) for key in keys):
            return None
        missing = " or ".join(" and ".join(key.missing(representation)) for key in keys)
        return invalid(f"The representation of {name} lacks {missing}")


def make_subgraph(sdl: str, parts: Iterable[SchemaBindable], linked: str = "") -> GraphQLSchema:
    """The executable schema of a subgraph. Its SDL has a `@link`; `linked` defines what that brings in besides."""
    schema = make_executable_schema([sdl, linked, MACHINERY.read_text()], *parts, Subgraph())
    schema.extensions = {**schema.extensions, "sdl": lambda: sdl}
    return schema


def describe_service(_: object, info: Info) -> dict[str, str]:
    """The SDL that the caller's schema was made of."""
    return {"sdl": f"{ONE_OF}\n\n{info.schema.extensions['sdl']()}"}


def keys_of(type_: GraphQLObjectType) -> list[Key]:
    """The keys by which a type's objects can be had."""
    directives = [each for each in gather_directives(type_) if each.name.value == "key"]
    given = [
        {each.name.value: value_from_ast_untyped(each.value) for each in one.arguments or ()} for one in directives
    ]
    return [Key.read(each["fields"]) for each in given if each.get("resolvable", True)]


async def rows_by_key(core: Core, representations: Sequence[Representation], selection: Selection) -> list[Found]:
    """The rows of an entity whose key is one column, had by one call for each hundred keys, with what hangs on them."""
    entity, (key,) = entity_of(selection.type), keys_of(selection.type)
    ((field,),) = key.paths
    values = [_value(selection.type, field, each[field]) for each in representations]
    wanted = {value for value in values if not isinstance(value, Failure)}
    column = entity.columns.get(field, field)
    columns = {*entity.selected_columns(selection), column}
    rows = {row[column]: row for row in await looked_up(core, Lookup(selection.type, column), wanted, columns)}
    entity.shaped(rows.values(), selection)
    await join(core, list(rows.values()), selection)
    return [
        value if isinstance(value, Failure) else rows.get(value) or not_found(entity.type, value) for value in values
    ]


async def _resolved(info: Info, name: str, representations: Sequence[Representation]) -> Sequence[Found]:
    type_ = cast(GraphQLObjectType, info.schema.type_map[name])
    resolve: Resolve = type_.extensions.get(REFERENCES, rows_by_key)
    try:
        found = await resolve(info.context, representations, Selection(info, type_, tuple(info.field_nodes)))
    except Failure as failure:
        return [failure] * len(representations)
    return [each if isinstance(each, Failure) else {**each, "__typename": name} for each in found]


def _value(type_: GraphQLObjectType, field: str, given: Any) -> Any:
    scalar = cast(GraphQLScalarType, get_named_type(type_.fields[field].type))
    try:
        return scalar.coerce_input_value(given)
    except GraphQLError:
        return invalid(f"{field} in the representation of {type_.name} takes {scalar.name}")


def _paths(selections: SelectionSetNode) -> Iterable[tuple[str, ...]]:
    for node in cast(Sequence[FieldNode], selections.selections):
        below = _paths(node.selection_set) if node.selection_set else [()]
        yield from ((node.name.value, *path) for path in below)


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
