"""The peers: installed into an environment of their own, started on free ports, stopped at the end."""

import hashlib
import os
import subprocess
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.lake.rows import TABLE
from benchmarks.lake.servers import Datasette, Roapi
from tests import live
from tests.servers import free_port

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
ON_FILE, IN_MEMORY = "ROAPI on the file", "ROAPI in memory"
START_SECONDS = 300
ATTEMPTS = 3
# No query is cut off: what is slow shall be measured.
DATASETTE_MILLISECONDS = 3_600_000
_ROAPI_CONFIG = """
addr:
  http: {http}
  postgres: {postgres}
tables:
  - name: {table}
    uri: {uri}
    option:
      format: parquet
      use_memory_table: {in_memory}
"""


def install() -> Path:
    """The folder of the peers' programs; they are installed where the pinned versions are not yet."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = HERE / ".peers" / digest
    if not (folder / "complete").exists():
        venv.create(folder, clear=True, with_pip=True)
        (folder.parent / ".gitignore").write_text("*\n")
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
        (folder / "complete").touch()
    return folder / "bin"


@contextmanager
def roapi(programs: Path, parquet: Path, folder: Path, name: str) -> Iterator[Roapi]:
    """ROAPI as `name` says: on the file, or in memory as it does when nothing is configured."""

    def command(port: int) -> list[str]:
        config = folder / f"roapi-{port}.yml"
        config.write_text(_roapi_config(parquet, port, name))
        return [str(programs / "roapi"), "--config", str(config), "--addr-flight-sql", _address(free_port())]

    with started(command, "/health", folder, RUST_LOG="error") as server:
        yield Roapi(server.url, server.process.pid, name)


@contextmanager
def datasette(programs: Path, database: Path, folder: Path) -> Iterator[Datasette]:
    """Datasette over a database that does not change."""

    def command(port: int) -> list[str]:
        setting = ["--setting", "sql_time_limit_ms", str(DATASETTE_MILLISECONDS)]
        return [str(programs / "datasette"), "serve", "--immutable", str(database), "--port", str(port), *setting]

    with started(command, "/-/versions.json", folder) as server:
        yield Datasette(server.url, server.process.pid)


def _roapi_config(parquet: Path, port: int, name: str) -> str:
    return _ROAPI_CONFIG.format(
        http=_address(port),
        postgres=_address(free_port()),
        table=TABLE,
        uri=parquet,
        in_memory=str(name == IN_MEMORY).lower(),
    )


def _address(port: int) -> str:
    return f"{live.LOCALHOST}:{port}"


@contextmanager
def started(command: Callable[[int], list[str]], ready_path: str, folder: Path, **env: str) -> Iterator[live.Live]:
    """What a command starts on a port of its choice, once it answers at `ready_path`; it is stopped at the end."""
    server = _start(command, ready_path, folder, env)
    try:
        yield server
    finally:
        live.stop(server.process)


def _start(command: Callable[[int], list[str]], ready_path: str, folder: Path, env: dict[str, str]) -> live.Live:
    # Another process may take a port between the look and the bind: then the server ends, and we try others.
    for _ in range(ATTEMPTS):
        port = free_port()
        log = folder / f"peer-{port}.log"
        with log.open("wb") as output:
            # It ends with us even if we are killed.
            dying_with_us = ["setpriv", "--pdeathsig=TERM", *command(port)]
            environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **env}
            process = subprocess.Popen(
                dying_with_us, cwd=folder, env=environ, stdout=output, stderr=output, start_new_session=True
            )
        server = live.Live(f"http://{_address(port)}", process, log)
        if _is_ready(server, ready_path):
            return server
        live.stop(process)
    raise RuntimeError(f"{command(port)[0]} does not start: {log.read_text()[-2000:]}")


def _is_ready(server: live.Live, path: str) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            if server.get(path)[0] == 200:
                return True
        except OSError:
            pass
        time.sleep(0.05)
    return False
