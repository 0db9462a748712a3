"""Datasets: what there is in the lake, and what people say of it."""

from collections.abc import Callable, Mapping
from typing import Any

from ariadne import EnumType, MutationType, ObjectType, QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.errors import not_found
from graphql_gateway.rest_client import Call, Core, Info
from graphql_gateway.types.answers import answering
from graphql_gateway.types.connections import Source, connection, entity_connection
from graphql_gateway.types.entities import Entity, Many, Row, below, entity_of
from graphql_gateway.types.filters import filter_pairs
from graphql_gateway.types.joins import shown_one
from graphql_gateway.types.selections import Selection

ANSWERED = (400, 403, 404, 409, 410, 412)
ROUTE, ONE = "/data/datasets", "/data/datasets/{dataset}"
COLUMNS = {"rowCount": "rows", "sizeBytes": "bytes", "timeColumn": "time_column"}
SAID = ("description", "owner", "tags", "key", "time_column")
KINDS = ("files", "table", "sql")
TYPES = ("integer", "number", "text", "timestamp", "boolean", "json")


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query, mutation, column = QueryType(), MutationType(), ObjectType("DatasetColumn")
    query.set_field("datasets", list_datasets)
    query.set_field("dataset", read_dataset)
    mutation.set_field("describeDataset", describe_dataset)
    column.set_alias("isMasked", "mask")
    dataset = Entity("Dataset", ROUTE, COLUMNS, {"grants": Many("Grant", "name", "dataset")}, key="name")
    kind = EnumType("DatasetKind", {each.upper(): each for each in KINDS})
    type_ = EnumType("ColumnType", {each.upper(): each for each in TYPES})
    return [query, mutation, dataset, column, kind, type_]


async def list_datasets(_: object, info: Info, **arguments: Any) -> Row:
    """One page."""
    return await entity_connection(info, ROUTE, ROUTE, arguments)


async def read_dataset(_: object, info: Info, name: str) -> Row:
    """One dataset. Raises Refusal where it is not there."""
    return await dataset_named(info.context, name, Selection.of(info))


@answering(*ANSWERED)
async def describe_dataset(_: object, info: Info, name: str, **given: Any) -> Row:
    """The dataset with what is given said of it."""
    path = path_of(name)
    # The core takes what is said as a whole, and empties what is left out.
    now = await info.context.read(Call("GET", ONE, path))
    said = {member: now[member] for member in SAID} | {COLUMNS.get(each, each): given[each] for each in given}
    found = await info.context.read(Call("PUT", ONE, path, body=said))
    return {"dataset": await shown_one(info.context, found, Selection.of(info, "dataset"))}


async def dataset_named(core: Core, name: str, selection: Selection) -> Row:
    """What is selected of one dataset. Raises Refusal where it is not there."""
    columns = ",".join(entity_of(selection.type).selected_columns(selection))
    query = [*filter_pairs({"name": {"eq": name}}), ("select", columns)]
    found = (await core.read(Call("GET", ROUTE, ROUTE, query)))["data"]
    if not found:
        raise not_found("Dataset", name)
    return await shown_one(core, found[0], selection)


async def connection_below(
    info: Info, source: Source, arguments: Mapping[str, Any], shaped: Callable[[Row], Row] = lambda row: row
) -> Row:
    """A list of one dataset. Those of several datasets take turns, since the core has no call for several."""
    async with info.context.turns:
        return (await connection(info, source, arguments, shaped))[1]


def path_of(name: str) -> str:
    """The path of a dataset. Raises Refusal for what is no dataset's name and would lead elsewhere."""
    return below(ROUTE, "Dataset", name)
