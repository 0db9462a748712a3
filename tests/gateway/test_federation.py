"""The gateway as a subgraph of Apollo Federation 2."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import parse, print_ast

from tests.gateway.conftest import GraphQL
from tests.gateway.lake import LiveLake
from tests.live import call
from tests.npm.running import Node
from tests.servers import free_port

SDL = "{ _service { sdl } }"
ENTITIES = """query($keys: [_Any!]!) { _entities(representations: $keys) {
  __typename ... on Article { id title author { username } } ... on User { id username }
} }"""
CREATE = 'mutation { createArticle(title: "T", content: "C") { article { id authorId } } }'


@dataclass(frozen=True)
class Written:
    """An article of the editor's and its author."""

    id: int
    author_id: int

    @property
    def reference(self) -> dict[str, Any]:
        """What stands for the article between subgraphs."""
        return {"__typename": "Article", "id": self.id}


@pytest.fixture(scope="module")
def articles(editor: GraphQL) -> list[Written]:
    """Three new articles."""
    made = [editor.result(CREATE)["article"] for _ in range(3)]
    return [Written(each["id"], each["authorId"]) for each in made]


def calls(client: GraphQL, route: str) -> float:
    """How often the core's route has been called."""
    samples = client.samples("graphql_upstream_requests_total")
    return sum(value for labels, value in samples.items() if f'route="{route}"' in labels)


def test_the_schema_for_composers_declares_federation_and_keeps_its_keys(nobody: GraphQL) -> None:
    sdl = nobody.result(SDL)["sdl"]
    assert 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.6", import: ["@key", "@shareable"])' in sdl
    definitions = {print_ast(each).split(" {")[0].rsplit("\n", 1)[-1] for each in parse(sdl).definitions}
    assert {'type Article @key(fields: "id")', 'type User @key(fields: "id")'} <= definitions
    assert "_Entity" not in sdl


def test_entities_come_in_the_order_of_their_representations(editor: GraphQL, articles: list[Written]) -> None:
    first, second, third = articles
    user = {"__typename": "User", "id": first.author_id}
    keys = [third.reference, user, first.reference, third.reference, second.reference]
    found = editor.run(ENTITIES, keys=keys)
    assert "errors" not in found
    assert [each["id"] for each in found["data"]["_entities"]] == [each["id"] for each in keys]
    assert [each["__typename"] for each in found["data"]["_entities"]] == [each["__typename"] for each in keys]


def test_entities_of_a_type_are_one_call_of_the_core_for_each_hundred_keys(
    editor: GraphQL, articles: list[Written]
) -> None:
    keys = [each.reference for each in articles] + [{"__typename": "Article", "id": 10_000 + n} for n in range(98)]
    before = calls(editor, "/articles")
    found = editor.run(ENTITIES, keys=keys * 2)
    assert calls(editor, "/articles") - before == 2
    assert sum(each is not None for each in found["data"]["_entities"]) == 2 * len(articles)


def test_an_entity_that_is_not_there_is_one_null_and_one_error(editor: GraphQL, articles: list[Written]) -> None:
    query = "query($keys: [_Any!]!) { _entities(representations: $keys) { ... on Article { id } ... on User { id } } }"
    absent = [{"__typename": "Article", "id": 2_000_000_000}, {"__typename": "User", "id": 2_000_000_000}]
    found = editor.run(query, keys=[absent[0], articles[0].reference, absent[1]])
    assert found["data"]["_entities"] == [None, {"id": articles[0].id}, None]
    assert [(each["path"], each["extensions"]["code"]) for each in found["errors"]] == [
        (["_entities", 0], "NOT_FOUND"),
        (["_entities", 2], "NOT_FOUND"),
    ]


@pytest.mark.parametrize(
    ("representation", "told"),
    [
        ({"__typename": "Article"}, "The representation of Article lacks id"),
        ({"__typename": "Article", "id": None}, "The representation of Article lacks id"),
        ({"__typename": "Article", "id": "1)&limit=5"}, "id in the representation of Article takes Int"),
        ({"__typename": "Article", "id": [1]}, "id in the representation of Article takes Int"),
        ({"__typename": "Query", "id": 1}, "There is no entity Query"),
        ({"__typename": "Nothing", "id": 1}, "There is no entity Nothing"),
        ({"__typename": 7, "id": 1}, "A representation is an object with __typename and the fields of a key"),
        ({"id": 1}, "A representation is an object with __typename and the fields of a key"),
        (7, "A representation is an object with __typename and the fields of a key"),
    ],
)
def test_a_wrong_representation_is_told_what_it_lacks_and_harms_no_other(
    representation: object, told: str, editor: GraphQL, articles: list[Written]
) -> None:
    found = editor.run(ENTITIES, keys=[representation, articles[0].reference])
    assert [each and each["id"] for each in found["data"]["_entities"]] == [None, articles[0].id]
    (error,) = found["errors"]
    assert (error["message"], error["path"], error["extensions"]["code"]) == (told, ["_entities", 0], "INVALID")


