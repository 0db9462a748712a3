"""`/metrics` of the core, and what Prometheus' own tool says of it and of `prometheus.yml`."""

import secrets
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import Caller
from tests.live import call, prepare, worker

CONFIG = Path(__file__).parents[2] / "prometheus.yml"
NAMES = ("flask_http_request_total", "flask_http_request_duration_seconds_count", "flask_http_request_exceptions_total")


def shown(client: FlaskClient) -> str:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def promtool(*arguments: str, given: str = "") -> str:
    """What promtool says; nothing where all is well."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is missing; install Debian's package prometheus")
    done = subprocess.run(["promtool", *arguments], input=given, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_calls_are_counted_by_method_route_and_status(editor: Caller) -> None:
    editor.post("/articles", {"title": "Lakes", "content": ""}).close()
    editor.get("/articles/1").close()
    editor.get("/articles/2").close()
    text = shown(editor.client)
    route = 'url_rule="/articles/<id:article_id>"'
    for status in ("200", "404"):
        for name in NAMES[:2]:
            assert f'{name}{{method="GET",status="{status}",{route}}} 1.0' in text
    assert f'{NAMES[2]}{{method="GET",status="404",{route}}} 1.0' in text
    assert f'{NAMES[2]}{{method="GET",status="200"' not in text


def test_a_call_is_counted_once_its_answer_has_left(reader: Caller) -> None:
    counted = f'{NAMES[0]}{{method="GET",status="200",url_rule="/articles"}}'
    answer = reader.get("/articles")
    assert counted not in shown(reader.client)
    answer.close()
    assert f"{counted} 1.0" in shown(reader.client)


def test_paths_that_match_no_route_share_one_label(reader: Caller) -> None:
    for number in range(3):
        reader.get(f"/nothing/{number}").close()
    text = shown(reader.client)
    assert f'{NAMES[0]}{{method="GET",status="404",url_rule="unmatched"}} 3.0' in text
    assert "/nothing" not in text


def test_the_metrics_ask_for_their_token_where_one_is_set(make_app: Callable[..., Flask]) -> None:
    client = make_app(METRICS_TOKEN="a token of some length").test_client()
    assert client.get("/metrics").status_code == 401
    right = {"Authorization": "Bearer a token of some length"}
    assert client.get("/metrics", headers=right).status_code == 200


def test_the_worker_asks_for_the_token_too(tmp_path: Path) -> None:
    token = secrets.token_hex(16)
    prepare(tmp_path)
    with worker(tmp_path, METRICS_TOKEN=token) as live:
        for wrong in (None, "Bearer wrong", "Bearer \xff", token[:-1]):
            given = {} if wrong is None else {"Authorization": wrong}
            status, text, headers = call("GET", f"{live.url}/metrics", headers=given)
            assert (status, text) == (401, "")
            assert headers["www-authenticate"].startswith("Bearer")
        status, text, _ = call("GET", f"{live.url}/metrics", headers={"Authorization": f"Bearer {token}"})
    assert status == 200
    assert "lakeport_jobs_queued 0.0" in text


def test_the_worker_shows_its_metrics_to_all_where_no_token_is_set(tmp_path: Path) -> None:
    prepare(tmp_path)
    with worker(tmp_path) as live:
        assert "lakeport_worker_looked_at_timestamp_seconds" in live.get("/metrics")[1]


def test_promtool_finds_nothing_wrong(reader: Caller) -> None:
    reader.get("/articles").close()
    assert promtool("check", "metrics", given=shown(reader.client)) == ""
    assert promtool("check", "config", str(CONFIG)) == ""


def test_answers_over_https_ask_to_stay_there(client: FlaskClient) -> None:
    answer = client.get("/health/live", base_url="https://lakeport.test")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
