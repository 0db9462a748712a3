"""Users, and what they wrote."""

from ariadne.types import SchemaBindable

from graphql_gateway.types.entities import Entity, Many


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    return [Entity("User", "/users", joins={"articles": Many("Article", "id", "author_id")})]
