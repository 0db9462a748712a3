"""The audit: who did what, and whether the record of it is whole."""

from typing import Any

from ariadne import InputType, QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.connections import entity_connection
from graphql_gateway.types.entities import Entity, One, Row

ROUTE, VERIFY = "/audit", "/audit/verify"
FOUND_BY = {"userId": "user_id", "bodyBytes": "body_bytes", "durationMs": "duration_ms", "requestId": "request_id"}
COLUMNS = {**FOUND_BY, "bodySha256": "body_sha256"}


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query = QueryType()
    query.set_field("auditEntries", list_entries)
    query.set_field("verifyAudit", verify)
    inputs = [InputType(name, out_names=FOUND_BY) for name in ("AuditEntryWhere", "AuditEntryOrder")]
    return [query, Entity("AuditEntry", ROUTE, COLUMNS, {"user": One("User", "user_id")}), *inputs]


async def list_entries(_: object, info: Info, **arguments: Any) -> Row:
    """One page."""
    return await entity_connection(info, ROUTE, ROUTE, arguments)


async def verify(_: object, info: Info) -> Row:
    """What was found."""
    return await info.context.read(Call("GET", VERIFY, VERIFY))
