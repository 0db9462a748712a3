"""The peers: installed into a folder of their own, started before a core, stopped at the end."""

import hashlib
import os
import shutil
import string
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.gateway.gateways import HIVE, PLAIN, TAILCALL, Gateway
from benchmarks.lake.peers import started
from tests import live

HERE = Path(__file__).parent
CONFIGS = HERE / "configs"
PACKAGES, REQUIREMENTS = HERE / "package.json", HERE / "requirements.txt"


def install() -> Path:
    """The folder of the peers' programs and configurations; fetched where they are not there yet."""
    sources = (PACKAGES, REQUIREMENTS, *sorted(CONFIGS.iterdir()))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    folder = HERE / ".peers" / digest
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder.parent / ".gitignore").write_text("*\n")
        for source in sources:
            shutil.copy(source, folder)
        _install_packages(folder)
        (folder / "complete").touch()
    return folder


def _install_packages(folder: Path) -> None:
    npm = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    subprocess.run(npm, cwd=folder, check=True, stdout=sys.stderr)
    venv.create(folder / "python", clear=True, with_pip=True)
    pip = [str(folder / "python" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)


@contextmanager
def hive(programs: Path, core_url: str, folder: Path) -> Iterator[Gateway]:
    """Hive Gateway over a supergraph that Mesh composes of the core's routes; compiled documents, batched authors."""
    supergraph = folder / "supergraph.graphql"
    compose = [_npm(programs, "mesh-compose"), "-c", "mesh.config.mjs", "-o", str(supergraph)]
    environment = {**os.environ, "CORE_URL": core_url}
    subprocess.run(compose, cwd=programs, env=environment, check=True, capture_output=True)

    def command(port: int) -> list[str]:
        where = ["--host", live.LOCALHOST, "--port", str(port), "--config-path", str(programs / "gateway.config.mjs")]
        return [_npm(programs, "hive-gateway"), "supergraph", *where]

    with started(command, "/healthcheck", folder, SUPERGRAPH=str(supergraph), NODE_ENV="production") as server:
        yield Gateway(HIVE, f"{server.url}/graphql", server.process.pid)


@contextmanager
def tailcall(programs: Path, core_url: str, folder: Path) -> Iterator[Gateway]:
    """Tailcall, sharing whatever is in flight."""
    template = string.Template((programs / "tailcall.graphql").read_text())

    def command(port: int) -> list[str]:
        config = folder / f"tailcall-{port}.graphql"
        config.write_text(template.substitute(PORT=port, CORE_URL=core_url))
        return [_npm(programs, "tailcall"), "start", str(config)]

    with started(command, "/status", folder, TAILCALL_TRACKER="false") as server:
        yield Gateway(TAILCALL, f"{server.url}/graphql", server.process.pid)


@contextmanager
def plain(programs: Path, core_url: str, folder: Path) -> Iterator[Gateway]:
    """The plain Ariadne, served as the product is."""

    def command(port: int) -> list[str]:
        where = ["--host", live.LOCALHOST, "--port", str(port), "--working-dir", str(HERE), "--log-level", "error"]
        served = ["--interface", "asgi", "--factory", "--no-ws", *where, "plain:create_app"]
        return [str(programs / "python" / "bin" / "python"), "-m", "granian", *served]

    with started(command, "/graphql/", folder, CORE_URL=core_url) as server:
        yield Gateway(PLAIN, f"{server.url}/graphql/", server.process.pid)


def _npm(programs: Path, name: str) -> str:
    return str(programs / "node_modules" / ".bin" / name)
