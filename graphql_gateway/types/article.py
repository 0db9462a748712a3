"""Articles."""

from collections.abc import Sequence
from typing import Any

from ariadne import EnumType, InputType, MutationType, ObjectType, QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Core, Info
from graphql_gateway.types.answers import answering
from graphql_gateway.types.filters import filter_pairs, order_text
from graphql_gateway.types.selections import selected

ANSWERED = (400, 403, 404, 409, 412)
ROUTE, ONE = "/articles", "/articles/{id}"
COLUMNS = {
    "authorId": "author_id",
    "externalId": "external_id",
    "externalVersion": "external_version",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
}
Row = dict[str, Any]


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query, mutation, article = QueryType(), MutationType(), ObjectType("Article")
    query.set_field("getArticles", get_articles)
    query.set_field("getArticle", get_article)
    mutation.set_field("createArticle", create_article)
    mutation.set_field("updateArticle", update_article)
    mutation.set_field("deleteArticle", delete_article)
    for name, column in COLUMNS.items():
        article.set_alias(name, column)
    direction = EnumType("Direction", {"ASC": "asc", "DESC": "desc"})
    where, order = InputType("ArticleWhere", out_names=COLUMNS), InputType("ArticleOrder", out_names=COLUMNS)
    return [query, mutation, article, direction, where, order]


@answering(*ANSWERED)
async def get_articles(
    _: object,
    info: Info,
    limit: int | None = None,
    cursor: str | None = None,
    where: dict[str, Any] | None = None,
    orderBy: list[dict[str, str]] | None = None,  # noqa: N803
) -> Row:
    """One page, of the columns that are asked for."""
    asked = selected(info, "articles")
    given = {"limit": limit, "cursor": cursor, "order": order_text(orderBy) if orderBy else None}
    query = [(name, str(value)) for name, value in given.items() if value is not None]
    query += [("select", ",".join(_columns(asked))), *filter_pairs(where)]
    page = await info.context.read(Call("GET", ROUTE, ROUTE, query))
    await _add_authors(info.context, page["data"], selected(info, "articles", "author"))
    return {"articles": page["data"], "next": page["next"]}


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
    await _add_authors(info.context, [article], selected(info, "article", "author"))
    return {"article": article}


async def _add_authors(core: Core, articles: Sequence[Row], asked: frozenset[str]) -> None:
    """Give the articles their authors: by one call for all of them, by none where their ids are enough."""
    if not asked:
        return
    ids = sorted({row["author_id"] for row in articles if row["author_id"] is not None})
    cards: dict[int, Row] = {each: {"id": each} for each in ids}
    if ids and "username" in asked:
        query = [("id", f"in.({','.join(map(str, ids))})"), ("select", "id,username"), ("limit", str(len(ids)))]
        page = await core.read(Call("GET", "/users", "/users", query))
        cards = {card["id"]: card for card in page["data"]}
    for row in articles:
        row["author"] = cards.get(row["author_id"])


def _columns(asked: frozenset[str]) -> list[str]:
    """The columns behind fields, in a stable order, since a cursor is bound to them."""
    columns = {COLUMNS.get(name, name) for name in asked if not name.startswith("__")}
    if "author" in columns:
        columns = columns - {"author"} | {"author_id"}
    return sorted(columns) or ["id"]
