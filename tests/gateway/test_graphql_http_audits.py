"""GraphQL over HTTP: the audits of `graphql-http`, the specification's reference implementation."""

from collections import Counter
from typing import Any

import pytest

from tests.gateway.conftest import GraphQL
from tests.npm.running import Node

REQUIREMENTS = {"MUST": 13, "SHOULD": 23, "MAY": 25}


@pytest.mark.parametrize("who", ["nobody", "reader"])
def test_all_61_audits_pass_with_and_without_a_token(who: str, node: Node, request: pytest.FixtureRequest) -> None:
    client: GraphQL = request.getfixturevalue(who)
    audits = node.run("audits.mjs", {"url": f"{client.url}/graphql", "headers": client.headers})
    assert [_told(audit) for audit in audits if audit["status"] != "ok"] == []
    assert Counter(audit["name"].split()[0] for audit in audits) == REQUIREMENTS


def _told(audit: dict[str, Any]) -> str:
    return f"{audit['id']} {audit['name']}: {audit['reason']}"
