"""In CI a test that is left out counts as failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import ROOT

SKIPPING = """
import pytest

def test_lacks_a_tool():
    pytest.skip("apt-get install it")

@pytest.mark.skip(reason="later")
def test_marked():
    pass

@pytest.mark.xfail(strict=True)
def test_known():
    raise AssertionError
"""
SKIPPING_FILE = "import pytest\npytest.importorskip('lakeport_has_no_such_module')\n"


@pytest.mark.parametrize(
    ("ci", "code", "outcome"),
    [("", 0, "2 skipped, 1 xfailed"), ("true", 1, "1 failed, 1 xfailed, 1 error")],
)
def test_a_skip_fails_in_ci_only(tmp_path: Path, ci: str, code: int, outcome: str) -> None:
    done = _pytest(tmp_path, SKIPPING, ci)
    assert done.returncode == code
    assert outcome in done.stdout
    assert "apt-get install it" in done.stdout


def test_a_file_that_skips_itself_fails_in_ci(tmp_path: Path) -> None:
    done = _pytest(tmp_path, SKIPPING_FILE, "true")
    assert done.returncode != 0
    assert "1 error" in done.stdout


def _pytest(folder: Path, text: str, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "tests.ci_no_skips", "-p", "no:cacheprovider", "test_it.py"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60)
