"""A start that cannot be: one plain sentence, an exit code, nothing left behind."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import ROOT
from tests.start.running import Place

OLD_PYTHON = "#!/bin/sh\n[ \"$1\" = --version ] && echo 'Python 3.10.2'\nexit 1\n"
PYTHON_NAMES = ("python", "python3", "python3.11", "python3.12", "python3.13", "python3.14")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Somewhere to start from."""
    return Place(tmp_path)


@pytest.mark.parametrize("option", ["--port", "--gateway-port"])
def test_a_busy_port_is_named_with_the_option_that_changes_it(place: Place, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, words = place.refuse(option, str(port))
    assert code == 1
    assert (
        words == f"start.sh: port {port} is in use by another program; stop it, or choose another port with {option}\n"
    )


def test_a_busy_port_of_the_worker_is_named_with_its_setting(place: Place) -> None:
    with socket.create_server(("127.0.0.1", place.worker_port)):
        code, words = place.refuse()
    assert code == 1
    assert words.endswith("choose another port with the setting WORKER_METRICS_PORT\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "0"], "argument --port: expected a port from 1 to 65535, not '0'"),
        (["--port", "65536"], "argument --port: expected a port from 1 to 65535, not '65536'"),
        (["--port", "５０００"], "argument --port: expected a port from 1 to 65535, not"),
        (["--gateway-port", "web"], "argument --gateway-port: expected a port from 1 to 65535, not 'web'"),
        (["--port", "7000", "--gateway-port", "7000"], "--port and --gateway-port must differ"),
        (["--prot", "7000"], "unrecognized arguments: --prot 7000"),
    ],
)
def test_a_wrong_option_is_named(place: Place, options: list[str], words: str) -> None:
    code, said = place.refuse(*options)
    assert code == 2
    assert words in said


@pytest.mark.parametrize("host", ["198.51.100.7", "no such host", "a" * 300])
def test_a_host_that_is_not_ours_is_refused(place: Place, host: str) -> None:
    assert place.refuse("--host", host) == (1, f"start.sh: --host {host} is no address of this machine\n")


@pytest.mark.parametrize("folder", ["a-file", "a-file/below", "/proc/lakeport"])
def test_a_folder_that_cannot_be_written_is_named(place: Place, folder: str) -> None:
    (place.home / "a-file").touch()
    code, words = place.refuse("--data-dir", folder)
    assert code == 1
    assert words.startswith(f"start.sh: cannot write to {(place.home / folder).resolve()} (")
    assert words.endswith("); choose another with --data-dir\n")
    assert words.count("\n") == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ACCESS_TOKEN_SECONDS", "soon"),
        ("GRAPHQL_DEPTH", "deep"),
        ("WORKER_METRICS_PORT", "x"),
        ("ADMIN_PASSWORD", "short"),
    ],
)
def test_a_wrong_setting_is_named(place: Place, setting: str, value: str) -> None:
    code, words = place.refuse("--no-demo", **{setting: value})
    assert code == 1
    assert setting in words
    assert "Traceback" not in words
    assert place.processes() == {}


def test_an_old_python_is_told_what_is_needed(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in PYTHON_NAMES:
        (programs / name).write_text(OLD_PYTHON)
        (programs / name).chmod(0o755)
    home = _copy_of_start(tmp_path)
    path = f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin"
    done = subprocess.run([home / "start.sh"], env={"PATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "start.sh: Python 3.11 or newer is needed and was not found (python3 here: Python 3.10.2)\n"
    assert not (home / ".venv").exists()


def test_help_is_there_from_another_folder_and_through_a_link(tmp_path: Path) -> None:
    home = _copy_of_start(tmp_path)
    (home / ".venv").symlink_to(sys.prefix)
    link = tmp_path / "lakeport"
    link.symlink_to(home / "start.sh")
    done = subprocess.run([link, "--help"], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for option in ("--no-demo", "--port", "--gateway-port", "--host", "--data-dir"):
        assert option in done.stdout


def _copy_of_start(folder: Path) -> Path:
    home = folder / "copy"
    shutil.copytree(ROOT / "launcher", home / "launcher", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("start.sh", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, home / name)
    return home
