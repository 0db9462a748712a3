"""Articles."""

from typing import Any

from ariadne import InputType, MutationType, QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.answers import answering
from graphql_gateway.types.entities import Entity, One, Row, entity_of, list_pairs
from graphql_gateway.types.joins import shown, shown_one
from graphql_gateway.types.selections import Selection

ANSWERED = (400, 403, 404, 409, 412)
ROUTE, ONE = "/articles", "/articles/{article_id}"
COLUMNS = {
    "authorId": "author_id",
    "externalId": "external_id",
    "externalVersion": "external_version",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
}


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query, mutation = QueryType(), MutationType()
    query.set_field("getArticles", get_articles)
    query.set_field("getArticle", get_article)
    mutation.set_field("createArticle", create_article)
    mutation.set_field("updateArticle", update_article)
    mutation.set_field("deleteArticle", delete_article)
    article = Entity("Article", ROUTE, COLUMNS, {"author": One("User", "author_id")})
    where, order = InputType("ArticleWhere", out_names=COLUMNS), InputType("ArticleOrder", out_names=COLUMNS)
    return [query, mutation, article, Entity("User", "/users"), where, order]


@answering(*ANSWERED)
async def get_articles(
    _: object, info: Info, limit: int | None = None, cursor: str | None = None, **arguments: Any
) -> Row:
    """One page, of the columns that are asked for."""
    selection = Selection.of(info, "articles")
    columns = ",".join(entity_of(selection.type).selected_columns(selection))
    given = {"limit": limit, "cursor": cursor, "select": columns}
    query = [(name, str(value)) for name, value in given.items() if value is not None]
    page = await info.context.read(Call("GET", ROUTE, ROUTE, [*query, *list_pairs(arguments)]))
    return {"articles": await shown(info.context, page["data"], selection), "next": page["next"]}


@answering(*ANSWERED)
async def get_article(_: object, info: Info, id: int) -> Row:  # noqa: A002
    """One article."""
    return await _one(info, Call("GET", ONE, f"/articles/{id}"))


@answering(*ANSWERED)
async def create_article(_: object, info: Info, **given: str) -> Row:
    """The new article."""
    return await _one(info, Call("POST", ROUTE, ROUTE, body=given))


@answering(*ANSWERED)
async def update_article(_: object, info: Info, id: int, **given: str | None) -> Row:  # noqa: A002
    """The article with what is given changed."""
    return await _one(info, Call("PATCH", ONE, f"/articles/{id}", body=given))


@answering(*ANSWERED)
async def delete_article(_: object, info: Info, id: int) -> Row:  # noqa: A002
    """Nothing but that it succeeded."""
    await info.context.send(Call("DELETE", ONE, f"/articles/{id}"))
    return {}


async def _one(info: Info, call: Call) -> Row:
    article = await info.context.read(call)
    return {"article": await shown_one(info.context, article, Selection.of(info, "article"))}
