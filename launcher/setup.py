"""The set-up: secrets, database, first administrator, demo data and the explorers' files."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from launcher import web_assets
from launcher.checks import CannotStart
from launcher.installation import Installation
from launcher.stopping import StopSwitch

CORE = ("-m", "rest_api.cli")
NONE, ERRORS, ALL = frozenset[str](), frozenset({"stderr"}), frozenset({"stdout", "stderr"})
"""What a command writes may be shown at once."""
LOOK_SECONDS = 0.05
TERM_SECONDS = 3.0
ADMINISTRATOR_MADE = "administrator: "
ADMINISTRATOR = re.compile(r"^administrator: (?P<name>\S+)\s+password: (?P<password>\S+)$", re.MULTILINE)
SHOPS = re.compile(r"^reader: +shops +password: (?P<password>\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Passwords:
    """Those that were generated in this start."""

    administrator: str | None = None
    shops: str | None = None


def set_up(installation: Installation, stop: StopSwitch, *, with_demo: bool) -> Passwords:
    """Make what is missing, keep what is there. Gives the passwords that were generated now."""
    core, gateway = installation.core_environment(), installation.gateway_environment()
    print("Preparing secrets and database …", flush=True)
    told = _run([*CORE, "set-up"], core, installation.home, stop)
    password = _show_administrator(told)
    _run(["-m", "graphql_gateway"], gateway, installation.home, stop)
    is_new = ADMINISTRATOR_MADE in told
    shops = None
    if with_demo and (is_new or not _demo_stamp(installation).exists()):
        shops = _make_demo(core, installation, stop)
    fetch_web_assets(installation, stop)
    return Passwords(password, shops)


def _make_demo(core: dict[str, str], installation: Installation, stop: StopSwitch) -> str | None:
    """Gives the password of the demo's shops where one was generated now."""
    try:
        told = _run([*CORE, "demo"], core, installation.home, stop, shown=ERRORS)
    except CannotStart as refusal:
        raise CannotStart("the demo data cannot be made; --no-demo starts without it") from refusal
    print(told, end="", flush=True)
    _demo_stamp(installation).touch()
    found = SHOPS.search(told)
    return found["password"] if found else None


def has_demo(installation: Installation) -> bool:
    """Whether the demo was made, in this start or an earlier one."""
    return _demo_stamp(installation).exists()


def _demo_stamp(installation: Installation) -> Path:
    """Says that the demo data was made whole: asking the database takes a second of each start."""
    return installation.data_dir / "demo.made"


def fetch_web_assets(installation: Installation, stop: StopSwitch) -> None:
    """Fetch the explorers' files; without them everything else works, so a failure is told and not fatal."""
    if web_assets.is_complete(installation.web_dir):
        return
    print("Fetching the files of Playground, GraphiQL and Swagger UI …", flush=True)
    try:
        _run(["-m", "launcher.web_assets"], installation.core_environment(), installation.home, stop, shown=ALL)
    except CannotStart:
        print("Going on without those pages; the next start tries again.", flush=True)


def _show_administrator(told: str) -> str | None:
    found = ADMINISTRATOR.search(told)
    # Shown at once, not only in the greeting: what comes in between may fail, and nobody could read it again.
    print(told, end="", flush=True)
    return found["password"] if found else None


def _run(
    arguments: list[str], environ: dict[str, str], home: Path, stop: StopSwitch, *, shown: frozenset[str] = NONE
) -> str:
    """Run a Python command to its end and give what it printed, apart from what of it was shown at once.

    Raises CannotStart with its words, or Stopped.
    """
    stop.check()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=home,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=None if "stdout" in shown else subprocess.PIPE,
        stderr=None if "stderr" in shown else subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        printed, complaint = _wait(process, stop)
    finally:
        _end_group(process)
    if process.returncode != 0:
        words = (complaint or "").strip() or f"`python {' '.join(arguments)}` failed"
        raise CannotStart(words.removeprefix("Error: "))
    return printed or ""


def _wait(process: "subprocess.Popen[str]", stop: StopSwitch) -> tuple[str | None, str | None]:
    while True:
        stop.check()
        try:
            return process.communicate(timeout=LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def _end_group(process: "subprocess.Popen[str]") -> None:
    """End the command if it runs, and whatever it started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(TERM_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
