"""Apollo's suite for subgraphs passes but for `ftv1`, the tracing of its hosted service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import live
from tests.npm.running import Node
from tests.servers import free_port

SUBGRAPH = "tests.gateway.subgraph_compatibility.products:create"
ASSERTIONS = {
    "introspection",
    "@key single",
    "@key multiple",
    "@key composite",
    "repeatable @key",
    "@requires",
    "@provides",
    "ftv1",
    "@link",
    "@shareable",
    "@tag",
    "@override",
    "@inaccessible",
    "@composeDirective",
    "@interfaceObject",
}


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the suite's subgraph; there is no core behind it."""
    folder, environ = tmp_path_factory.mktemp("products"), live._environment(CORE_URL="http://127.0.0.1:9")
    with live._served(("--interface", "asgi", SUBGRAPH), "/health/live", Path(folder), 1, environ) as served:
        yield f"{served.url}/graphql"


def test_the_suite_passes_but_for_tracing(products: str, node: Node) -> None:
    results = node.run(
        "compatibility.mjs", {"url": products, "ports": {"users": free_port(), "inventory": free_port()}}
    )
    assert {each["name"] for each in results} == ASSERTIONS
    failures = {each["name"]: each["failure"] for each in results if each["failure"]}
    assert failures.keys() == {"ftv1"}, failures
