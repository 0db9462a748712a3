"""The graph and the core do not drift apart: each root field calls operations that there are, and none is left out."""

import json
import re
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from inspect import isawaitable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pytest
from graphql import FieldNode, GraphQLObjectType, OperationDefinitionNode, execute, parse, validate
from prometheus_client import CollectorRegistry

from graphql_gateway.observability import GatewayMetrics
from graphql_gateway.rest_client import Answer, Call, Caller, Core, RestClient
from graphql_gateway.trail import Trail
from graphql_gateway.types import NOUNS, make_schema
from tests import loops
from tests.gateway.lake import LiveLake
from tests.live import LiveCore

Operation = tuple[str, str]
FIXED = make_schema(NOUNS)
METHODS = ("get", "post", "put", "patch", "delete")
DOCUMENT = parse(Path(__file__).with_name("root_fields.graphql").read_text())
OPERATIONS = [each for each in DOCUMENT.definitions if isinstance(each, OperationDefinitionNode) and each.name]
NAMES = [each.name.value for each in OPERATIONS if each.name]
SUBSCRIPTIONS = {
    "articleChanged": [("get", "/events"), ("get", "/articles")],
    "datasetChanged": [("get", "/events")],
    "jobProgressed": [("get", "/events"), ("get", "/jobs/{job_id}")],
    "spendChanged": [("get", "/events"), ("get", "/analytics/spend")],
    "topProductsChanged": [("get", "/events"), ("get", "/analytics/top-products")],
}
# Fields of callers' own schemas, which the fixed part does not have.
OF_DATASETS = {("get", "/data/datasets/{dataset}/rows")}
CALLS_NOTHING = {"_service"}
"""What is answered from the schema that the core's catalog was made into."""
STREAMED = {"uploadFile": ("post", "/data/upload")}
"""What is called with a file only, by tests of its own."""
LEFT_OUT = {
    ("get", "/health"): "of the core's own process",
    ("get", "/health/live"): "of the core's own process",
    ("get", "/health/ready"): "of the core's own process",
    ("get", "/metrics"): "of the core's own process",
    ("get", "/data/datasets/{dataset}/export"): "a file, which GraphQL has no form for",
    ("get", "/articles/digest"): "of integrations, which speak to the core",
    ("post", "/articles/digest"): "of integrations, which speak to the core",
    ("put", "/articles/{article_id}"): "updateArticle changes what is given",
    ("get", "/grants/{grant_id}"): "grants takes an id in its where",
    ("get", "/users/{username}"): "users takes a username in its where",
}
# Every column is a parameter of these, and no description can name them all.
TAKES_COLUMNS = re.compile(r"/data/datasets/\{dataset\}/rows|/analytics/.*")


@dataclass
class Recorder(RestClient):
    """A client of the core that keeps what it was asked for."""

    recorded: list[Call] = field(default_factory=list)

    def __init__(self, core_url: str) -> None:
        super().__init__(core_url, 4, 100, 10_000_000, GatewayMetrics.on(CollectorRegistry()), 20, 1.0)
        self.recorded = []

    async def send(self, call: Call, caller: Caller, deadline: float, trail: Trail | None = None) -> Answer:
        """Call the core."""
        self.recorded.append(call)
        return await super().send(call, caller, deadline, trail)


@pytest.fixture(scope="module")
def calls(lake: LiveLake) -> dict[str, list[Call]]:
    """What each root field made the gateway call, for an administrator who logs out at the end."""
    lake.write("drift", pa.table({"id": [1], "at": ["x"]}))
    _keep_replay(lake.core)
    token = lake.core.log_in("admin", lake.core.admin_password)
    return loops.run(_recorded(lake.core.url, token))


def _keep_replay(core: LiveCore) -> None:
    """A replay of the administrator's, as one whose job is not kept any more."""
    values = ("00000000-0000-4000-8000-000000000002", 0, "drift", "", "2026-11-01 00:00:00.000000", 0)
    columns = "id, job_id, dataset, identity, created_at, total, owner_id"
    owner = "(select id from users where username = 'admin')"
    with closing(sqlite3.connect(core.data_dir / "lakeport.db")) as connection, connection:
        connection.execute(f"insert into replays ({columns}) values (?, ?, ?, ?, ?, ?, {owner})", values)


