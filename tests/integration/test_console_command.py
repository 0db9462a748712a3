"""`./lakeport-sync` as a person at a terminal meets it."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.bases import Base, synced
from tests.integration.script import Script
from tests.live import ROOT

COMMAND = ROOT / "lakeport-sync"
WINDOW = struct.pack("HHHH", 30, 100, 0, 0)


def test_a_person_is_asked_who_he_is_sees_a_bar_and_what_was_done(script: Script, base: Base, tmp_path: Path) -> None:
    base.fill(range(1_500))
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, WINDOW)
    (tmp_path / "command").symlink_to(COMMAND)
    (tmp_path / "click.py").write_text("raise SystemExit('this is not click')")
    command = ["./command", "--source", f"sqlite:///{script.origin}.db", "--target", script.core.url]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    seen = _read_until(terminal, "User name")
    os.write(terminal, b"admin\n")
    seen += _read_until(terminal, "Password")
    os.write(terminal, f"{script.core.admin_password}\n".encode())
    seen += _read_until(terminal, None)
    os.close(terminal)
    assert process.wait(30) == 0, seen
    assert f"{script.origin}: 100%|" in seen
    assert "1500/1500" in seen
    assert "1,500 rows read: 1,500 created" in seen
    assert script.core.admin_password not in seen
    assert synced(script.core, script.origin) == base.rows()


def _read_until(terminal: int, words: str | None) -> str:
    """What is shown up to some words, or to the end."""
    seen = ""
    with suppress(OSError):  # how a terminal ends on Linux
        while words is None or words not in seen:
            seen += os.read(terminal, 4_096).decode(errors="replace")
    assert words is None or words in seen, seen
    return seen


@pytest.mark.parametrize("option", ["--help", "--no-such"])
def test_the_command_takes_the_options_of_the_script(option: str) -> None:
    done = subprocess.run([COMMAND, option], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == (0 if option == "--help" else 2)
    assert "Usage: lakeport-sync" in done.stdout + done.stderr


def test_before_the_first_start_the_command_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "lakeport-sync").write_bytes(COMMAND.read_bytes())
    done = subprocess.run(["bash", tmp_path / "lakeport-sync"], capture_output=True, text=True, check=False)
    assert (done.returncode, "start.sh once" in done.stderr) == (2, True)
