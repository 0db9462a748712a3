"""Bad input gets a clear 4xx, never a 5xx, and nothing of it is kept."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.conftest import Caller, log_in

ARTICLE = {"title": "a", "content": ""}
BODIES = {
    "not JSON": b"{",
    "nothing": b"",
    "invalid UTF-8": b'{"title": "\xff", "content": ""}',
    "a NUL": b'{"title": "a\\u0000", "content": ""}',
    "a lone surrogate": b'{"title": "\\ud800", "content": ""}',
    "a key twice": b'{"title": "a", "title": "b", "content": ""}',
    "depth 1,000": b"[" * 1_000 + b"]" * 1_000,
    "depth 100,000": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a huge integer": b'{"title": ' + b"9" * 5_000 + b', "content": ""}',
    "NaN": b'{"title": NaN, "content": ""}',
    "a list": b"[]",
    "a number for a text": b'{"title": 1, "content": ""}',
    "null": b'{"title": null, "content": ""}',
    "an empty title": b'{"title": "", "content": ""}',
    "a long title": json.dumps({"title": "x" * 201, "content": ""}).encode(),
    "a long content": json.dumps({"title": "x", "content": "x" * 100_001}).encode(),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_400_and_nothing_is_kept(editor: Caller, name: str) -> None:
    answer = editor.post("/articles", data=BODIES[name], content_type="application/json")
    assert answer.status_code == 400, answer.json
    assert answer.content_type == "application/problem+json"
    assert answer.json["code"] == "invalid"
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert editor.get("/articles").json["data"] == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_another_media_type_is_415(editor: Caller, content_type: str) -> None:
    answer = editor.post("/articles", data=b'{"title": "a", "content": ""}', content_type=content_type)
    assert answer.status_code == 415


def test_a_body_over_the_limit_is_413_before_it_is_parsed(editor: Caller) -> None:
    body = b"[" * (1 << 20) + b" "
    assert editor.post("/articles", data=body, content_type="application/json").status_code == 413
    environ = {"wsgi.input": _Endless(), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    headers = {"Transfer-Encoding": "chunked"}
    answer = editor.post("/articles", content_type="application/json", headers=headers, environ_overrides=environ)
    assert answer.status_code == 413


class _Endless:
    """A body that never ends."""

    def read(self, size: int = -1) -> bytes:
        return b" " * (size if size > 0 else 65_536)

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)


@pytest.mark.parametrize(
    "query",
    [
        "id=eq.x",
        "id=eq.99999999999999999999",
        "id=between.1",
        "nothing=eq.1",
        "limit=0",
        "limit=-1",
        "limit=101",
        "limit=x",
        "page=0",
        "page=1&cursor=x",
        "page=100001&limit=1",
        "cursor=x",
        "order=nothing",
        "order=id.sideways",
        "select=nothing",
        "or=(id.eq.1",
        "or=" + "(" * 500,
        "count=all",
        "created_at=gt.yesterday",
        "title=eq.%00",
        "title=is.maybe",
        "id=in.()",
        "limit=1&limit=2",
        "limit_per=nothing",
        "title=eq.%FF",
    ],
)
def test_a_bad_query_is_400(reader: Caller, query: str) -> None:
    answer = reader.get(f"/articles?{query}")
    assert answer.status_code == 400, (answer.status_code, answer.json)
    assert answer.json["code"] == "invalid"


def test_a_method_a_path_does_not_take_is_405(reader: Caller) -> None:
    answer = reader.call("PUT", "/articles")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_a_number_that_cannot_be_an_article_is_404(editor: Caller) -> None:
    calls = [(method, number) for method in ("GET", "PUT", "PATCH", "DELETE") for number in (0, 2**63, "9" * 300)]
    answers = [editor.call(method, f"/articles/{number}", json=ARTICLE) for method, number in calls]
    assert {(answer.status_code, answer.json["code"]) for answer in answers} == {(404, "not_found")}


def test_only_true_and_false_are_booleans(admin: Caller) -> None:
    for disabled in (0, 1, "true", "no", None):
        assert admin.patch("/users/rita", {"disabled": disabled}).status_code == 400
    assert admin.get("/users/rita").json["disabled_at"] is None


def test_only_whole_numbers_in_range_are_versions(editor: Caller) -> None:
    path = editor.post("/articles", ARTICLE).headers["Location"]
    for version in (True, "1", 1.5, 1e300, None, 0, 2**31):
        assert editor.patch(path, {"title": "b", "version": version}).status_code == 400
    assert editor.patch(path, {"title": "b", "version": 1.0}).status_code == 200


def test_a_cursor_of_somebody_else_or_of_another_query_is_refused(editor: Caller, reader: Caller) -> None:
    for number in range(3):
        editor.post("/articles", {"title": f"t{number}", "content": ""})
    cursor = editor.get("/articles?limit=1").json["next"]
    assert editor.get(f"/articles?limit=1&cursor={cursor}").status_code == 200
    assert reader.get(f"/articles?limit=1&cursor={cursor}").status_code == 400
    assert editor.get(f"/articles?limit=1&title=like.*&cursor={cursor}").status_code == 400
    altered = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    assert editor.get(f"/articles?limit=1&cursor={altered}").status_code == 400


def test_a_cursor_ends_when_the_rights_change(admin: Caller, editor: Caller) -> None:
    for number in range(2):
        editor.post("/articles", {"title": f"t{number}", "content": ""})
    cursor = editor.get("/articles?limit=1").json["next"]
    admin.patch("/users/ed", {"role": "reader"})
    answer = editor.get(f"/articles?limit=1&cursor={cursor}")
    assert (answer.status_code, answer.json["code"]) == (409, "policy_changed")


def test_more_calls_than_the_rate_are_429(make_app: Callable[..., Flask]) -> None:
    caller = log_in(make_app(REQUESTS_PER_MINUTE="5"), "rita")
    statuses = [caller.get("/auth/me").status_code for _ in range(7)]
    assert 429 in statuses
    refused = caller.get("/auth/me")
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json["code"] == "rate_limited"
    assert caller.client.get("/health/live").status_code == 200


def test_answers_carry_the_rate_and_security_headers(reader: Caller) -> None:
    headers = reader.get("/auth/me").headers
    assert "r=" in headers["RateLimit"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "private"
    assert headers["Vary"] == "Authorization, Accept"
    assert "Strict-Transport-Security" not in headers


def test_a_given_request_id_is_kept_when_it_is_harmless(reader: Caller) -> None:
    assert reader.get("/auth/me", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    assert reader.get("/auth/me", headers={"X-Request-ID": "a b"}).headers["X-Request-ID"] != "a b"


def test_nothing_internal_is_told_when_something_breaks(app: Flask, editor: Caller, monkeypatch: Any) -> None:
    from rest_api.services import articles

    def fail(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(articles, "find_article", fail)
    answer = editor.get("/articles/1")
    assert answer.status_code == 500
    assert answer.json["code"] == "internal"
    assert "secret" not in answer.get_data(as_text=True)
