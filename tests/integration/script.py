"""The script as an operator runs it: in this process, or in one that is killed at a named point."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from integration import sync_script
from integration.core_client import CoreClient
from integration.sources import Source
from integration.watermarks import State
from tests.live import ROOT, LiveCore

# A point is before or after the n-th call of one of these.
POINTS: dict[str, tuple[type, str]] = {
    "log in": (CoreClient, "_log_in"),
    "bind": (State, "bind"),
    "open": (State, "open"),
    "read": (Source, "_page"),
    "send": (CoreClient, "apply"),
    "confirm": (State, "confirm"),
    "finish": (State, "finish"),
    "settle": (State, "settle"),
}


@dataclass(frozen=True)
class Ran:
    """How a run ended and what it said."""

    code: int
    told: str


@dataclass(frozen=True)
class Script:
    """The script between a base A and a core, with the state in a folder."""

    core: LiveCore
    folder: Path
    source: str
    origin: str
    target: str = ""

    @property
    def arguments(self) -> list[str]:
        """Its command line."""
        target = self.target or self.core.url
        state = str(self.folder / f"{self.origin}.state")
        return ["--target", target, "--origin", self.origin, "--state", state, "--patience", "20"]

    @property
    def environment(self) -> dict[str, str]:
        """Where it finds credentials and base A."""
        return {
            "LAKEPORT_SOURCE": self.source,
            "LAKEPORT_USERNAME": "admin",
            "LAKEPORT_PASSWORD": self.core.admin_password,
        }

    def run(self, *more: str, **env: str) -> Ran:
        """Run it here, to its end."""
        result = CliRunner().invoke(sync_script.main, [*self.arguments, *more], env={**self.environment, **env})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return Ran(result.exit_code, result.output)

    def killed(self, point: str, when: str, nth: int) -> int:
        """Run it in a process that is killed by SIGKILL at a point; gives the code of its end."""
        command = [sys.executable, "-m", "tests.integration.script", point, when, str(nth), *self.arguments]
        done = subprocess.run(
            command, env=_environment(self.environment), cwd=ROOT, capture_output=True, check=False, timeout=60
        )
        return done.returncode

    def limited(self, file_bytes: int) -> Ran:
        """Run it in a process that cannot write files beyond so many bytes."""
        limit = ["prlimit", f"--fsize={file_bytes}"]
        command = [*limit, sys.executable, "-m", "integration.sync_script", *self.arguments]
        done = subprocess.run(
            command,
            env=_environment(self.environment),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Ran(done.returncode, done.stdout + done.stderr)

    def started(self, *more: str) -> subprocess.Popen[bytes]:
        """Start it in a process of its own."""
        module = ("-X", "faulthandler", "-m", "integration.sync_script")
        command = [sys.executable, *module, *self.arguments, *more]
        return subprocess.Popen(
            command, env=_environment(self.environment), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_START") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def _deadly(method: Callable[..., Any], when: str, nth: int) -> Callable[..., Any]:
    calls = count(1)

    def called(*given: Any, **named: Any) -> Any:
        number = next(calls)  # other threads call it too
        if (when, number) == ("before", nth):
            os.kill(os.getpid(), signal.SIGKILL)
        result = method(*given, **named)
        if (when, number) == ("after", nth):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return called


if __name__ == "__main__":
    point, when, nth, *arguments = sys.argv[1:]
    owner, name = POINTS[point]
    setattr(owner, name, _deadly(getattr(owner, name), when, int(nth)))
    sync_script.main(arguments)
