"""Real processes for the tests: a core, a gateway and a worker on free ports, over a temporary folder."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 30
STOP_SECONDS = 10
ANSWER_SECONDS = 90
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_FILE")
LOCALHOST = "127.0.0.1"
CORE_APP = "rest_api.app:create_app_from_environment"


@dataclass(frozen=True)
class Live:
    """A running process; `log` is what it writes."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and text of a GET."""
        status, text, _ = call("GET", self.url + path, headers=headers)
        return status, text


@dataclass(frozen=True)
class LiveCore(Live):
    """A running core with its first administrator, `admin`."""

    data_dir: Path
    admin_password: str

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Status and parsed body of a call."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        status, text, _ = call(method, self.url + path, body, headers)
        return status, json.loads(text) if text else None

    def log_in(self, username: str, password: str) -> str:
        """An access token."""
        status, tokens = self.call("POST", "/auth/token", {"username": username, "password": password})
        assert status == 200, tokens
        return str(tokens["access_token"])

    def add_user(self, role: str) -> str:
        """The access token of a new user."""
        username, password = f"{role}_{secrets.token_hex(4)}", secrets.token_hex(16)
        user = {"username": username, "password": password, "role": role}
        status, answer = self.call("POST", "/users", user, self.log_in("admin", self.admin_password))
        assert status == 201, answer
        return self.log_in(username, password)


def call(
    method: str, url: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of a call to this machine, whatever proxy the environment names."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})} if data is not None else headers or {}
    request = urllib.request.Request(url, data, sent, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWER_SECONDS) as response:
            return response.status, response.read().decode(), {k.lower(): v for k, v in response.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), {k.lower(): v for k, v in error.headers.items()}


@contextmanager
def core(
    data_dir: Path,
    *,
    workers: int = 1,
    app: str = CORE_APP,
    ready_path: str = "/health/ready",
    options: tuple[str, ...] = (),
    **env: str,
) -> Iterator[LiveCore]:
    """A core over a folder, prepared as `start.sh` does; the folder keeps its secrets for the next start."""
    password = prepare(data_dir, **env)
    serving = ("--interface", "wsgi", *options, app)
    with _served(serving, ready_path, data_dir, workers, _core_environment(data_dir, env)) as live:
        yield LiveCore(live.url, live.process, live.log, data_dir, password)


@contextmanager
def gateway(core_url: str, folder: Path, *, workers: int = 1, **env: str) -> Iterator[Live]:
    """A gateway before a core, there or not; `folder` takes its log and metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    serving = ("--interface", "asgi", "graphql_gateway.app:create_app_from_environment")
    environ = _environment(CORE_URL=core_url, **env)
    with _served(serving, "/health/live", folder, workers, environ) as live:
        yield live


@contextmanager
def worker(data_dir: Path, **env: str) -> Iterator[Live]:
    """A worker over the folder of a core that was prepared before."""
    with _started(
        lambda port: [sys.executable, "-m", "rest_api.worker"],
        "/metrics",
        data_dir,
        lambda port: {**_core_environment(data_dir, env), "WORKER_METRICS_PORT": str(port)},
    ) as live:
        yield live


def prepare(data_dir: Path, **env: str) -> str:
    """Make secrets, tables and the administrator where there are none yet; gives his password."""
    data_dir.mkdir(parents=True, exist_ok=True)
    kept = data_dir / "admin_password"
    if not kept.exists():
        kept.write_text(secrets.token_hex(16))
    environ = {**_core_environment(data_dir, env), "ADMIN_PASSWORD": kept.read_text()}
    _run([sys.executable, "-m", "rest_api.cli", "set-up"], data_dir, environ)
    return kept.read_text()


def make_demo(data_dir: Path, **env: str) -> None:
    """Make the demo data in the folder of a core."""
    _run([sys.executable, "-m", "rest_api.cli", "demo"], data_dir, _core_environment(data_dir, env))


def _run(command: list[str], folder: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _environment(**env: str) -> dict[str, str]:
    """Only what a process needs, so that no setting of this machine gets into a test."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "WEB_DIR": str(ROOT / ".web"), **env}


def _core_environment(data_dir: Path, env: dict[str, str]) -> dict[str, str]:
    return _environment(**{"DATA_DIR": str(data_dir), "TRUSTED_PROXIES": LOCALHOST, "WORKER_METRICS_PORT": "0", **env})


@contextmanager
def _served(
    serving: tuple[str, ...], ready_path: str, folder: Path, workers: int, environ: dict[str, str]
) -> Iterator[Live]:
    def command(port: int) -> list[str]:
        where = ["--host", LOCALHOST, "--port", str(port), "--workers", str(workers), "--workers-kill-timeout", "3"]
        return [sys.executable, "-m", "granian", "--factory", *where, *serving]

    def environ_for(port: int) -> dict[str, str]:
        shared = folder / f"metrics-{port}-{secrets.token_hex(4)}"
        shared.mkdir()
        return {**environ, "PROMETHEUS_MULTIPROC_DIR": str(shared)}

    with _started(command, ready_path, folder, environ_for) as live:
        yield live


@contextmanager
def _started(command: Any, ready_path: str, folder: Path, environ_for: Any) -> Iterator[Live]:
    live = _start(command, ready_path, folder, environ_for)
    try:
        yield live
    finally:
        stop(live.process)


def _start(command: Any, ready_path: str, folder: Path, environ_for: Any) -> Live:
    # Another test process may take the port between the look and the bind: then the server ends, and we try another.
    for _ in range(3):
        port = free_port()
        log = folder / f"{port}.log"
        with log.open("ab") as output:
            # It ends with us even if we are killed.
            dying_with_us = ["setpriv", "--pdeathsig=TERM", *command(port)]
            process = subprocess.Popen(
                dying_with_us, cwd=folder, env=environ_for(port), stdout=output, stderr=output, start_new_session=True
            )
        live = Live(f"http://{LOCALHOST}:{port}", process, log)
        if _is_ready(live, ready_path):
            return live
        stop(process)
    raise RuntimeError(f"{command(0)[:3]} does not start: {log.read_text()[-2000:]}")


def _is_ready(live: Live, path: str) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while live.process.poll() is None and time.monotonic() < deadline:
        try:
            if live.get(path)[0] in (200, 401):  # who asks for a token answers too
                return True
        except OSError:
            pass
        time.sleep(0.02)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process; one that does not end in time is killed with its children."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def live_core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCore]:
    """A core that all tests of the session share."""
    with core(tmp_path_factory.mktemp("core")) as live:
        yield live


@pytest.fixture(scope="session")
def live_gateway(live_core: LiveCore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A gateway before `live_core` that all tests of the session share."""
    with gateway(live_core.url, tmp_path_factory.mktemp("gateway")) as live:
        yield live