async def _recorded(core_url: str, token: str) -> dict[str, list[Call]]:
    client, found = Recorder(core_url), {}
    for name in NAMES:
        core = Core(client, Caller(f"Bearer {token}", "drift", None), time.monotonic() + 30)
        client.recorded = []
        result = execute(FIXED, DOCUMENT, context_value=core, operation_name=name)
        told = await result if isawaitable(result) else result
        assert not [each for each in told.errors or () if each.path is None], told.errors
        found[name] = client.recorded
    client.close()
    return found


@pytest.fixture(scope="module")
def description(lake: LiveLake) -> dict[str, Any]:
    """The core's OpenAPI."""
    _, text = lake.core.get("/openapi.json")
    found: dict[str, Any] = json.loads(text)
    return found


def operations(description: Mapping[str, Any]) -> dict[Operation, dict[str, Any]]:
    """The operations of an API by method and path, each with its path's parameters."""
    return {
        (method, path): {
            **item[method],
            "parameters": [*item.get("parameters", []), *item[method].get("parameters", [])],
        }
        for path, item in description["paths"].items()
        for method in METHODS
        if method in item
    }


def operation_of(call: Call) -> Operation:
    """Which operation a call is of, as it says."""
    return call.method.lower(), call.route


def test_each_root_field_is_called_here_under_its_name() -> None:
    assert validate(FIXED, DOCUMENT) == []
    for name, operation in zip(NAMES, OPERATIONS, strict=True):
        (field,) = operation.selection_set.selections
        assert isinstance(field, FieldNode)
        assert field.name.value == name
    assert sorted([*NAMES, *STREAMED]) == sorted(_fields(FIXED.query_type) + _fields(FIXED.mutation_type))
    assert sorted(SUBSCRIPTIONS) == sorted(_fields(FIXED.subscription_type))


def _fields(type_: GraphQLObjectType | None) -> list[str]:
    return [*type_.fields] if type_ else []


@pytest.mark.parametrize("name", NAMES)
def test_each_root_field_calls_operations_that_the_core_describes(
    calls: dict[str, list[Call]], description: dict[str, Any], name: str
) -> None:
    there = operations(description)
    assert bool(calls[name]) != (name in CALLS_NOTHING)
    for call in calls[name]:
        assert operation_of(call) in there
        template = re.sub(r"\{\w+\}", "([^/]+)", call.route)
        assert re.fullmatch(template, unquote(call.path)), (call.route, call.path)
        _check_parameters(call, there[operation_of(call)])
        _check_body(call, there[operation_of(call)], description)


def _check_parameters(call: Call, operation: Mapping[str, Any]) -> None:
    known = {each["name"] for each in operation["parameters"] if each.get("in") == "query"}
    given = {name.removeprefix("not.") for name, _ in call.query}
    assert TAKES_COLUMNS.fullmatch(call.route) or given <= known, (call.route, given - known)


def _check_body(call: Call, operation: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    if call.body is None:
        return
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    found = [_described(each, description) for each in schema.get("oneOf", [schema])]
    assert any(call.body.keys() <= each["properties"].keys() for each in found), call.route


def _described(schema: Mapping[str, Any], description: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    return description["components"]["schemas"][name] if name else schema


def test_each_operation_of_the_core_is_in_the_graph_or_left_out_for_a_reason(
    calls: dict[str, list[Call]], description: dict[str, Any]
) -> None:
    called = {operation_of(call) for each in calls.values() for call in each} | OF_DATASETS | {*STREAMED.values()}
    followed = {each for operations in SUBSCRIPTIONS.values() for each in operations}
    there = {*operations(description)}
    assert called | followed <= there
    assert there - called - followed == {*LEFT_OUT}
