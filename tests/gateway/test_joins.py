"""What is selected under rows comes by one call for each entity and hundred keys."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.conftest import GraphQL
from tests.live import LiveCore, core, gateway

AUTHORS, BUSY, PROLIFIC, ABSENT = 150, 12, 200, 99_999
NOW = "2026-11-01 00:00:00.000000"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphQL]:
    """A client of a gateway before 150 editors of one article, 200 more of the first, and 12 readers of a hundred."""
    with (
        core(tmp_path_factory.mktemp("library"), ACCESS_TOKEN_SECONDS="3600") as live_core,
        gateway(live_core.url, tmp_path_factory.mktemp("gateway"), GRAPHQL_COST="1000000") as live,
    ):
        busy = [AUTHORS + number for number in range(BUSY) for _ in range(100)]
        numbers = [*range(AUTHORS), *[0] * PROLIFIC, *busy]
        articles = [(f"article {place}", author) for place, author in enumerate(numbers)]
        _write(live_core, [*articles, ("orphan", ABSENT)])
        token = live_core.log_in("admin", live_core.admin_password)
        yield GraphQL(live.url, {"Authorization": f"Bearer {token}", "X-Debug": "1"})


def _write(live_core: LiveCore, articles: list[tuple[str, int]]) -> None:
    """Authors with the numbers from 0, and articles of a title by the author of a number."""
    roles = ["editor"] * AUTHORS + ["reader"] * BUSY
    with sqlite3.connect(live_core.data_dir / "lakeport.db") as database:
        people = [(f"author_{number}", "-", role, NOW) for number, role in enumerate(roles)]
        database.executemany(
            "insert into users (username, password_hash, role, created_at) values (?, ?, ?, ?)", people
        )
        ids = dict(database.execute("select username, id from users"))
        rows = [(title, "", ids.get(f"author_{author}", author), 1, NOW, NOW) for title, author in articles]
        columns = "title, content, author_id, version, created_at, updated_at"
        database.executemany(f"insert into articles ({columns}) values (?, ?, ?, ?, ?, ?)", rows)


def _run(client: GraphQL, document: str, **variables: Any) -> tuple[Any, int]:
    answer = client.run(document, **variables)
    assert "errors" not in answer, answer["errors"]
    return answer["data"], answer["extensions"]["upstream"]["calls"]


def test_articles_authors_and_their_articles_take_three_calls(library: GraphQL) -> None:
    data, calls = _run(library, "{ articles(first: 100) { nodes { id author { username articles { id title } } } } }")
    assert calls == 3
    nodes = data["articles"]["nodes"]
    assert len(nodes) == 100
    assert all(node["author"]["articles"][0]["id"] == node["id"] for node in nodes)


def test_two_hundred_articles_of_one_author_are_cut_to_what_is_asked_for(library: GraphQL) -> None:
    document = """{ articles(first: 2) { nodes { author {
        two: articles(first: 2, orderBy: {id: DESC}) { id }
        many: articles(first: 100) { id }
    } } } }"""
    data, calls = _run(library, document)
    first, second = (node["author"] for node in data["articles"]["nodes"])
    assert [len(first["two"]), len(first["many"]), len(second["two"]), len(second["many"])] == [2, 100, 1, 1]
    assert first["two"][0]["id"] > first["two"][1]["id"]
    assert calls == 3


def test_users_and_their_articles_take_two_calls(library: GraphQL) -> None:
    document = "{ users(first: 100) { nodes { id articles(first: 100) { id author { id } } } } }"
    data, calls = _run(library, document)
    prolific = max(data["users"]["nodes"], key=lambda user: len(user["articles"]))
    assert len(prolific["articles"]) == 100
    assert {article["author"]["id"] for article in prolific["articles"]} == {prolific["id"]}
    assert calls == 2


def test_two_hundred_authors_of_two_lists_take_two_calls_a_list(library: GraphQL) -> None:
    document = """{
      a: articles(first: 100) { nodes { author { username } } }
      b: articles(first: 100, where: {id: {gt: 100}}) { nodes { author { username } } }
    }"""
    _, calls = _run(library, document)
    assert calls == 4


@pytest.mark.parametrize("shown", [True, False])
def test_what_is_skipped_is_not_fetched(library: GraphQL, shown: bool) -> None:
    document = """query ($shown: Boolean!) { articles(first: 3) { edges { node { ...on Article { ...Author } } } } }
      fragment Author on Article {
        who: author @include(if: $shown) { name: username }
        author @skip(if: true) { id }
      }"""
    data, calls = _run(library, document, shown=shown)
    assert calls == (2 if shown else 1)
    assert [list(edge["node"]) for edge in data["articles"]["edges"]] == [["who"] if shown else []] * 3


def test_an_author_of_whom_only_the_id_is_asked_for_takes_no_call(library: GraphQL) -> None:
    _, calls = _run(library, "{ articles(first: 5) { nodes { author { id __typename } } } }")
    assert calls == 1


def test_one_key_that_is_not_there_is_one_null_and_one_error(library: GraphQL) -> None:
    document = '{ articles(where: {title: {in: ["orphan", "article 1"]}}) { nodes { title author { username } } } }'
    answer = library.run(document)
    authors = {node["title"]: node["author"] for node in answer["data"]["articles"]["nodes"]}
    assert authors == {"article 1": {"username": "author_1"}, "orphan": None}
    (error,) = answer["errors"]
    place = [node["title"] for node in answer["data"]["articles"]["nodes"]].index("orphan")
    assert (error["path"], error["extensions"]["code"]) == (["articles", "nodes", place, "author"], "NOT_FOUND")


def test_rows_beyond_what_one_answer_holds_are_asked_for_in_halves(library: GraphQL) -> None:
    """Twelve users of a hundred articles: 1,200 rows, of which one answer holds 1,000."""
    data, calls = _run(library, '{ users(where: {role: {eq: "reader"}}) { nodes { articles(first: 100) { id } } } }')
    assert [len(user["articles"]) for user in data["users"]["nodes"]] == [100] * BUSY
    assert calls == 4


def test_a_subordinate_list_refuses_what_the_core_would(library: GraphQL) -> None:
    for first in (0, 101):
        document = f"{{ articles(first: 1) {{ nodes {{ author {{ articles(first: {first}) {{ id }} }} }} }} }}"
        error = library.error(document)
        assert (error["extensions"]["code"], error["message"]) == ("INVALID", "first goes from 1 to 100")
