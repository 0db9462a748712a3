"""The peers, direct from database to database: no rights, no versions, no events, no audit stand in their way."""

import hashlib
import os
import sqlite3
import subprocess
import venv
from contextlib import closing
from pathlib import Path

from benchmarks.sync.running import Run, run

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"


def install() -> Path:
    """The folder of their programs; they are installed where the pinned versions are not yet."""
    folder = HERE / ".peers" / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    if not (folder / "complete").exists():
        venv.create(folder, clear=True, with_pip=True)
        (folder.parent / ".gitignore").write_text("*\n")
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
        (folder / "complete").touch()
    return folder / "bin"


def dlt(programs: Path, source: Path, folder: Path) -> Run:
    """dlt, by SQLAlchemy at both ends."""
    return _run([str(programs / "python"), str(HERE / "dlt_copy.py"), str(source), str(folder / "dlt.db")], folder)


def sling(programs: Path, source: Path, folder: Path) -> Run:
    """sling, incremental by key. At its very first run it fetches its own `sqlite3`, so that one goes before."""
    target = folder / "sling.db"
    command = [
        *(str(programs / "sling"), "run", "--mode", "incremental", "--primary-key", "id"),
        *("--src-conn", f"sqlite://{source}", "--src-stream", "main.articles"),
        *("--tgt-conn", f"sqlite://{target}", "--tgt-object", "main.articles"),
    ]
    _run(command, folder)
    target.unlink()
    found = _run(command, folder)
    with closing(sqlite3.connect(source)) as ours, closing(sqlite3.connect(target)) as theirs:
        counts = [each.execute("select count(*) from articles").fetchone() for each in (ours, theirs)]
    assert counts[0] == counts[1], found.told
    return found


def _run(command: list[str], folder: Path) -> Run:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "SLING_HOME_DIR": str(HERE / ".peers" / "sling")}
    found = run(command, folder, environ)
    assert found.code == 0, found.told[-2000:]
    return found
