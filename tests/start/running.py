"""A launcher under test: its words, its processes, its end."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.live import ROOT
from tests.servers import free_port

GREETING = "A first GraphQL query"
START_SECONDS = 120
MARK = "LAKEPORT_TEST_MARK"


@dataclass(frozen=True)
class Place:
    """A folder to start in, with ports of its own; `mark` is in the environment of every process started from it."""

    home: Path
    port: int = field(default_factory=free_port)
    gateway_port: int = field(default_factory=free_port)
    worker_port: int = field(default_factory=free_port)
    prometheus_port: int = field(default_factory=free_port)
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def core_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    def environment(self, **env: str) -> dict[str, str]:
        """Only what a start needs, so that no setting of this machine gets into a test."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name.startswith("COV")}
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "WEB_DIR": str(ROOT / ".web"),
            "WORKER_METRICS_PORT": str(self.worker_port),
            "PROMETHEUS_PORT": str(self.prometheus_port),
            MARK: self.mark,
            **env,
        }

    def command(self, *options: str) -> list[str]:
        """The command line of a start with our ports."""
        ports = ["--port", str(self.port), "--gateway-port", str(self.gateway_port)]
        return [sys.executable, "-m", "launcher", *ports, *options]

    def refuse(self, *options: str, **env: str) -> tuple[int, str]:
        """Exit code and words of a start that is expected to end by itself."""
        done = subprocess.run(
            self.command(*options),
            cwd=self.home,
            env=self.environment(**env),
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stderr

    def processes(self) -> dict[int, str]:
        """Command lines, by process id, of everything that was started from here and still lives."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found


@dataclass(frozen=True)
class Start:
    """A launcher that runs; `output` is the file it writes to."""

    process: subprocess.Popen[bytes]
    output: Path

    def words(self) -> str:
        """Everything it has said."""
        return self.output.read_text()

    def wait_for(self, words: str) -> None:
        """Wait until it has said the words, or fail with what it said instead."""
        deadline = time.monotonic() + START_SECONDS
        while words not in self.words():
            assert self.process.poll() is None, self.words()
            assert time.monotonic() < deadline, self.words()
            time.sleep(0.05)

    def stop(self, number: signal.Signals) -> float:
        """Send a signal and wait for the end; gives the seconds it took."""
        asked_at = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        return time.monotonic() - asked_at


@contextmanager
def started(place: Place, *options: str, **env: str) -> Iterator[Start]:
    """Run a launcher; whatever is left of it at the end of the block is killed."""
    output = place.home / f"output-{secrets.token_hex(4)}"
    with output.open("wb") as file:
        process = subprocess.Popen(
            place.command(*options), cwd=place.home, env=place.environment(**env), stdout=file, stderr=file
        )
    try:
        yield Start(process, output)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in place.processes():
            os.kill(pid, signal.SIGKILL)
