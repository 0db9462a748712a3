"""The explorers' files come whole, from the packages we know, or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import web_assets
from tests.live import ROOT

FAILING_NPM = "#!/bin/sh\nexit 1\n"
FORGING_NPM = """#!/bin/sh
for spec in "$@"; do :; done
echo forged > "$(echo "$spec" | sed 's/@\\([^@]*\\)$/-\\1/').tgz"
"""


def fetch_with(npm: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Fetch with another program in the place of npm."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "npm").write_text(npm)
    (programs / "npm").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "WEB_DIR": str(folder / "web")}
    return subprocess.run(
        [sys.executable, "-m", "launcher.web_assets"], env=env, cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("npm", "words"),
    [
        (FAILING_NPM, "`npm pack --silent graphql-playground-react@1.7.28` failed; is the network there?"),
        (FORGING_NPM, "the npm package graphql-playground-react@1.7.28 is not the one we know"),
    ],
)
def test_a_package_that_fails_or_is_not_ours_is_refused_and_leaves_nothing(
    tmp_path: Path, npm: str, words: str
) -> None:
    done = fetch_with(npm, tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path for path in (tmp_path / "web").rglob("*") if path.is_file()] == []


def test_files_of_another_version_are_not_complete(tmp_path: Path) -> None:
    for package in web_assets.PACKAGES:
        for name in package.files:
            (tmp_path / package.folder).mkdir(exist_ok=True)
            (tmp_path / package.folder / Path(name).name).touch()
    assert not web_assets.is_complete(tmp_path)
    (tmp_path / web_assets.STAMP).write_text("graphiql@3.8.0\n")
    assert not web_assets.is_complete(tmp_path)


def test_the_files_of_this_checkout_are_complete_and_asked_for_no_more() -> None:
    assert web_assets.is_complete(ROOT / ".web")
