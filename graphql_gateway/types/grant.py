"""Grants: who may do what with which data, and why."""

from typing import Any

from ariadne import EnumType, InputType, MutationType, ObjectType, QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.answers import answering
from graphql_gateway.types.connections import entity_connection
from graphql_gateway.types.entities import Entity, Row
from graphql_gateway.types.joins import shown_one
from graphql_gateway.types.selections import Selection

ANSWERED = (400, 403, 404, 409)
ROUTE, ONE, EXPLAIN = "/grants", "/grants/{grant_id}", "/grants/explain"
STORED = {"expiresAt": "expires_at", "createdBy": "created_by", "createdAt": "created_at"}
COLUMNS = {**STORED, "isSleeping": "sleeping", "isPartial": "is_partial"}
PRIVILEGES = ("read", "write", "export", "replay", "manage")


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query, mutation, view = QueryType(), MutationType(), ObjectType("SeenView")
    query.set_field("grants", list_grants)
    query.set_field("explainAccess", explain_access)
    mutation.set_field("giveGrant", give_grant)
    mutation.set_field("revokeGrant", revoke_grant)
    view.set_alias("isWhole", "is_whole")
    privilege = EnumType("Privilege", {each.upper(): each for each in PRIVILEGES})
    inputs = [InputType(name, out_names=STORED) for name in ("GrantWhere", "GrantOrder")]
    given = InputType("GrantInput", out_names={"expiresAt": "expires_at"})
    grant = Entity("Grant", ROUTE, COLUMNS, unselectable=frozenset(("sleeping", "is_partial")))
    return [query, mutation, view, privilege, grant, *inputs, given]


async def list_grants(_: object, info: Info, **arguments: Any) -> Row:
    """One page."""
    return await entity_connection(info, ROUTE, ROUTE, arguments)


async def explain_access(_: object, info: Info, **question: Any) -> Row:
    """Whether, why, and what would be seen."""
    return await info.context.read(Call("POST", EXPLAIN, EXPLAIN, body=question))


@answering(*ANSWERED)
async def give_grant(_: object, info: Info, grant: Row) -> Row:
    """The new grant."""
    given = await info.context.read(Call("POST", ROUTE, ROUTE, body=grant))
    return {"grant": await shown_one(info.context, given, Selection.of(info, "grant"))}


@answering(*ANSWERED)
async def revoke_grant(_: object, info: Info, id: int) -> Row:  # noqa: A002
    """Nothing but that it succeeded."""
    await info.context.send(Call("DELETE", ONE, f"{ROUTE}/{id}"))
    return {}
