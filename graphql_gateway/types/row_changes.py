"""New versions of a dataset with the rows that they brought, by the typed field of its name."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from graphql_gateway.exact_json import loads
from graphql_gateway.rest_client import Call, Info
from graphql_gateway.subscriptions.events import DATASETS, Event
from graphql_gateway.subscriptions.hub import Told
from graphql_gateway.subscriptions.subscription import Source, Subscription
from graphql_gateway.types.entities import Row
from graphql_gateway.types.rows import ROUTE as ROWS
from graphql_gateway.types.selections import Selection

DIFF = "/data/datasets/{dataset}/diff"
MOST = "10"


@dataclass(frozen=True)
class RowChange:
    """A new version, and for whom it is read."""

    event: Event
    subscription: Subscription


Follow = Callable[..., AsyncGenerator[Told | RowChange]]
Resolver = Callable[..., Awaitable[Row]]


def following(dataset: str) -> Follow:
    """The source of a dataset's field."""

    async def follow(_: object, info: Source) -> AsyncGenerator[Told | RowChange]:
        async with aclosing(info.context.follow(DATASETS)) as events:
            async for told in events:
                if not isinstance(told, Event):
                    yield told
                elif told.data["dataset"] == dataset:
                    yield RowChange(told, info.context)

    return follow


async def tell_rows(change: RowChange, info: Info) -> Row:
    """A new version, with the rows that it added where they are selected."""
    event = change.event
    told = {**event.data, "sequence": event.sequence}
    if "nodes" not in Selection.of(info).names:
        return told
    return {**told, "nodes": await _added(change, event.data["dataset"], event.data["version"])}


async def _added(change: RowChange, dataset: str, version: int) -> list[Row]:
    """The first rows that a version added, read once for all who have one policy. Raises Failure."""
    call = _call(f"/data/datasets/{quote(dataset, safe='')}", version)
    event = change.event
    page = await event.reads.read(call.target, partial(change.subscription.read_under, event.policy, call))
    if version == 0:
        return list(page["data"])
    return [each["row"] for each in page["data"] if each["change"] == "added"]


def _call(path: str, version: int) -> Call:
    if version == 0:
        return Call("GET", ROWS, f"{path}/rows", (("version", "0"), ("limit", MOST)), parse=loads)
    ends: Any = (("from", str(version - 1)), ("to", str(version)), ("limit", MOST))
    return Call("GET", DIFF, f"{path}/diff", ends, parse=loads)
