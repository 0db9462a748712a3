"""Groups, and who is in them."""

from typing import Any

from ariadne import MutationType, QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.answers import answering
from graphql_gateway.types.connections import entity_connection
from graphql_gateway.types.entities import Entity, Row, below
from graphql_gateway.types.joins import shown_one
from graphql_gateway.types.selections import Selection

ANSWERED = (400, 403, 404, 409)
ROUTE, ONE, MEMBER = "/groups", "/groups/{name}", "/groups/{name}/members/{username}"


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query, mutation = QueryType(), MutationType()
    query.set_field("groups", list_groups)
    query.set_field("group", read_group)
    mutation.set_field("createGroup", create_group)
    mutation.set_field("deleteGroup", delete_group)
    mutation.set_field("addMember", add_member)
    mutation.set_field("removeMember", remove_member)
    group = Entity("Group", ROUTE, {"createdAt": "created_at"}, unselectable=frozenset(("members",)))
    return [query, mutation, group]


async def list_groups(_: object, info: Info, **arguments: Any) -> Row:
    """One page."""
    return await entity_connection(info, ROUTE, ROUTE, arguments)


async def read_group(_: object, info: Info, name: str) -> Row:
    """One group."""
    group = await info.context.read(Call("GET", ONE, below(ROUTE, "Group", name)))
    return await shown_one(info.context, group, Selection.of(info))


@answering(*ANSWERED)
async def create_group(_: object, info: Info, name: str) -> Row:
    """The new group."""
    group = await info.context.read(Call("POST", ROUTE, ROUTE, body={"name": name}))
    return {"group": await shown_one(info.context, group, Selection.of(info, "group"))}


@answering(*ANSWERED)
async def delete_group(_: object, info: Info, name: str) -> Row:
    """Nothing but that it succeeded."""
    await info.context.send(Call("DELETE", ONE, below(ROUTE, "Group", name)))
    return {}


@answering(*ANSWERED)
async def add_member(_: object, info: Info, group: str, username: str) -> Row:
    """Nothing but that it succeeded."""
    await info.context.send(Call("PUT", MEMBER, _member(group, username)))
    return {}


@answering(*ANSWERED)
async def remove_member(_: object, info: Info, group: str, username: str) -> Row:
    """Nothing but that it succeeded."""
    await info.context.send(Call("DELETE", MEMBER, _member(group, username)))
    return {}


def _member(group: str, username: str) -> str:
    members = f"{below(ROUTE, 'Group', group)}/members"
    return below(members, "User", username)
