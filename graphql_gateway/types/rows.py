"""Rows of datasets: by typed fields, as JSON, and written to tables."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ariadne import EnumType, MutationType, ObjectType
from ariadne.types import SchemaBindable

from graphql_gateway.errors import invalid
from graphql_gateway.exact_json import loads
from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.answers import answering
from graphql_gateway.types.connections import Source, UrlSource, connection, node_selection
from graphql_gateway.types.dataset import ANSWERED, connection_below, path_of
from graphql_gateway.types.entities import Pairs, Row, list_pairs
from graphql_gateway.upstream.idempotency import KEY

ROUTE, QUERY = "/data/datasets/{dataset}/rows", "/data/datasets/{dataset}/query"
MOST = 10
PAGING = ("select", "order", "limit", "limit_per", "cursor", "page", "count", "version", "as_of")
RESERVED = frozenset((*PAGING, "or", "and", "not", "q", "since"))
Resolver = Callable[..., Awaitable[Row]]


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    dataset, mutation = ObjectType("Dataset"), MutationType()
    dataset.set_field("rows", list_rows)
    mutation.set_field("appendRows", append_rows)
    return [dataset, mutation, EnumType("WriteMode", {"APPEND": "append", "MERGE": "merge"})]


@dataclass(frozen=True)
class JsonSource:
    """A list of rows asked for in JSON, which takes the columns that a URL has no place for."""

    path: str
    query: Mapping[str, Any]
    default: int = MOST
    most: int = MOST

    def call(self, limit: int, start: str | None, count: Pairs) -> Call:
        """The call for one page."""
        body = {**self.query, "limit": limit, "cursor": start, **dict(count)}
        return Call("POST", QUERY, self.path, body=body, parse=loads)


async def list_rows(dataset: Row, info: Info, **arguments: Any) -> Row:
    """One page of JSON rows."""
    query = {name: arguments[name] for name in ("select", "where") if arguments.get(name) is not None}
    query |= {"order": arguments.get("orderBy") or [], **_versions(arguments)}
    return await connection_below(info, JsonSource(f"{path_of(dataset['name'])}/query", query), arguments)


@answering(*ANSWERED)
async def append_rows(
    _: object,
    info: Info,
    dataset: str,
    rows: list[Any],
    mode: str,
    idempotencyKey: str | None = None,  # noqa: N803
) -> Row:
    """What was written."""
    if idempotencyKey is not None and not KEY.fullmatch(idempotencyKey):
        raise invalid("idempotencyKey takes 1 to 255 visible ASCII characters")
    body = {"rows": rows, "mode": mode}
    return await info.context.read(Call("POST", ROUTE, f"{path_of(dataset)}/rows", body=body, key=idempotencyKey))


def list_typed_rows(dataset: str, any_column: str) -> Resolver:
    """What resolves the typed field of a dataset; `any_column` is read where only the rows' number is asked for."""

    async def resolve(_: object, info: Info, **arguments: Any) -> Row:
        columns = sorted(node_selection(info).names) or [any_column]
        return (await connection(info, row_source(dataset, columns, arguments), arguments))[1]

    return resolve


def row_source(dataset: str, columns: list[str], arguments: Mapping[str, Any]) -> Source:
    """Where the rows of a dataset come from. Raises Refusal."""
    path, where = path_of(dataset), arguments.get("where")
    versions = _versions(arguments)
    if RESERVED.isdisjoint(_columns(where or {})):
        pairs = [("select", ",".join(columns)), *list_pairs(arguments)]
        pairs += [(name, str(value)) for name, value in versions.items()]
        return UrlSource(ROUTE, f"{path}/rows", pairs, MOST, MOST, loads)
    orders = [
        {"column": column, "direction": direction}
        for order in arguments.get("orderBy") or ()
        for column, direction in order.items()
    ]
    query = {"select": columns, "where": where, "order": orders, **versions}
    return JsonSource(f"{path}/query", query)


def _versions(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    given = {"version": arguments.get("version"), "as_of": arguments.get("asOf")}
    return {name: value for name, value in given.items() if value is not None}


def _columns(where: Mapping[str, Any]) -> Iterator[str]:
    """The columns that a `where` names."""
    for name, value in where.items():
        inner = value if isinstance(value, list) else [value]
        if name in ("and", "or", "not"):
            yield from (column for each in inner if each for column in _columns(each))
        else:
            yield name
