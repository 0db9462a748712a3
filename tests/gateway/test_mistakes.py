"""What a client is told of a mistake of ours that nobody foresaw."""

import httpx
import pytest
from starlette.requests import Request

from graphql_gateway.app import create_app
from graphql_gateway.endpoint import GraphQLEndpoint
from graphql_gateway.settings import Settings
from tests import loops


def test_a_mistake_of_ours_is_a_problem_document_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_: GraphQLEndpoint, _request: Request) -> None:
        raise RuntimeError("db.internal:5432 refused")

    monkeypatch.setattr(GraphQLEndpoint, "answer", fails)
    answer = loops.run(_ask())
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert (answer.json()["code"], answer.json()["request_id"]) == ("internal", "r-1")
    assert "db.internal" not in answer.text


async def _ask() -> httpx.Response:
    transport = httpx.ASGITransport(create_app(Settings.load({})))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.post("/graphql", json={"query": "{ __typename }"}, headers={"X-Request-ID": "r-1"})
