"""Articles and logins through GraphQL, on a real core."""

import secrets
from typing import Any

import pytest

from tests.gateway.conftest import GraphQL
from tests.live import LiveCore

CREATE = "mutation ($title: String!, $content: String!) { createArticle(title: $title, content: $content) %s }"
UPDATE = "mutation ($id: Int!, $title: String) { updateArticle(id: $id, title: $title) %s }"
DELETE = "mutation ($id: Int!) { deleteArticle(id: $id) { success errors code } }"
GET = "query ($id: Int!) { getArticle(id: $id) %s }"
LIST = """
query ($limit: Int, $cursor: String, $where: ArticleWhere, $orderBy: [ArticleOrder!]) {
  getArticles(limit: $limit, cursor: $cursor, where: $where, orderBy: $orderBy) {
    success errors code articles { id title } next
  }
}
"""
ONE = "{ success errors code article { id title content version author { id username } authorId origin createdAt } }"


def titled(client: GraphQL, *titles: str) -> list[int]:
    """The ids of new articles with these titles."""
    made = [client.result(CREATE % ONE, title=title, content="c") for title in titles]
    return [each["article"]["id"] for each in made]


def found(client: GraphQL, where: dict[str, Any], **more: Any) -> list[str]:
    """The titles of the articles that a `where` admits."""
    page = client.result(LIST, where=where, **more)
    assert page["success"], page
    return [each["title"] for each in page["articles"]]


def test_an_article_is_created_read_changed_and_deleted(editor: GraphQL) -> None:
    made = editor.result(CREATE % ONE, title="Lakes", content="Clear water")
    assert (made["success"], made["errors"], made["code"]) == (True, [], None)
    article = made["article"]
    assert (article["title"], article["content"], article["version"]) == ("Lakes", "Clear water", 1)
    assert article["createdAt"].endswith("Z")
    assert article["authorId"] == article["author"]["id"]
    assert editor.result(GET % ONE, id=article["id"])["article"] == article
    changed = editor.result(UPDATE % ONE, id=article["id"], title="Rivers")["article"]
    assert (changed["title"], changed["content"], changed["version"]) == ("Rivers", "Clear water", 2)
    assert editor.result(DELETE, id=article["id"]) == {"success": True, "errors": [], "code": None}
    gone = editor.result(GET % ONE, id=article["id"])
    assert (gone["success"], gone["code"], gone["article"]) == (False, "NOT_FOUND", None)
    assert editor.result(DELETE, id=article["id"])["code"] == "NOT_FOUND"


def test_pages_follow_one_another_by_cursor(editor: GraphQL) -> None:
    mark = secrets.token_hex(4)
    titled(editor, *(f"{mark} {number}" for number in range(5)))
    query = {"where": {"title": {"like": f"{mark}*"}}, "orderBy": {"title": "DESC"}, "limit": 2}
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = editor.result(LIST, cursor=cursor, **query)
        seen += [each["title"] for each in page["articles"]]
        cursor = page["next"]
    assert seen == [f"{mark} {number}" for number in (4, 3, 2, 1, 0)]
    assert cursor is None


def test_a_page_is_ordered_by_several_columns(editor: GraphQL) -> None:
    mark = secrets.token_hex(4)
    first, second, third = titled(editor, f"{mark} a", f"{mark} b", f"{mark} a")
    where = {"title": {"like": f"{mark}*"}}
    page = editor.result(LIST, where=where, orderBy=[{"title": "ASC"}, {"id": "DESC"}])
    assert [each["id"] for each in page["articles"]] == [third, first, second]


def test_one_order_names_one_column(editor: GraphQL) -> None:
    assert editor.error(LIST, orderBy=[{"title": "ASC", "id": "ASC"}])["extensions"]["code"] == "INVALID"


def test_where_filters_as_the_json_form_does(editor: GraphQL) -> None:
    mark = secrets.token_hex(4)
    ids = titled(editor, f"{mark} a", f"{mark} b", f"{mark} c")
    a, b, c = (f"{mark} {letter}" for letter in "abc")
    here = {"title": {"like": f"{mark}*"}}
    by_id = {"orderBy": {"id": "ASC"}}
    assert found(editor, {**here, "id": {"gt": ids[0], "lte": ids[1]}}, **by_id) == [b]
    assert found(editor, {"title": {"in": [a, c]}}, **by_id) == [a, c]
    assert found(editor, {**here, "or": [{"id": {"eq": ids[0]}}, {"title": {"eq": c}}]}, **by_id) == [a, c]
    assert found(editor, {**here, "not": {"or": [{"title": {"eq": a}}, {"title": {"eq": b}}]}}, **by_id) == [c]
    assert found(editor, {**here, "title": {"not": {"in": [a]}, "ilike": f"{mark.upper()}*"}}, **by_id) == [b, c]
    assert found(editor, {**here, "and": [{"origin": {"is": None}}, {"id": {"neq": ids[1]}}]}, **by_id) == [a, c]
    assert found(editor, {**here, "createdAt": {"gt": "2100-01-01"}}) == []
    assert found(editor, {**here, "externalVersion": {"not": {"is": None}}}) == []


