"""Articles as a connection, and many changes of them at once."""

from typing import Any

from ariadne import EnumType, InputType, MutationType, QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.answers import answering
from graphql_gateway.types.article import ANSWERED, ROUTE
from graphql_gateway.types.connections import entity_connection
from graphql_gateway.types.entities import Row

BATCH = "/articles/batch"
OPERATIONS = ("upsert", "delete")
OUTCOMES = ("created", "updated", "unchanged", "stale", "deleted")
EXTERNAL = {"externalId": "external_id", "externalVersion": "external_version"}


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query, mutation = QueryType(), MutationType()
    query.set_field("articles", list_articles)
    mutation.set_field("writeArticles", write_articles)
    operation = EnumType("ArticleOperationKind", {each.upper(): each for each in OPERATIONS})
    outcome = EnumType("ArticleChangeOutcome", {each.upper(): each for each in OUTCOMES})
    return [query, mutation, operation, outcome, InputType("ArticleOperation", out_names=EXTERNAL)]


async def list_articles(_: object, info: Info, **arguments: Any) -> Row:
    """One page."""
    return await entity_connection(info, ROUTE, ROUTE, arguments)


@answering(*ANSWERED)
async def write_articles(_: object, info: Info, operations: list[Row]) -> Row:
    """What became of each change."""
    told = await info.context.read(Call("POST", BATCH, BATCH, body={"operations": operations}))
    return {"outcomes": told["data"], "rejections": told["errors"]}
