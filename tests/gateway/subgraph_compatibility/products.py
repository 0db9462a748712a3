"""The suite's subgraph of products, served by the whole of our gateway with that schema in its own's place."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ariadne import ObjectType, QueryType
from graphql import GraphQLSchema
from starlette.types import ASGIApp

from graphql_gateway import schemas
from graphql_gateway.app import create_app_from_environment
from graphql_gateway.errors import Problem, Refusal
from graphql_gateway.rest_client import Core
from graphql_gateway.types.federation import Found, References, Representation, make_subgraph
from graphql_gateway.types.selections import Selection
from tests.npm.install import FOLDER

SUITE = FOLDER / "node_modules" / "@apollo" / "federation-subgraph-compatibility-tests"
DIRECTIVES = """
directive @composeDirective(name: String!) repeatable on SCHEMA
directive @extends on OBJECT
directive @external on OBJECT | FIELD_DEFINITION
directive @requires(fields: FieldSet!) on FIELD_DEFINITION
directive @provides(fields: FieldSet!) on FIELD_DEFINITION
directive @override(from: String!) on FIELD_DEFINITION
directive @inaccessible on FIELD_DEFINITION | OBJECT
directive @tag(name: String!) repeatable on FIELD_DEFINITION | OBJECT
directive @interfaceObject on OBJECT
"""
USER = {
    "email": "support@apollographql.com",
    "name": "Jane Smith",
    "totalProductsCreated": 1337,
    "yearsOfEmployment": 10,
}
RESEARCH = [
    {"study": {"caseNumber": "1234", "description": "Federation Study"}, "outcome": None},
    {"study": {"caseNumber": "1235", "description": "Studio Study"}, "outcome": None},
]
COMMON = {"dimensions": {"size": "small", "weight": 1, "unit": "kg"}, "createdBy": USER, "notes": None}
PRODUCTS = [
    {
        "id": "apollo-federation",
        "sku": "federation",
        "package": "@apollo/federation",
        "variation": {"id": "OSS"},
        "research": RESEARCH[:1],
        **COMMON,
    },
    {
        "id": "apollo-studio",
        "sku": "studio",
        "package": "",
        "variation": {"id": "platform"},
        "research": RESEARCH[1:],
        **COMMON,
    },
]
DEPRECATED = {
    "sku": "apollo-federation-v1",
    "package": "@apollo/federation-v1",
    "reason": "Migrate to Federation V2",
    "createdBy": USER,
}
INVENTORY = {"id": "apollo-oss", "deprecatedProducts": [DEPRECATED]}
OBJECTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "Product": PRODUCTS,
    "DeprecatedProduct": [DEPRECATED],
    "ProductResearch": RESEARCH,
    "User": [USER],
    "Inventory": [INVENTORY],
}


def create() -> ASGIApp:
    """The gateway."""
    sdl = (SUITE / "products.graphql").read_text()
    sdl = sdl.replace("extend type User", "type User @extends").replace("extend type Query", "type Query")
    vars(schemas).update(make_schema=lambda _: _schema(sdl), definitions=lambda _: sdl)
    return create_app_from_environment()


def _schema(sdl: str) -> GraphQLSchema:
    query, user = QueryType(), ObjectType("User")
    query.set_field("product", lambda *_, **key: _found("Product", key))
    query.set_field("deprecatedProduct", lambda *_, **key: _found("DeprecatedProduct", key))
    user.set_field(
        "averageProductsCreatedPerYear",
        lambda found, _: round(found["totalProductsCreated"] / found["yearsOfEmployment"]),
    )
    references = [References(name, _resolver(name)) for name in OBJECTS]
    return make_subgraph(sdl, [query, user, *references], DIRECTIVES)


def _resolver(name: str) -> Callable[..., Any]:
    async def resolve(_core: Core, keys: Sequence[Representation], _selection: Selection) -> list[Found]:
        return [_with_given(name, key) for key in keys]

    return resolve


def _with_given(name: str, representation: Representation) -> Found:
    """The object, with what the gateway was asked to give along by `@requires`."""
    found = _found(name, {"email": representation["email"]} if name == "User" else representation)
    detail = f"{name} is not there"
    given = {field: value for field, value in representation.items() if not isinstance(value, dict)}
    return {**found, **given} if found else Refusal(Problem(404, "NOT_FOUND", detail, (detail,)))


def _found(name: str, key: Mapping[str, Any]) -> Any:
    return next((each for each in OBJECTS[name] if _agrees(each, key)), None)


def _agrees(found: Any, key: Any) -> bool:
    if isinstance(key, dict):
        return all(_agrees(found[name], value) for name, value in key.items() if name != "__typename")
    return bool(found == key)
