"""Scripts for Node.js: run to their end, or kept running until a block ends."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.live import stop
from tests.npm.install import FOLDER, beside_python, is_installed

HOW_TO_INSTALL = "the npm packages of the tests are not installed: python -m tests.npm.install"
RUN_SECONDS = 120
START_SECONDS = 60


@dataclass(frozen=True)
class Node:
    """Node.js with the tests' packages."""

    binary: str

    def run(self, script: str, given: Any) -> Any:
        """What a script of this folder makes of `given`: JSON in by its input, JSON out by its output."""
        done = subprocess.run(
            [self.binary, str(FOLDER / script)],
            input=json.dumps(given),
            env=beside_python(),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def serving(self, script: str, given: Any, folder: Path) -> Iterator[None]:
        """A server of this folder, from its first line on until the block ends; `folder` takes its log and `given`."""
        configuration, log = folder / "given.json", folder / "log"
        configuration.write_text(json.dumps(given))
        with log.open("ab") as output:
            # It ends with us even if we are killed.
            command = ["setpriv", "--pdeathsig=TERM", self.binary, str(FOLDER / script), str(configuration)]
            process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            _await_line(process, log)
            yield
        finally:
            stop(process)


def _await_line(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if "\n" in log.read_text():
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def node() -> Node:
    """Node.js, skipped where it or the packages are missing."""
    binary = shutil.which("node", path=beside_python()["PATH"])
    if binary is None or not is_installed():
        pytest.skip(HOW_TO_INSTALL)
    # The one that comes from PyPI is started by a script; a signal has to reach Node.js itself.
    own = subprocess.run([binary, "-p", "process.execPath"], capture_output=True, text=True, check=True)
    return Node(own.stdout.strip())
