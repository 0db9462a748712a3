"""What an operation costs is told with its answer, and one that costs too much is not run."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import OperationDefinitionNode, build_schema, parse

from graphql_gateway.costs import Costs
from tests.gateway.conftest import GraphQL
from tests.live import Live, LiveCore, gateway

SCHEMA = build_schema("""
type Query {
  one: Node
  items(limit: Int): [Node!]!
  tens(first: Int = 10): [Node!]!
  page(first: Int, last: Int): Page!
  plain: [Node!]!
  _entities(representations: [String!]!): [Node]!
}
interface Named { name: String, plain: [Node!]! }
type Node implements Named { id: ID, name: String, names: [String!]!, page(first: Int): Page!, plain: [Node!]! }
type Page { nodes: [Node!]!, edges: [Edge!]!, total: Int }
type Edge { node: Node, cursor: String }
""")


def cost(text: str, **variables: Any) -> int:
    document = parse(text)
    (operation,) = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    return Costs.of(SCHEMA, document).cost(operation, variables)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ __typename }", 1),
        ("{ one { id name names } }", 4),
        ("{ a: one { id } b: one { id } }", 4),
        ("{ items(limit: 5) { id name } }", 1 + 5 * 2),
        ("{ items { id } }", 1 + 20),
        ("{ tens { id } }", 1 + 10),
        ("{ tens(first: null) { id } }", 1 + 10),
        ("{ plain { id } }", 1 + 20),
        ("{ page(first: 3) { total nodes { id name } } }", 1 + 2 + 3 * 2),
        ("{ page(last: 3) { edges { cursor node { id } } } }", 1 + 1 + 3 * 3),
        ("{ page(first: 3) { nodes { id page(first: 4) { nodes { id } } } } }", 1 + 1 + 3 * (2 + 1 + 4)),
        ("{ page(first: 3) { nodes { plain { id } } } }", 1 + 1 + 3 * (1 + 20)),
        ("{ items(limit: 1000000) { id } }", 1 + 100),
        ("{ items(limit: -5) { id } }", 1),
        ('{ _entities(representations: ["a", "b"]) { id } }', 1 + 2),
        ("{ items(limit: 2) { ... on Named { name plain { id } } ...F } } fragment F on Node { id }", 1 + 2 * 23),
        ("{ one { id @include(if: false) } }", 2),
        ("{ __schema { types { name } } }", 1),
    ],
)
def test_a_cost_counts_the_fields_that_an_answer_can_have(text: str, expected: int) -> None:
    assert cost(text) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({"n": 7}, 1 + 7), ({}, 1 + 3), ({"n": None}, 1 + 20), ({"n": "x"}, 1 + 20), ({"n": 10**9}, 1 + 100)],
)
def test_variables_decide_it(variables: dict[str, Any], expected: int) -> None:
    assert cost("query ($n: Int = 3) { items(limit: $n) { id } }", **variables) == expected


def test_a_list_of_keys_counts_its_keys() -> None:
    text = "query ($keys: [String!]!) { _entities(representations: $keys) { id name } }"
    assert cost(text, keys=["a"] * 500) == 1 + 500 * 2


def test_lists_under_lists_multiply_through_fragments() -> None:
    text = """query ($a: Int, $b: Int) { page(first: $a) { ...P } }
    fragment P on Page { nodes { id ...N } }
    fragment N on Node { page(first: $b) { nodes { id } } }"""
    assert cost(text, a=10, b=20) == 1 + 1 + 10 * (1 + 2 + 20)


def test_fragments_of_fragments_cost_no_more_than_their_text() -> None:
    inner = " ".join(f"fragment F{n} on Node {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60))
    text = f"query ($n: Int) {{ one {{ ...F0 }} }} {inner} fragment F60 on Node {{ page(first: $n) {{ total }} }}"
    assert cost(text, n=1) == 1 + 2 * 2**60


@pytest.fixture(scope="module")
def thrifty(live_core: LiveCore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A gateway that allows a cost of 100."""
    with gateway(live_core.url, tmp_path_factory.mktemp("thrifty"), GRAPHQL_COST="100") as live:
        yield live


LIST = "query ($limit: Int) { getArticles(limit: $limit) { articles { id title } } }"


def test_each_executed_answer_tells_its_cost_and_the_limit(reader: GraphQL) -> None:
    answer = reader.run(LIST, limit=10)
    assert answer["extensions"]["cost"] == {"requested": 2 + 10 * 2, "limit": 25_000}
    assert "extensions" not in reader.run("{ nothing }")


def test_what_costs_more_than_the_limit_is_refused_and_told_both(reader: GraphQL, thrifty: Live) -> None:
    client = GraphQL(thrifty.url, reader.headers)
    assert client.run(LIST, limit=49)["extensions"]["cost"] == {"requested": 100, "limit": 100}
    before = client.samples("graphql_upstream_requests_total")
    status, text, _ = client.post({"query": LIST, "variables": {"limit": 50}})
    (error,) = json.loads(text)["errors"]
    assert (status, error["extensions"]["code"]) == (200, "TOO_LARGE")
    assert "costs 102" in error["message"]
    assert "100" in error["message"]
    assert "data" not in json.loads(text)
    assert client.samples("graphql_upstream_requests_total") == before
