"""GraphQL over HTTP: methods, media types, status codes, and bodies that are not GraphQL."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.gateway.conftest import GraphQL
from tests.live import call

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
TYPENAME = {"query": "{ __typename }"}


def get(client: GraphQL, headers: dict[str, str] | None = None, **parameters: str) -> tuple[int, Any, dict[str, str]]:
    """Status, parsed body and headers of a GET."""
    status, text, found = call("GET", f"{client.url}/graphql?{urlencode(parameters)}", headers=headers)
    return status, json.loads(text), found


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        ("*/*", JSON),
        ("application/*", JSON),
        (f"{GRAPHQL}, {JSON};q=0.9", GRAPHQL),
        (f"{GRAPHQL};q=0.5, {JSON}", JSON),
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        (f"text/html;q=0.9, {GRAPHQL.upper()}; charset=utf-8", GRAPHQL),
        (f"{JSON};q=0, */*", GRAPHQL),
    ],
)
def test_the_answer_has_the_media_type_that_is_asked_for(nobody: GraphQL, accept: str, expected: str) -> None:
    status, text, headers = nobody.post(TYPENAME, Accept=accept)
    assert (status, json.loads(text)["data"]) == (200, {"__typename": "Query"})
    assert headers["content-type"] == f"{expected}; charset=utf-8"


@pytest.mark.parametrize("accept", ["text/plain", "application/xml", f"{JSON};q=0", f"{JSON};q=x"])
def test_an_answer_in_another_media_type_is_406(nobody: GraphQL, accept: str) -> None:
    status, text, _ = nobody.post(TYPENAME, Accept=accept)
    assert status == 406
    assert json.loads(text)["errors"][0]["extensions"]["code"] == "NOT_ACCEPTABLE"


@pytest.mark.parametrize(
    "document", ["{ getArticles(", "{ nothing }", "query A { __typename } query B { __typename }", "{ __typename }}"]
)
def test_a_document_that_cannot_run_is_200_in_json_and_400_in_the_newer_type(nobody: GraphQL, document: str) -> None:
    for accept, expected in ((JSON, 200), (GRAPHQL, 400)):
        status, text, _ = nobody.post({"query": document}, Accept=accept)
        answer = json.loads(text)
        assert status == expected
        assert "data" not in answer
        assert answer["errors"][0]["extensions"]["code"] == "INVALID"
        assert answer["errors"][0]["message"]


def test_an_unknown_field_names_the_nearest_one(nobody: GraphQL) -> None:
    error = nobody.error("{ getArtikle(id: 1) { success } }")
    assert "Did you mean 'getArticle'" in error["message"]
    assert error["locations"] == [{"line": 1, "column": 3}]


def test_variables_of_a_wrong_type_are_named(nobody: GraphQL) -> None:
    for value in ("x", 2**40, None, True, 1.5):
        error = nobody.error("query ($id: Int!) { getArticle(id: $id) { success } }", id=value)
        assert error["extensions"]["code"] == "INVALID"
        assert "$id" in error["message"]


BODIES = {
    "nothing": b"",
    "not JSON": b"{",
    "a list": b"[]",
    "a batch": b'[{"query": "{ __typename }"}]',
    "a text": b'"{ __typename }"',
    "no query": b"{}",
    "an empty query": b'{"query": " "}',
    "a query that is a number": b'{"query": 1}',
    "variables that are a list": b'{"query": "{ __typename }", "variables": []}',
    "variables that are a text": b'{"query": "{ __typename }", "variables": "{}"}',
    "a name that is a number": b'{"query": "{ __typename }", "operationName": 1}',
    "extensions that are a text": b'{"query": "{ __typename }", "extensions": "x"}',
    "a key twice": b'{"query": "{ __typename }", "query": "{ x }"}',
    "a key twice within": b'{"query": "{ __typename }", "variables": {"a": {"b": 1, "b": 2}}}',
    "invalid UTF-8": b'{"query": "{ __typename } # \xff"}',
    "half a surrogate": b'{"query": "{ __typename } # \\ud800"}',
    "NaN": b'{"query": "{ __typename }", "variables": {"a": NaN}}',
    "a huge integer": b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 5_000 + b"}}",
    "an integer of 65 bits": b'{"query": "{ __typename }", "variables": {"a": 18446744073709551616}}',
    "depth 65": b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * 64 + b"]" * 64 + b"}}",
    "depth 1,000": b"[" * 1_000 + b"]" * 1_000,
    "depth 20,000": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("accept", [JSON, GRAPHQL])
def test_a_body_that_is_not_graphql_is_400(nobody: GraphQL, name: str, accept: str) -> None:
    status, text, headers = nobody.post(BODIES[name], Accept=accept)
    (error,) = json.loads(text)["errors"]
    assert (status, error["extensions"]["code"]) == (400, "INVALID")
    assert error["extensions"]["requestId"] == headers["x-request-id"]
    assert "Traceback" not in text


def test_a_body_of_more_values_than_are_worth_reading_is_413(nobody: GraphQL) -> None:
    values = ",".join(["[]"] * 30_000)
    status, text, _ = nobody.post(f'{{"query": "{{ __typename }}", "variables": {{"a": [{values}]}}}}'.encode())
    assert (status, json.loads(text)["errors"][0]["extensions"]["code"]) == (413, "TOO_LARGE")
    text_of_signs = json.dumps({"query": "{ __typename }", "variables": {"a": '["\\",[' * 100_000}})
    assert nobody.post(text_of_signs.encode())[0] == 200


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/graphql", ""],
)
def test_a_body_of_another_media_type_is_415(nobody: GraphQL, media_type: str) -> None:
    status, text, _ = nobody.post(TYPENAME, **{"Content-Type": media_type})
    assert status == 415
    assert json.loads(text)["errors"][0]["extensions"]["code"] == "UNSUPPORTED_MEDIA_TYPE"


def test_a_body_is_utf8_and_not_compressed(nobody: GraphQL) -> None:
    assert nobody.post(TYPENAME, **{"Content-Type": "application/json; charset=utf-16"})[0] == 415
    assert nobody.post(TYPENAME, **{"Content-Encoding": "gzip"})[0] == 415
    assert nobody.post(TYPENAME, **{"Content-Type": 'application/json; charset="UTF-8"'})[0] == 200


def test_queries_run_by_get(nobody: GraphQL) -> None:
    query = "query A($n: String!) { __type(name: $n) { name } } query B { __typename }"
    status, answer, _ = get(nobody, query=query, operationName="A", variables='{"n": "Article"}')
    assert (status, answer["data"]) == (200, {"__type": {"name": "Article"}})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "?query=",
        "?query={__typename}&query={__typename}",
        "?query={__typename}&variables={",
        "?query={__typename}&variables=[]",
        "?query={__typename}&extensions=1",
        "?query={__typename}&variables=%FF",
    ],
)
def test_a_bad_get_is_400(nobody: GraphQL, url: str) -> None:
    status, text, _ = call("GET", nobody.url + "/graphql" + quote(url, safe="?&=%"))
    assert (status, json.loads(text)["errors"][0]["extensions"]["code"]) == (400, "INVALID")


def test_a_get_never_changes_anything(editor: GraphQL) -> None:
    before = editor.result("{ getArticles(limit: 1, orderBy: {id: DESC}) { articles { id } } }")
    mutation = 'mutation { createArticle(title: "by get", content: "") { success } }'
    for parameters in (
        {"query": mutation},
        {"query": f"query A {{ __typename }} {mutation.replace('mutation', 'mutation B', 1)}", "operationName": "B"},
    ):
        status, answer, headers = get(editor, editor.headers, **parameters)
        assert (status, headers["allow"]) == (405, "POST")
        assert answer["errors"][0]["extensions"]["code"] == "METHOD_NOT_ALLOWED"
    assert editor.result("{ getArticles(limit: 1, orderBy: {id: DESC}) { articles { id } } }") == before


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_405(nobody: GraphQL, method: str) -> None:
    status, _, headers = call(method, f"{nobody.url}/graphql", None)
    assert (status, headers["allow"]) == (405, "GET, POST")


def test_there_are_no_subscriptions(nobody: GraphQL) -> None:
    assert nobody.error("subscription { articles { id } }")["extensions"]["code"] == "INVALID"


def test_other_paths_are_404(nobody: GraphQL) -> None:
    status, text, headers = call("GET", f"{nobody.url}/nothing")
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert json.loads(text)["code"] == "not_found"


def test_answers_carry_the_request_id_and_headers_that_protect_browsers(nobody: GraphQL) -> None:
    _, _, headers = nobody.post(TYPENAME, **{"X-Request-ID": "abc-1"})
    assert headers["x-request-id"] == "abc-1"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    _, _, headers = nobody.post(TYPENAME, **{"X-Request-ID": "a b"})
    assert headers["x-request-id"] != "a b"


def test_the_schema_has_the_names_of_the_article_operations(nobody: GraphQL) -> None:
    fields = "fields { name args { name type { ...T } } type { ...T } }"
    query = f'{{ q: __type(name: "Query") {{ {fields} }} m: __type(name: "Mutation") {{ {fields} }} }}'
    type_names = "fragment T on __Type { name kind ofType { name kind ofType { name } } }"
    answer = nobody.run(f"{query} {type_names}")["data"]
    signatures = {
        field["name"]: ({arg["name"]: written(arg["type"]) for arg in field["args"]}, written(field["type"]))
        for field in answer["q"]["fields"] + answer["m"]["fields"]
    }
    assert signatures["getArticles"] == (
        {"limit": "Int", "cursor": "String", "where": "ArticleWhere", "orderBy": "[ArticleOrder]"},
        "ArticlesResponse!",
    )
    assert signatures["getArticle"] == ({"id": "Int!"}, "ArticleResponse!")
    assert signatures["createArticle"] == ({"title": "String!", "content": "String!"}, "ArticleResponse!")
    assert signatures["updateArticle"] == (
        {"id": "Int!", "title": "String", "content": "String"},
        "ArticleResponse!",
    )
    assert signatures["deleteArticle"] == ({"id": "Int!"}, "DeleteResponse!")
    assert signatures["login"] == ({"username": "String!", "password": "String!"}, "TokenResponse!")
    assert signatures["refresh"] == ({"refreshToken": "String!"}, "TokenResponse!")


def written(found: dict[str, Any]) -> str:
    """A type as in a schema; members of lists without their !."""
    if found["kind"] == "NON_NULL":
        return f"{found['ofType']['name']}!"
    if found["kind"] == "LIST":
        return f"[{found['ofType']['name'] or found['ofType']['ofType']['name']}]"
    return str(found["name"])
