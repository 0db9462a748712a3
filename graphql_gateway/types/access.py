"""Accesses: who read a dataset."""

from typing import Any

from ariadne import InputType, ObjectType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Info
from graphql_gateway.types.connections import UrlSource
from graphql_gateway.types.dataset import connection_below, path_of
from graphql_gateway.types.entities import Row, list_pairs

ROUTE = "/data/datasets/{dataset}/accesses"


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    dataset, access = ObjectType("Dataset"), ObjectType("Access")
    dataset.set_field("accesses", list_accesses)
    access.set_alias("requestId", "request_id")
    return [dataset, access, InputType("AccessWhere", out_names={"requestId": "request_id"})]


async def list_accesses(dataset: Row, info: Info, **arguments: Any) -> Row:
    """One page, the newest first."""
    source = UrlSource(ROUTE, f"{path_of(dataset['name'])}/accesses", list_pairs(arguments))
    return await connection_below(info, source, arguments)
