"""Figures: sums and counts of the transactions that the caller may see."""

from collections.abc import Mapping
from typing import Any

from ariadne import QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.exact_json import loads
from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.connections import UrlSource, connection
from graphql_gateway.types.entities import Pairs, Row
from graphql_gateway.types.filters import filter_pairs, read_where

SPEND, SERIES, TOP = "/analytics/spend", "/analytics/spend/series", "/analytics/top-products"
BY_USER_AND_TYPE = "/analytics/spend-by-user-and-type"
FIELDS = {
    "user_id": "userId",
    "transaction_type": "transactionType",
    "product_id": "productId",
    "product_name": "productName",
}
PARAMETERS = {"window": "window", "at": "at", "version": "version", "asOf": "as_of", "step": "step", "x": "x"}
RESERVED = frozenset((*PARAMETERS.values(), "or", "and", "not", "limit", "cursor"))


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query = QueryType()
    query.set_field("spend", read_spend)
    query.set_field("spendSeries", read_spend_series)
    query.set_field("spendByUserAndType", list_spend_by_user_and_type)
    query.set_field("topProducts", read_top_products)
    return [query]


async def read_spend(_: object, info: Info, **arguments: Any) -> Row:
    """What was spent."""
    return await _figure(info, SPEND, "groups", arguments)


async def read_spend_series(_: object, info: Info, **arguments: Any) -> Row:
    """What was spent in each step."""
    return await _figure(info, SERIES, "points", arguments)


async def read_top_products(_: object, info: Info, **arguments: Any) -> Row:
    """The products bought most often."""
    return await _figure(info, TOP, "products", arguments)


async def list_spend_by_user_and_type(_: object, info: Info, **arguments: Any) -> Row:
    """One page of what users spent."""
    source = UrlSource(BY_USER_AND_TYPE, BY_USER_AND_TYPE, _pairs(arguments), parse=loads)
    return (await connection(info, source, arguments, _named))[1]


def figure_call(route: str, arguments: Mapping[str, Any]) -> Call:
    """The call that reads a figure. Raises Refusal."""
    return Call("GET", route, route, _pairs(arguments), parse=loads)


def shown_figure(told: Row, groups: str) -> Row:
    """A figure as the core tells it, its groups under the name of their field."""
    return {**told, groups: [_named(each) for each in told["data"]]}


async def _figure(info: Info, route: str, groups: str, arguments: Mapping[str, Any]) -> Row:
    return shown_figure(await info.context.read(figure_call(route, arguments)), groups)


def _named(group: Row) -> Row:
    return {FIELDS.get(name, name): value for name, value in group.items()}


def _pairs(arguments: Mapping[str, Any]) -> Pairs:
    given = [(PARAMETERS[name], arguments[name]) for name in arguments if name in PARAMETERS]
    where = arguments.get("where")
    filters = [] if where is None else filter_pairs(read_where(where, RESERVED))
    return [*((name, str(value)) for name, value in given if value is not None), *filters]
