"""A plain Ariadne with DataLoader over the core, as its documentation shows: what the product is measured against.

Served from the peers' own environment, so that it imports nothing of the product. `CORE_URL` says where the core is.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp  # type: ignore[import-not-found]
from aiodataloader import DataLoader  # type: ignore[import-not-found]
from ariadne import ObjectType, QueryType, make_executable_schema
from ariadne.asgi import GraphQL
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

SCHEMA = """
type Query { articles: [Article!]! }
type Article { id: Int! title: String! author: User }
type User { id: Int! username: String! }
"""
CONNECTIONS = 64
Row = dict[str, Any]


async def users(session: aiohttp.ClientSession, headers: dict[str, str], keys: Sequence[int]) -> list[Row | None]:
    """The users of those ids, in their order: one call for all that are asked for in a turn of the loop."""
    path = f"/users?id=in.({','.join(map(str, keys))})&select=id,username&limit={len(keys)}"
    found = {user["id"]: user for user in await read(session, path, headers)}
    return [found.get(key) for key in keys]


async def read(session: aiohttp.ClientSession, path: str, headers: dict[str, str]) -> list[Row]:
    """The rows of a list of the core. Raises aiohttp.ClientResponseError."""
    async with session.get(path, headers=headers, raise_for_status=True) as response:
        page = await response.json()
    return list(page["data"])


async def articles(_: object, info: Any) -> list[Row]:
    """The first hundred."""
    context = info.context
    return await read(context["session"], "/articles?limit=100&select=author_id,id,title", context["headers"])


async def author(article: Row, info: Any) -> Row | None:
    """The author of an article."""
    number = article["author_id"]
    return None if number is None else await info.context["users"].load(number)


def create_app() -> Starlette:
    """The ASGI application."""
    query, article = QueryType(), ObjectType("Article")
    query.set_field("articles", articles)
    article.set_field("author", author)

    async def context(request: Request, _: Any) -> Row:
        session = request.app.state.session
        headers = {"Authorization": request.headers["authorization"]}
        return {"session": session, "headers": headers, "users": DataLoader(partial(users, session, headers))}

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(os.environ["CORE_URL"], connector=connector) as app.state.session:
            yield

    schema = make_executable_schema(SCHEMA, query, article)
    return Starlette(routes=[Mount("/graphql", GraphQL(schema, context_value=context))], lifespan=lifespan)
