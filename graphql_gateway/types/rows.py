"""Rows of datasets, by typed fields."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.connections import Source, UrlSource, connection, node_selection
from graphql_gateway.types.entities import Pairs, Row, list_pairs

ROUTE, QUERY = "/data/datasets/{dataset}/rows", "/data/datasets/{dataset}/query"
MOST = 10
PAGING = ("select", "order", "limit", "limit_per", "cursor", "page", "count", "version", "as_of")
RESERVED = frozenset((*PAGING, "or", "and", "not", "q", "since"))
Resolver = Callable[..., Awaitable[Row]]


@dataclass(frozen=True)
class JsonSource:
    """A list of rows asked for in JSON, which takes the columns that a URL has no place for."""

    path: str
    query: Mapping[str, Any]
    default: int = MOST
    most: int = MOST

    def call(self, limit: int, start: str | None, count: Pairs) -> Call:
        """The call for one page."""
        return Call("POST", QUERY, self.path, body={**self.query, "limit": limit, "cursor": start, **dict(count)})


def list_typed_rows(dataset: str, any_column: str) -> Resolver:
    """What resolves the typed field of a dataset; `any_column` is read where only the rows' number is asked for."""

    async def resolve(_: object, info: Info, **arguments: Any) -> Row:
        columns = sorted(node_selection(info).names) or [any_column]
        return (await connection(info, row_source(dataset, columns, arguments), arguments))[1]

    return resolve


def row_source(dataset: str, columns: list[str], arguments: Mapping[str, Any]) -> Source:
    """Where the rows of a dataset come from. Raises Refusal."""
    path, where = f"/data/datasets/{quote(dataset, safe='')}", arguments.get("where")
    given = {"version": arguments.get("version"), "as_of": arguments.get("asOf")}
    versions = {name: value for name, value in given.items() if value is not None}
    if RESERVED.isdisjoint(_columns(where or {})):
        pairs = [("select", ",".join(columns)), *list_pairs(arguments)]
        pairs += [(name, str(value)) for name, value in versions.items()]
        return UrlSource(ROUTE, f"{path}/rows", pairs, MOST, MOST)
    orders = [
        {"column": column, "direction": direction}
        for order in arguments.get("orderBy") or ()
        for column, direction in order.items()
    ]
    query = {"select": columns, "where": where, "order": orders, **versions}
    return JsonSource(f"{path}/query", query)


def _columns(where: Mapping[str, Any]) -> Iterator[str]:
    """The columns that a `where` names."""
    for name, value in where.items():
        inner = value if isinstance(value, list) else [value]
        if name in ("and", "or", "not"):
            yield from (column for each in inner if each for column in _columns(each))
        else:
            yield name
