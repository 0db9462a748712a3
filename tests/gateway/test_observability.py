"""The gateway's metrics, and what its log keeps to itself."""

import json
import re
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.gateway.conftest import GraphQL
from tests.live import LiveCore, call, gateway


def test_operations_are_counted_and_timed_by_name(nobody: GraphQL) -> None:
    name = f"Named{secrets.token_hex(3)}"
    for _ in range(3):
        nobody.run(f"query {name} {{ __typename }}")
    assert nobody.samples("graphql_requests_total")[f'operation="{name}",outcome="ok"'] == 3
    assert nobody.samples("graphql_request_duration_seconds_count")[f'operation="{name}"'] == 3


def test_the_calls_of_a_request_are_counted_by_operation(editor: GraphQL) -> None:
    name = f"Calling{secrets.token_hex(3)}"
    editor.run(f"query {name} {{ a: getArticles {{ success }} b: getArticles(limit: 2) {{ success }} }}")
    calls = editor.samples("graphql_upstream_calls_per_request_bucket")
    assert calls[f'le="1.0",operation="{name}"'] == 0
    assert calls[f'le="2.0",operation="{name}"'] == 1


def test_a_client_who_debugs_is_told_of_the_calls_and_of_nothing_behind(editor: GraphQL, live_core: LiveCore) -> None:
    query = "{ a: getArticle(id: 4711) { success } b: getArticles(limit: 2) { success } }"
    _, text, _ = editor.post({"query": query}, **{"X-Debug": "1"})
    told = json.loads(text)["extensions"]["upstream"]
    assert (told["calls"], told["shared"], told["retries"]) == (2, 0, 0)
    assert told["routes"] == {"GET /articles": 1, "GET /articles/{article_id}": 1}
    assert 0 < told["milliseconds"] < 10_000
    assert not [inner for inner in ("4711", "127.0.0.1", live_core.url) if inner in str(told)]
    for headers in ({}, {"X-Debug": "true"}):
        _, text, _ = editor.post({"query": query}, **headers)
        assert "upstream" not in json.loads(text).get("extensions", {})


def test_an_answer_says_what_took_its_time(editor: GraphQL) -> None:
    _, _, headers = editor.post({"query": "{ getArticles { success } }"})
    taken = {name: float(ms) for name, ms in re.findall(r"(\w+);dur=([0-9.]+)", headers["server-timing"])}
    assert list(taken) == ["total", "prepare", "execute", "upstream"]
    assert taken["total"] >= taken["execute"] >= taken["upstream"] > 0
    _, _, headers = editor.post({"query": "{"})
    assert headers["server-timing"].startswith("total;dur=")


def test_names_that_clients_make_up_share_one_label(tmp_path: Path) -> None:
    with gateway("http://127.0.0.1:1", tmp_path) as live:
        client = GraphQL(live.url)
        for number in range(110):
            client.run(f"query Q{number} {{ __typename }}")
        client.run(f"query {'L' * 101} {{ __typename }}")
        client.run("{ nothing }")
        counted = client.samples("graphql_requests_total")
        assert len(counted) <= 102
        assert counted['operation="other",outcome="ok"'] >= 11
        for metric in ("graphql_request_duration_seconds_count", "graphql_upstream_calls_per_request_count"):
            assert len(client.samples(metric)) <= 102
        assert counted['operation="other",outcome="refused"'] == 1


def test_the_metrics_of_several_processes_are_one(live_core: LiveCore, tmp_path: Path) -> None:
    with gateway(live_core.url, tmp_path, workers=2) as live:
        client = GraphQL(live.url)
        for _ in range(20):
            client.run("query Many { __typename }")
        assert client.samples("graphql_requests_total") == {'operation="Many",outcome="ok"': 20}


def test_the_metrics_ask_for_their_token_when_one_is_set(tmp_path: Path) -> None:
    token = secrets.token_hex(16)
    with gateway("http://127.0.0.1:1", tmp_path, METRICS_TOKEN=token) as live:
        status, _, headers = call("GET", f"{live.url}/metrics")
        assert status == 401
        assert headers["www-authenticate"].startswith("Bearer")
        assert call("GET", f"{live.url}/metrics", headers={"Authorization": "Bearer wrong"})[0] == 401
        assert call("GET", f"{live.url}/metrics", headers={"Authorization": f"Bearer {token}"})[0] == 200


def test_promtool_finds_nothing_wrong_with_the_metrics(editor: GraphQL) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed; on Debian: apt-get install prometheus")
    editor.result("{ getArticles { success } }")
    _, text, _ = call("GET", f"{editor.url}/metrics")
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_no_secret_gets_into_the_log(live_core: LiveCore, tmp_path: Path) -> None:
    password, token = secrets.token_hex(16), secrets.token_hex(16)
    with gateway(live_core.url, tmp_path) as live:
        client = GraphQL(live.url, {"Authorization": f"Bearer {token}"})
        client.run(f'mutation {{ login(username: "secretive", password: "{password}") {{ success }} }}')
        client.run(f'mutation {{ login(username: "secretive", password: "{password}" ')
        client.run("query ($p: String!) { getArticle(id: $p) { success } }", p=password)
        log = live.log.read_text()
    assert "request_id=" in log
    assert password not in log
    assert token not in log
    assert "Traceback" not in log
