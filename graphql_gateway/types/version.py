"""Versions of tables: what there was, what changed, and back again."""

from typing import Any

from ariadne import EnumType, MutationType, ObjectType
from ariadne.types import SchemaBindable

from graphql_gateway.exact_json import loads
from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.answers import answering
from graphql_gateway.types.connections import UrlSource
from graphql_gateway.types.dataset import ANSWERED, connection_below, dataset_named, path_of
from graphql_gateway.types.entities import Row
from graphql_gateway.types.rows import MOST
from graphql_gateway.types.selections import Selection

VERSIONS, DIFF, RESTORE = (f"/data/datasets/{{dataset}}/{name}" for name in ("versions", "diff", "restore"))
CHANGES = ("added", "removed", "changed")


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    dataset, mutation = ObjectType("Dataset"), MutationType()
    dataset.set_field("versions", list_versions)
    dataset.set_field("diff", compare_versions)
    mutation.set_field("restoreDataset", restore_dataset)
    return [dataset, mutation, EnumType("RowChange", {each.upper(): each for each in CHANGES})]


async def list_versions(dataset: Row, info: Info, **arguments: Any) -> Row:
    """One page, the newest first."""
    return await connection_below(info, UrlSource(VERSIONS, f"{path_of(dataset['name'])}/versions", []), arguments)


async def compare_versions(dataset: Row, info: Info, **arguments: Any) -> Row:
    """One page of differences."""
    ends = [(name, str(arguments[name])) for name in ("from", "to")]
    path = f"{path_of(dataset['name'])}/diff"
    return await connection_below(info, UrlSource(DIFF, path, ends, MOST, MOST, loads), arguments)


@answering(*ANSWERED)
async def restore_dataset(_: object, info: Info, name: str, version: int) -> Row:
    """The dataset as it is again."""
    await info.context.read(Call("POST", RESTORE, f"{path_of(name)}/restore", body={"version": version}))
    return {"dataset": await dataset_named(info.context, name, Selection.of(info, "dataset"))}
