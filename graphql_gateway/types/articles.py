"""Articles as a connection."""

from typing import Any

from ariadne import QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Info
from graphql_gateway.types.article import ROUTE
from graphql_gateway.types.connections import entity_connection
from graphql_gateway.types.entities import Row


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query = QueryType()
    query.set_field("articles", list_articles)
    return [query]


async def list_articles(_: object, info: Info, **arguments: Any) -> Row:
    """One page."""
    return await entity_connection(info, ROUTE, ROUTE, arguments)
