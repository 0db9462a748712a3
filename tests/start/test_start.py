"""What a newcomer sees: a first start, a first call, an end, and a second start."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.live import call
from tests.start.running import GREETING, Place, Start, started


def test_a_newcomer_starts_uses_stops_and_starts_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with started(place, "--data-dir", "lake") as first:
        first.wait_for(GREETING)
        password = _printed_password(first)
        _check_that_everything_answers(place, first)
        _check_that_the_printed_commands_work(first)
        _check_that_the_printed_shops_sell(first)
        _check_that_the_printed_sync_brings_articles(place, first, password)
        _check_that_no_process_shows_a_secret(place, password)
        articles_before = _article_count(place, password)
        code, refusal = place.refuse("--no-demo", "--data-dir", "lake")
        assert code == 1
        assert f"in use by another start.sh (process {first.process.pid})" in refusal
        _check_that_a_killed_worker_comes_back(place, first)
        assert first.stop(signal.SIGTERM) < 5
        assert first.process.returncode == 0
        assert place.processes() == {}

    secrets_before = (tmp_path / ".env").read_bytes()
    with started(place, "--data-dir", "lake") as second:
        second.wait_for(GREETING)
        assert (tmp_path / ".env").read_bytes() == secrets_before
        assert password not in second.words()
        assert not re.search(r"^\w+: .*password: ", second.words(), re.MULTILINE)
        assert _article_count(place, password) == articles_before
        assert second.stop(signal.SIGINT) < 5
        assert place.processes() == {}


def test_a_stop_during_the_set_up_leaves_no_process(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with started(place, "--no-demo") as start:
        start.wait_for("Preparing")
        assert start.stop(signal.SIGTERM) < 5
        assert place.processes() == {}
        assert start.process.returncode == 0


def _check_that_everything_answers(place: Place, start: Start) -> None:
    for url in (f"{place.core_url}/docs", f"{place.gateway_url}/graphql", f"{place.gateway_url}/graphiql"):
        assert url in start.words()
        status, text, _ = call("GET", url, headers={"Accept": "text/html"})
        assert status == 200, url
        assert "<html" in text
    assert (place.home / ".env").stat().st_mode & 0o777 == 0o600
    assert (place.home / "lake").stat().st_mode & 0o777 == 0o700
    if shutil.which("prometheus") is None and os.environ.get("CI") != "true":
        assert "Prometheus is not installed (Debian: apt-get install prometheus)" in start.words()
    else:
        _eventually(lambda: _healthy_targets(place) == {"core", "gateway", "worker"})


def _healthy_targets(place: Place) -> set[str]:
    _, text, _ = call("GET", f"http://127.0.0.1:{place.prometheus_port}/api/v1/targets")
    targets = json.loads(text)["data"]["activeTargets"]
    return {target["labels"]["job"] for target in targets if target["health"] == "up"}


def _check_that_the_printed_commands_work(start: Start) -> None:
    commands = start.words().split("in another terminal:")[1].split("A first GraphQL query")[0]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    articles, read = json.JSONDecoder().raw_decode(done.stdout)
    datasets = json.loads(done.stdout[read:])
    assert len(articles["data"]) == 3
    assert "transactions" in [dataset["name"] for dataset in datasets["data"]]


def _check_that_the_printed_sync_brings_articles(place: Place, start: Start, password: str) -> None:
    (command,) = re.findall(r"^  \S*lakeport-sync .*$", start.words(), re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=place.home,
        env={"PATH": os.environ["PATH"], "LAKEPORT_USERNAME": "admin", "LAKEPORT_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, "1,000 created, 12 deleted" in done.stdout) == (0, True), done.stderr


def _check_that_the_printed_shops_sell(start: Start) -> None:
    first, shops = start.words().split("in another terminal:")[1].split("Ctrl-C ends them:")
    token = first.split("  curl ", 1)[0].partition("\n\n")[2]
    folder, feed, look = re.findall(r"^  (?:cd|LAKEPORT_USERNAME|curl)[ =].*$", shops, re.MULTILINE)
    command = f"{token}\n{folder}\n{feed} --rate 100 --corrupt 0 --count 50\n{look}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told, _, figures = done.stdout.partition("50 sent: 50 accepted\n")
    assert told.startswith("feed: ")
    assert sum(each["transactions"] for each in json.loads(figures)["data"]) >= 50


def _check_that_no_process_shows_a_secret(place: Place, password: str) -> None:
    lines = (place.home / ".env").read_text().splitlines()
    secrets = [password, *(line.split("=", 1)[1].split(":")[-1].strip("'") for line in lines if "=" in line)]
    shown = "\n".join(place.processes().values())
    assert "rest_api.app" in shown
    assert "rest_api.worker" in shown
    assert len(secrets) >= 5
    assert not [secret for secret in secrets if secret in shown]


def _check_that_a_killed_worker_comes_back(place: Place, start: Start) -> None:
    (worker,) = (pid for pid, line in place.processes().items() if "-m rest_api.worker" in line)
    os.kill(worker, signal.SIGKILL)
    start.wait_for("worker ended (killed by SIGKILL); starting it again in 1 s")
    _eventually(lambda: call("GET", f"http://127.0.0.1:{place.worker_port}/metrics")[0] == 200)


def _printed_password(start: Start) -> str:
    found = re.search(r"^administrator: admin   password: (\S+)$", start.words(), re.MULTILINE)
    assert found
    return found[1]


def _article_count(place: Place, password: str) -> int:
    _, text, _ = call("POST", f"{place.core_url}/auth/token", {"username": "admin", "password": password})
    bearer = {"Authorization": f"Bearer {json.loads(text)['access_token']}"}
    _, text, _ = call("GET", f"{place.core_url}/articles?count=exact&limit=1", headers=bearer)
    return int(json.loads(text)["count"])


def _eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)