def test_more_than_a_thousand_representations_are_too_many(editor: GraphQL) -> None:
    before = calls(editor, "/articles")
    error = editor.error(ENTITIES, keys=[{"__typename": "Article", "id": n} for n in range(1_001)])
    assert error["extensions"]["code"] == "TOO_LARGE"
    assert calls(editor, "/articles") == before


def test_nobody_gets_an_entity_without_a_token(nobody: GraphQL, articles: list[Written]) -> None:
    found = nobody.run(ENTITIES, keys=[articles[0].reference, articles[1].reference])
    assert found["data"]["_entities"] == [None, None]
    assert {each["extensions"]["code"] for each in found["errors"]} == {"UNAUTHENTICATED"}


@pytest.fixture(scope="module")
def owner(lake: LiveLake) -> GraphQL:
    """Who has datasets, and so fields that are made of them."""
    return lake.admin()


def test_datasets_are_entities_by_their_names_by_one_call(owner: GraphQL) -> None:
    names = ["payments", "nowhere", "sales.eu", "payments"]
    representations = [{"__typename": "Dataset", "name": name} for name in names]
    document = "query($of: [_Any!]!) { _entities(representations: $of) { ... on Dataset { name kind } } }"
    before = calls(owner, "/data/datasets")
    answer = owner.run(document, of=representations)
    assert [each and each["name"] for each in answer["data"]["_entities"]] == ["payments", None, "sales.eu", "payments"]
    assert [each["extensions"]["code"] for each in answer["errors"]] == ["NOT_FOUND"]
    assert calls(owner, "/data/datasets") == before + 1


@pytest.mark.parametrize("who", ["nobody", "editor", "owner"])
def test_the_schema_composes_with_both_composers(who: str, node: Node, request: pytest.FixtureRequest) -> None:
    client: GraphQL = request.getfixturevalue(who)
    other = (
        'extend schema @link(url: "https://specs.apollo.dev/federation/v2.6", import: ["@key", "@shareable"])'
        " type Query { search: [Article!]! } type PageInfo @shareable { hasNextPage: Boolean! }"
        ' type Article @key(fields: "id") { id: Int! stars: Int! }'
    )
    subgraphs = {"lakeport": {"url": client.url, "sdl": client.result(SDL)["sdl"]}, "other": {"url": "", "sdl": other}}
    for name, composed in node.run("compose.mjs", subgraphs).items():
        assert composed["errors"] == [], name
        assert "stars: Int!" in composed["supergraph"], name


@pytest.fixture(scope="module")
def federated(editor: GraphQL, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of Apollo's gateway before ours and a subgraph of reviews."""
    port, other = free_port(), free_port()
    ours = {"url": f"{editor.url}/graphql", "sdl": editor.result(SDL)["sdl"]}
    with node.serving("federated.mjs", [ours, port, other], tmp_path_factory.mktemp("federated")):
        yield f"http://127.0.0.1:{port}"


def ask(url: str, client: GraphQL, query: str, **variables: Any) -> dict[str, Any]:
    """The answer of the federated gateway to a client."""
    _, text, _ = call("POST", url, {"query": query, "variables": variables}, client.headers)
    answer: dict[str, Any] = json.loads(text)
    return answer


def test_apollos_gateway_has_our_entities_for_another_subgraph_in_one_call(
    federated: str, editor: GraphQL, articles: list[Written]
) -> None:
    ids = [each.id for each in articles]
    query = "query($ids: [Int!]!) { reviews(articles: $ids) { text article { id title author { username } } } }"
    call("GET", f"{federated}/sent")
    before = calls(editor, "/articles"), calls(editor, "/users")
    answer = ask(federated, editor, query, ids=ids)
    assert "errors" not in answer
    assert [each["article"]["id"] for each in answer["data"]["reviews"]] == ids
    assert {each["article"]["title"] for each in answer["data"]["reviews"]} == {"T"}
    assert (calls(editor, "/articles"), calls(editor, "/users")) == (before[0] + 1, before[1] + 1)
    (sent,) = json.loads(call("GET", f"{federated}/sent")[1])
    assert sent["variables"]["representations"] == [each.reference for each in articles]


def test_apollos_gateway_joins_another_subgraph_to_our_list(
    federated: str, editor: GraphQL, articles: list[Written]
) -> None:
    query = "query($ids: [Int!]) { getArticles(where: {id: {in: $ids}}) { articles { id reviews { text } } } }"
    answer = ask(federated, editor, query, ids=[each.id for each in articles])
    assert answer == {
        "data": {
            "getArticles": {
                "articles": [{"id": each.id, "reviews": [{"text": f"On article {each.id}"}]} for each in articles]
            }
        }
    }


def test_apollos_gateway_passes_on_who_is_asking(federated: str, nobody: GraphQL, articles: list[Written]) -> None:
    answer = ask(federated, nobody, "{ reviews(articles: [1]) { text article { title } } }")
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
