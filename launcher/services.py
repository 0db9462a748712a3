"""The processes of a running Lakeport: what runs, with which environment, and where it says that it is ready."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from launcher.installation import Installation
from launcher.monitoring import prometheus_command

# A thread is taken by each running request, each waiting one, each body or upload being read and each open stream of
# events: at most 112 with the settings as they come, so that some are left for the probes. A connection alone takes
# none.
CORE_THREADS = ("--blocking-threads", "128", "--backpressure", "1024", "--http1-header-read-timeout", "5000")
CORE_WORKERS = max(2, min(4, os.cpu_count() or 1))
GATEWAY_WORKERS = 2
# A socket counts as a request as long as it is open: SUBSCRIPTION_CONNECTIONS and as many requests again.
GATEWAY_REQUESTS = ("--backpressure", "4096")
# Its warnings are about the number of threads, which is meant. Answers that still run get two seconds when we stop.
GRANIAN = (
    "--factory",
    "--log-level",
    "error",
    "--respawn-failed-workers",
    "--respawn-interval",
    "1",
    "--workers-kill-timeout",
    "2",
)


@dataclass(frozen=True)
class Service:
    """A process to keep running; without `ready_url` it is ready when it runs."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    ready_url: str | None
    is_essential: bool = True


def services(installation: Installation, prometheus: str | None) -> list[Service]:
    """All processes of an installation, their metrics folders made empty."""
    found = [_core(installation), _gateway(installation), _worker(installation)]
    if prometheus:
        command, ready_url = prometheus_command(installation, prometheus)
        found.append(Service("prometheus", command, dict(os.environ), ready_url, is_essential=False))
    return found


def _core(installation: Installation) -> Service:
    command = (
        *_granian(installation, "wsgi", "rest_api.app", installation.port, CORE_WORKERS),
        "--no-ws",
        *CORE_THREADS,
    )
    environment = _serving(installation.core_environment(), _empty_folder(installation, "core"))
    return Service("core", command, environment, f"{installation.core_url}/health/ready")


def _gateway(installation: Installation) -> Service:
    served = _granian(installation, "asgi", "graphql_gateway.app", installation.gateway_port, GATEWAY_WORKERS)
    command = (*served, *GATEWAY_REQUESTS)
    environment = _serving(installation.gateway_environment(), _empty_folder(installation, "gateway"))
    return Service("gateway", command, environment, f"{installation.gateway_url}/health/ready")


def _worker(installation: Installation) -> Service:
    port = installation.worker_metrics_port
    ready_url = f"http://{_worker_host(installation)}:{port}/metrics" if port else None
    return Service(
        "worker",
        (sys.executable, "-m", "rest_api.worker"),
        _without_password(installation.core_environment()),
        ready_url,
    )


def _worker_host(installation: Installation) -> str:
    return installation.given.get("WORKER_METRICS_HOST") or "127.0.0.1"


def _granian(installation: Installation, interface: str, module: str, port: int, workers: int) -> tuple[str, ...]:
    where = ("--host", installation.address, "--port", str(port), "--workers", str(workers))
    app = f"{module}:create_app_from_environment"
    return (sys.executable, "-m", "granian", "--interface", interface, *where, *GRANIAN, app)


def _serving(environment: dict[str, str], metrics_dir: Path) -> dict[str, str]:
    return {**_without_password(environment), "PROMETHEUS_MULTIPROC_DIR": str(metrics_dir)}


def _without_password(environment: dict[str, str]) -> dict[str, str]:
    """A server has no use for the first administrator's password."""
    return {name: value for name, value in environment.items() if name != "ADMIN_PASSWORD"}


def _empty_folder(installation: Installation, name: str) -> Path:
    """Where the processes of one service share their metrics; those of the last start are not ours."""
    folder = installation.data_dir / "metrics" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder
