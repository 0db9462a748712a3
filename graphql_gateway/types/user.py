"""Users: who they are, what administrators see of them, and what they wrote."""

from typing import Any

from ariadne import EnumType, InputType, MutationType, QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.answers import answering
from graphql_gateway.types.connections import entity_connection
from graphql_gateway.types.entities import Entity, Many, One, Row, below
from graphql_gateway.types.joins import shown_one
from graphql_gateway.types.selections import Selection

ANSWERED = (400, 403, 404, 409)
ROUTE, ONE = "/users", "/users/{username}"
PASSWORD, REVOKE, ME = "/users/me/password", "/auth/revoke", "/auth/me"
COLUMNS = {"createdAt": "created_at", "disabledAt": "disabled_at"}
ROLES = {"READER": "reader", "EDITOR": "editor", "ADMIN": "admin"}


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query, mutation = QueryType(), MutationType()
    query.set_field("me", read_me)
    query.set_field("users", list_users)
    mutation.set_field("createUser", create_user)
    mutation.set_field("changeUser", change_user)
    mutation.set_field("changePassword", change_password)
    mutation.set_field("logout", log_out)
    joins: dict[str, One | Many] = {"account": One("Account", "id"), "articles": Many("Article", "id", "author_id")}
    where, order = InputType("UserWhere", out_names=COLUMNS), InputType("UserOrder", out_names=COLUMNS)
    return [
        query,
        mutation,
        Entity("User", ROUTE, joins=joins),
        Entity("Account", ROUTE, COLUMNS),
        EnumType("Role", ROLES),
        where,
        order,
    ]


async def read_me(_: object, info: Info) -> Row:
    """The caller."""
    return await info.context.read(Call("GET", ME, ME))


async def list_users(_: object, info: Info, **arguments: Any) -> Row:
    """One page."""
    return await entity_connection(info, ROUTE, ROUTE, arguments)


@answering(*ANSWERED)
async def create_user(_: object, info: Info, **given: str) -> Row:
    """The new user."""
    return await _one(info, Call("POST", ROUTE, ROUTE, body=given))


@answering(*ANSWERED)
async def change_user(_: object, info: Info, username: str, **given: Any) -> Row:
    """The user with what is given changed."""
    return await _one(info, Call("PATCH", ONE, below(ROUTE, "User", username), body=given))


@answering(*ANSWERED)
async def change_password(_: object, info: Info, old: str, new: str) -> Row:
    """Nothing but that it succeeded."""
    await info.context.send(Call("PUT", PASSWORD, PASSWORD, body={"old": old, "new": new}))
    return {}


@answering(*ANSWERED)
async def log_out(_: object, info: Info) -> Row:
    """Nothing but that it succeeded."""
    await info.context.send(Call("POST", REVOKE, REVOKE))
    return {}


async def _one(info: Info, call: Call) -> Row:
    user = await info.context.read(call)
    return {"user": await shown_one(info.context, user, Selection.of(info, "user"))}
