"""Prometheus, where it is installed: prometheus.yml as it is, or a copy for other ports."""

import shutil

from launcher.checks import is_port_free
from launcher.installation import ROOT, WORKER_METRICS_PORT, Installation

ADDRESS = "127.0.0.1"
CONFIGURATION = ROOT / "prometheus.yml"
DEFAULT_TARGETS = ("127.0.0.1:5000", "127.0.0.1:8000", f"127.0.0.1:{WORKER_METRICS_PORT}")


def url(port: int) -> str:
    """Where a person finds it."""
    return f"http://{ADDRESS}:{port}"


def find_prometheus(port: int) -> tuple[str | None, str]:
    """The program if it can run, and one line about it."""
    if port == 0:
        return None, "Prometheus is switched off by the setting PROMETHEUS_PORT."
    program = shutil.which("prometheus")
    if program is None:
        return None, "Prometheus is not installed (Debian: apt-get install prometheus); going on without it."
    if not is_port_free(ADDRESS, port):
        return (
            None,
            f"Port {port} is in use; going on without Prometheus (the setting PROMETHEUS_PORT chooses another).",
        )
    return program, f"Prometheus is installed; starting it on {url(port)}."


def prometheus_command(installation: Installation, program: str) -> tuple[tuple[str, ...], str]:
    """Its command line and where it says that it is ready."""
    command = (
        program,
        f"--config.file={_configuration(installation)}",
        f"--storage.tsdb.path={installation.data_dir / 'prometheus'}",
        f"--web.listen-address={ADDRESS}:{installation.prometheus_port}",
        "--log.level=warn",
    )
    return command, f"{url(installation.prometheus_port)}/-/ready"


def adapt(configuration: str, targets: tuple[str, ...], token_file: str | None) -> str:
    """The configuration with other targets, and a bearer token where /metrics asks for one."""
    for default, target in zip(DEFAULT_TARGETS, targets, strict=True):
        configuration = configuration.replace(f'"{default}"', f'"{target}"')
    if token_file:
        authorization = f"    authorization:\n      credentials_file: {token_file}\n"
        configuration = configuration.replace("    static_configs:\n", f"{authorization}    static_configs:\n")
    return configuration


def _configuration(installation: Installation) -> str:
    worker = installation.worker_metrics_port or WORKER_METRICS_PORT
    targets = (
        installation.target(installation.port),
        installation.target(installation.gateway_port),
        f"127.0.0.1:{worker}",
    )
    if targets == DEFAULT_TARGETS and not installation.metrics_token:
        return str(CONFIGURATION)
    token_file = installation.data_dir / "metrics" / "token"
    if installation.metrics_token:
        token_file.touch(mode=0o600)
        token_file.write_text(installation.metrics_token)
    adapted = installation.data_dir / "prometheus.yml"
    adapted.write_text(
        adapt(CONFIGURATION.read_text(), targets, str(token_file) if installation.metrics_token else None)
    )
    return str(adapted)
