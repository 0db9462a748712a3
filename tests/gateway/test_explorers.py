"""Playground and GraphiQL: pages of our own files, under a policy that lets in no other host and no inline script."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Live, call, gateway

FILES = {
    "playground": ("middleware.js", "index.css"),
    "graphiql": ("react.production.min.js", "react-dom.production.min.js", "graphiql.min.js", "graphiql.min.css"),
}
PAGES = {"/graphql": "playground", "/graphiql": "graphiql"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A gateway with the files in place."""
    folder = tmp_path_factory.mktemp("web")
    for name, files in FILES.items():
        (folder / name).mkdir()
        for file in files:
            (folder / name / file).write_text(f"/* {name} {file} */")
    (folder / "secret.js").write_text("secret")
    with gateway("http://127.0.0.1:1", tmp_path_factory.mktemp("gateway"), WEB_DIR=str(folder)) as live:
        yield live


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_own_files_only_and_runs_no_inline_script(served: Live, path: str) -> None:
    status, page, headers = call("GET", served.url + path, headers=BROWSER)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert "http" not in headers["content-security-policy"]
    assert re.search(r"<script(?![^>]* src=)", page) is None
    assert not re.search(r"https?://|\son\w+=", page)
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert [link for link in links if link != "data:,"] != []
    for link in links:
        if link != "data:,":
            assert link.startswith(f"/explorers/{PAGES[path]}/")
            assert call("GET", served.url + link)[0] == 200


@pytest.mark.parametrize("name", FILES)
def test_the_first_tab_holds_a_login_and_a_first_query_that_are_valid(served: Live, name: str) -> None:
    status, script, headers = call("GET", f"{served.url}/explorers/{name}/start.js")
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/javascript")
    queries = script.split("`")[1]
    assert "login(" in queries
    assert "getArticles(" in queries
    assert '{"Authorization": "Bearer' in queries
    body = {"query": queries, "operationName": "FirstArticles"}
    _, text, _ = call("POST", f"{served.url}/graphql", body)
    assert "UPSTREAM_UNAVAILABLE" in text


def test_playground_has_a_fixed_endpoint_and_does_not_poll(served: Live) -> None:
    _, script, _ = call("GET", f"{served.url}/explorers/playground/start.js")
    assert '"schema.polling.enable": false' in script
    assert 'new URL("/graphql", window.location.href)' in script


@pytest.mark.parametrize(
    "path",
    ["../secret.js", "%2e%2e/secret.js", "..%2fsecret.js", "secret.js", "other.js", "%2fetc%2fpasswd", ""],
)
def test_no_other_file_is_served(served: Live, path: str) -> None:
    status, text, _ = call("GET", f"{served.url}/explorers/playground/{path}")
    assert status in (404, 405)
    assert "secret" not in text


def test_a_page_without_its_files_says_how_to_get_them(tmp_path: Path) -> None:
    with gateway("http://127.0.0.1:1", tmp_path, WEB_DIR=str(tmp_path)) as live:
        for path in PAGES:
            status, text, _ = call("GET", live.url + path, headers=BROWSER)
            assert status == 503
            assert "python -m launcher.web_assets" in text


def test_a_client_that_asks_something_gets_no_page(served: Live) -> None:
    url = f"{served.url}/graphql?query=%7B__typename%7D"
    status, text, _ = call("GET", url, headers=BROWSER)
    assert (status, json.loads(text)["data"]) == (200, {"__typename": "Query"})