HOSTILE = [
    'a"',
    "a\\",
    'a\\"',
    '"',
    'x",id.gt."0',
    '"),or=(id.gt.0',
    "a,b",
    "(a)",
    "is.null",
    "eq.a",
    "null",
    "a&id=gt.0",
    "a%00b%22",
    "a#b;c=d",
    "' or 1=1 --",
    "ünï—🌊",
    "a\nb\tc",
    " a ",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_any_text_in_where_is_a_value_and_never_grammar(editor: GraphQL, value: str) -> None:
    mark = secrets.token_hex(4)
    titled(editor, f"{mark}{value}", f"{mark} other")
    here = {"title": {"like": f"{mark}*"}}
    assert found(editor, {"title": {"eq": f"{mark}{value}"}}) == [f"{mark}{value}"]
    assert found(editor, {"title": {"in": [f"{mark}{value}", "nothing"]}}) == [f"{mark}{value}"]
    assert found(editor, {**here, "or": [{"title": {"eq": f"{mark}{value}"}}, {"id": {"eq": 0}}]}) == [f"{mark}{value}"]
    assert found(editor, {**here, "title": {"like": f"{mark}*", "not": {"eq": f"{mark}{value}"}}}) == [f"{mark} other"]


@pytest.mark.parametrize(
    "where",
    [
        {"title": None},
        {"title": {}},
        {"title": {"eq": None}},
        {"title": {"not": {}}},
        {"or": []},
        {"or": [{}]},
        {"not": {}},
        {"id": {"in": []}},
        {"title": {"is": True}},
        {"title": {"eq": "a\x00"}},
        {"title": {"eq": "x" * 10_001}},
        {"content": {"in": ["x" * 1_000] * 100}},
        {"or": [{"id": {"eq": 1}}] * 200},
    ],
)
def test_a_where_that_says_nothing_clear_is_invalid(reader: GraphQL, where: dict[str, Any]) -> None:
    page = reader.result(LIST, where=where)
    assert (page["success"], page["code"], page["articles"]) == (False, "INVALID", None)
    assert page["errors"]


def test_a_list_of_articles_costs_one_call_and_their_authors_one_more(live_core: LiveCore, editor: GraphQL) -> None:
    other = GraphQL(editor.url, {"Authorization": f"Bearer {live_core.add_user('editor')}"})
    mark = secrets.token_hex(4)
    for client in (editor, other):
        titled(client, f"{mark} 1", f"{mark} 2")
    before = editor.samples("graphql_upstream_requests_total")
    query = "query ($where: ArticleWhere) { getArticles(where: $where) { articles { author { id username } } } }"
    page = editor.result(query, where={"title": {"like": f"{mark}*"}})
    assert len({each["author"]["username"] for each in page["articles"]}) == 2
    assert calls_since(before, editor) == {"/articles": 1, "/users": 1}


def test_ids_of_authors_cost_no_call_more(editor: GraphQL) -> None:
    titled(editor, "a")
    before = editor.samples("graphql_upstream_requests_total")
    page = editor.result("{ getArticles(limit: 3) { articles { author { id } authorId } } }")
    assert all(each["author"]["id"] == each["authorId"] for each in page["articles"])
    assert calls_since(before, editor) == {"/articles": 1}


def calls_since(before: dict[str, float], client: GraphQL) -> dict[str, int]:
    """The upstream calls by route since a look at the counter."""
    after = client.samples("graphql_upstream_requests_total")
    made = {labels: int(after[labels] - before.get(labels, 0)) for labels in after}
    return {labels.split('route="')[1].split('"')[0]: count for labels, count in made.items() if count}


def test_synced_articles_have_a_long_version_and_no_author(live_core: LiveCore, editor: GraphQL) -> None:
    mark = secrets.token_hex(4)
    operation = {
        "op": "upsert",
        "origin": mark,
        "external_id": "1",
        "external_version": 2**62,
        "title": "t",
        "content": "",
    }
    token = editor.headers["Authorization"].removeprefix("Bearer ")
    live_core.call("POST", "/articles/batch", {"operations": [operation]}, token)
    query = """query ($origin: String!, $version: Long) {
      getArticles(where: {origin: {eq: $origin}, externalVersion: {eq: $version}}) {
        articles { externalVersion externalId author { username } authorId }
      }
    }"""
    (article,) = editor.result(query, origin=mark, version=2**62)["articles"]
    assert article == {"externalVersion": 2**62, "externalId": "1", "author": None, "authorId": None}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({"title": "", "content": ""}, "title"), ({"title": "x" * 201, "content": ""}, "title")],
)
def test_a_bad_field_is_named(editor: GraphQL, arguments: dict[str, str], expected: str) -> None:
    made = editor.result(CREATE % ONE, **arguments)
    assert (made["success"], made["code"], made["article"]) == (False, "INVALID", None)
    assert expected in made["errors"][0]


