"""Events: what changed, in the order of commits."""

from typing import Any

from ariadne import QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.connections import DEFAULT_FIRST, MAX_FIRST
from graphql_gateway.types.entities import Row, page_size

ROUTE = "/events"


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query = QueryType()
    query.set_field("events", list_events)
    return [query]


async def list_events(
    _: object, info: Info, types: list[str] | None = None, first: int | None = None, after: str | None = None
) -> Row:
    """One page; events never end, so that a page that is not full is the last one only for now."""
    size = page_size(first, DEFAULT_FIRST, MAX_FIRST)
    given: dict[str, Any] = {"type": ",".join(types) if types else None, "after": after, "limit": size}
    query = [(name, str(value)) for name, value in given.items() if value is not None]
    page = await info.context.read(Call("GET", ROUTE, ROUTE, query))
    events = page["data"]
    told = {
        "hasNextPage": len(events) == size,
        "hasPreviousPage": after is not None,
        "startCursor": events[0]["sequence"] if events else None,
        "endCursor": page["next"],
    }
    edges = [{"cursor": event["sequence"], "node": event} for event in events]
    return {"nodes": events, "edges": edges, "pageInfo": told}
