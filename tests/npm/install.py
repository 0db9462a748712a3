"""Install the npm packages of the tests: `python -m tests.npm.install`, at most once for each lock file."""

import os
import subprocess
import sys
from pathlib import Path

from launcher.web_assets import WebAssetsError, find_npm

FOLDER = Path(__file__).resolve().parent
LOCK = FOLDER / "package-lock.json"
STAMP = FOLDER / "node_modules" / "installed"
INSTALL_SECONDS = 300
# Nothing that a package brings runs when it is installed.
COMMAND = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def is_installed() -> bool:
    """Whether what the lock file names is here."""
    return STAMP.is_file() and STAMP.read_bytes() == LOCK.read_bytes()


def beside_python() -> dict[str, str]:
    """The environment, with a Node.js that was installed beside our Python found after the machine's own."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"}


def main() -> int:
    """Install what is missing; one sentence and 1 when it cannot be had."""
    if is_installed():
        return 0
    try:
        command = [find_npm(), *COMMAND]
        subprocess.run(command, cwd=FOLDER, env=beside_python(), check=True, timeout=INSTALL_SECONDS)
    except (WebAssetsError, OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"the npm packages of the tests cannot be installed: {error}\n")
        return 1
    STAMP.write_bytes(LOCK.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
