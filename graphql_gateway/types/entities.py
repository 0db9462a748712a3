"""Entities: object types whose objects are rows of a list route of the core, and how they hang together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ariadne.types import SchemaBindable
from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema

from graphql_gateway.errors import invalid, not_found
from graphql_gateway.types.filters import filter_pairs, order_text
from graphql_gateway.types.selections import Selection

Row = dict[str, Any]
Pairs = list[tuple[str, str]]
KEY = "lakeport_entity"


@dataclass(frozen=True)
class One:
    """A field that is one object of another entity: the one whose `column` is what the row has in `key`."""

    to: str
    key: str
    column: str = "id"


@dataclass(frozen=True)
class Many:
    """A field that is a list of another entity: those whose `column` is what the row has in `key`.

    Its arguments are those of a list: first, where, orderBy.
    """

    to: str
    key: str
    column: str


@dataclass(frozen=True)
class Entity(SchemaBindable):
    """An object type, the list route its rows come from, and the columns of fields that are called otherwise."""

    type: str
    route: str
    columns: Mapping[str, str] = field(default_factory=dict)
    joins: Mapping[str, One | Many] = field(default_factory=dict)
    key: str = "id"
    """The column that names an object: what its fields with resolvers of their own need of it."""
    unselectable: frozenset[str] = frozenset()
    """Columns that the core tells with whole rows only."""

    def bind_to_schema(self, schema: GraphQLSchema) -> None:
        """Let the type know its entity, and lists under its objects be found where a join has put them."""
        type_: GraphQLObjectType = schema.type_map[self.type]  # type: ignore[assignment]
        type_.extensions = {**type_.extensions, KEY: self}
        for name, join in self.joins.items():
            if isinstance(join, Many):
                type_.fields[name].resolve = _joined

    def selected_columns(self, selection: Selection) -> list[str]:
        """The columns behind the selected fields, in a stable order, since a cursor is bound to them."""
        columns = {self._column(name, selection.type.fields[name]) for name in selection.names}
        return sorted(columns) or [self.key]

    def select(self, columns: Iterable[str]) -> Pairs:
        """The parameter that asks for columns; none where only whole rows have one of them."""
        wanted = sorted(columns)
        return [("select", ",".join(wanted))] if self.unselectable.isdisjoint(wanted) else []

    def shaped(self, rows: Iterable[Row], selection: Selection) -> list[Row]:
        """The rows with each selected field under its own name."""
        shaped = list(rows)
        renamed = [(name, column) for name, column in self.columns.items() if name in selection.names]
        for row in shaped if renamed else ():
            row.update([(name, row[column]) for name, column in renamed])
        return shaped

    def _column(self, name: str, field: GraphQLField) -> str:
        if name in self.joins:
            return self.joins[name].key
        return self.key if field.resolve else self.columns.get(name, name)


def entity_of(type_: GraphQLObjectType) -> Entity:
    """The entity of a type."""
    found: Entity = type_.extensions[KEY]
    return found


def list_pairs(arguments: Mapping[str, Any]) -> Pairs:
    """The URL parameters of a list's `where` and `orderBy`, whose names are the core's. Raises Refusal."""
    orders = arguments.get("orderBy")
    order = [("order", order_text(orders))] if orders else []
    return [*order, *filter_pairs(arguments.get("where"))]


def page_size(first: int | None, default: int, most: int) -> int:
    """How many rows are asked for. Raises Refusal."""
    size = default if first is None else first
    if not 1 <= size <= most:
        raise invalid(f"first goes from 1 to {most}")
    return size


def below(path: str, type_: str, name: str) -> str:
    """The path of what is called so below another. Raises Refusal for what is no name and would lead elsewhere."""
    if "/" in name or not name.strip("."):
        raise not_found(type_, name)
    return f"{path}/{quote(name, safe='')}"


def _joined(parent: Row, info: Any, **_arguments: Any) -> Any:
    return parent[info.path.key]
