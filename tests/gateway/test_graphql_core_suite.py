"""graphql-core's own execution tests pass on the gateway's executor."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

VERSION = "3.3.2"
SHA256 = "15d6eee7d4364fbc202833bc6bd0d504004d8ae7c0aaf620fa884d8e437622f2"
SDIST = f"graphql_core-{VERSION}.tar.gz"
CACHE = Path.home() / ".cache" / "lakeport-tests"
ROOT = Path(__file__).parents[2]
# Nothing of ours is to change how theirs run; a slow machine is no failure, so that their limits of a second are off.
OPTIONS = ("-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:timeout", "-p", "graphql_core_plugin")
QUIET = ("-q", "--assert=plain", "-W", "ignore::pytest.PytestUnknownMarkWarning")
SUMMARY = re.compile(r"executed (\d+) operations, planned (\d+) fields\n(\d+) passed in ")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of graphql-core as it is published, its tests among it."""
    folder = tmp_path_factory.mktemp("graphql-core")
    with tarfile.open(_sdist()) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"graphql_core-{VERSION}"


def test_all_of_graphql_cores_execution_tests_pass_on_our_executor(sources: Path) -> None:
    assert version("graphql-core") == VERSION, "pin the tests of the version that is installed"
    run = subprocess.run(
        (sys.executable, "-m", "pytest", *QUIET, *OPTIONS, "tests/execution"),
        check=False,
        cwd=sources,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(Path(__file__).parent)))},
        capture_output=True,
        text=True,
        timeout=240,
    )
    summary = SUMMARY.search(run.stdout)
    assert run.returncode == 0, run.stdout[-8_000:] + run.stderr
    assert summary is not None, f"some were skipped or not run on ours: {run.stdout[-2_000:]}"
    operations, fields, passed = (int(figure) for figure in summary.groups())
    assert passed > 700
    assert operations > 600, "they ran on another executor"
    assert fields > 300, "ours left everything to graphql-core"


def _sdist() -> Path:
    kept = CACHE / SDIST
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            _download(Path(folder))
            (Path(folder) / SDIST).replace(kept)
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == SHA256, f"{kept} is not what was pinned; remove it"
    return kept


def _download(folder: Path) -> None:
    wanted = ("--no-deps", "--no-binary", "graphql-core", f"graphql-core=={VERSION}")
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    subprocess.run(
        (sys.executable, "-m", "pip", "download", *quiet, "--dest", folder, *wanted), check=True, timeout=120
    )