def test_every_bad_field_is_named(editor: GraphQL) -> None:
    made = editor.result(CREATE % ONE, title="", content="x" * 100_001)
    assert [text.split(":")[0] for text in sorted(made["errors"])] == ["content", "title"]


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_a_limit_out_of_bounds_is_invalid(reader: GraphQL, limit: int) -> None:
    page = reader.result(LIST, limit=limit)
    assert (page["success"], page["code"]) == (False, "INVALID")


def test_a_foreign_cursor_is_invalid(reader: GraphQL) -> None:
    assert reader.result(LIST, cursor="nonsense")["code"] == "INVALID"


def test_a_reader_may_not_write(reader: GraphQL) -> None:
    refused = reader.result(CREATE % ONE, title="a", content="b")
    assert (refused["success"], refused["code"]) == (False, "FORBIDDEN")
    assert refused["errors"]


def test_without_a_valid_token_the_error_is_at_the_top(nobody: GraphQL) -> None:
    forged = GraphQL(nobody.url, {"Authorization": "Bearer forged"})
    for client in (nobody, forged):
        answer = client.run(GET % ONE, id=1)
        assert answer["data"] is None
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert answer["errors"][0]["path"] == ["getArticle"]


LOGIN = "mutation ($u: String!, $p: String!) { login(username: $u, password: $p) %s }"
TOKENS = "{ success errors code accessToken refreshToken expiresIn }"
REFRESH = "mutation ($token: String!) { refresh(refreshToken: $token) %s }"


def test_a_login_gives_tokens_that_work_and_refresh_once(live_core: LiveCore, nobody: GraphQL) -> None:
    first = nobody.result(LOGIN % TOKENS, u="admin", p=live_core.admin_password)
    assert (first["success"], first["expiresIn"]) == (True, 900)
    admin = GraphQL(nobody.url, {"Authorization": f"Bearer {first['accessToken']}"})
    assert admin.result(LIST)["success"]
    second = nobody.result(REFRESH % TOKENS, token=first["refreshToken"])
    assert second["success"]
    assert second["accessToken"] != first["accessToken"]
    again = nobody.result(REFRESH % TOKENS, token=first["refreshToken"])
    assert (again["success"], again["code"], again["accessToken"]) == (False, "UNAUTHENTICATED", None)


def test_a_wrong_password_is_refused_in_the_answer(nobody: GraphQL) -> None:
    refused = nobody.result(LOGIN % TOKENS, u="nobody", p="wrong")
    assert (refused["success"], refused["code"], refused["accessToken"]) == (False, "UNAUTHENTICATED", None)
    assert refused["errors"]


def test_failed_logins_are_limited_at_the_top(nobody: GraphQL) -> None:
    name = f"guess_{secrets.token_hex(4)}"
    guesses = (
        "mutation { "
        + " ".join(f'g{n}: login(username: "{name}", password: "{n}") {{ code }}' for n in range(12))
        + "}"
    )
    answer = nobody.run(guesses)
    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert error["extensions"]["retryAfterSeconds"] >= 1


def test_changes_from_elsewhere_apply_once_and_only_when_newer(editor: GraphQL) -> None:
    document = """mutation ($of: [ArticleOperation!]!) { writeArticles(operations: $of) {
        success code outcomes { index outcome } rejections { index code } } }"""
    change = {"op": "UPSERT", "origin": "graph", "externalId": "1", "externalVersion": 2, "title": "a", "content": ""}
    changes = [change, {**change, "externalVersion": 1}, {**change, "title": ""}, {"op": "DELETE", "id": 2**31 - 1}]
    told = editor.result(document, of=changes)
    assert [each["outcome"] for each in told["outcomes"]] == ["CREATED", "STALE"]
    assert [each["index"] for each in told["rejections"]] == [2, 3]
    assert editor.result(document, of=[change])["outcomes"] == [{"index": 0, "outcome": "UNCHANGED"}]
    assert editor.result(document, of=[])["code"] == "INVALID"
