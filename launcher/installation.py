"""What one start works on: its folders and addresses, and the environment it gives to its processes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from launcher.checks import CannotStart, resolve_host
from launcher.options import HIGHEST_PORT, Options

ROOT = Path(__file__).resolve().parents[1]
CALLED_FROM = "LAKEPORT_CALLED_FROM"
WORKER_METRICS_PORT = "9108"
PROMETHEUS_PORT = "9090"
# To reach a server that listens on every address, one of this machine's own.
REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a name of every address, not a choice of it


@dataclass(frozen=True)
class Installation:
    """Where everything lies and answers; `address` is what servers bind, `reach` how this machine calls them."""

    home: Path
    data_dir: Path
    web_dir: Path
    address: str
    port: int
    gateway_port: int
    worker_metrics_port: int
    prometheus_port: int
    metrics_token: str
    given: Mapping[str, str]

    @classmethod
    def of(cls, options: Options, home: Path, environ: Mapping[str, str]) -> "Installation":
        """Options win over the environment, the environment over .env. Raises CannotStart."""
        dotenv = dotenv_values(home / ".env", interpolate=False) if (home / ".env").is_file() else {}
        given = {**{name: value for name, value in dotenv.items() if value}, **environ}
        return cls(
            home=home,
            data_dir=_data_dir(options.data_dir, home, given),
            web_dir=(home / Path(given.get("WEB_DIR") or ".web").expanduser()).resolve(),
            address=resolve_host(options.host),
            port=options.port,
            gateway_port=options.gateway_port,
            worker_metrics_port=_port(given, "WORKER_METRICS_PORT", WORKER_METRICS_PORT),
            prometheus_port=_port(given, "PROMETHEUS_PORT", PROMETHEUS_PORT),
            metrics_token=given.get("METRICS_TOKEN", ""),
            given=given,
        )

    @property
    def reach(self) -> str:
        return REACHABLE.get(self.address, self.address)

    @property
    def core_url(self) -> str:
        return f"http://{self.target(self.port)}"

    @property
    def gateway_url(self) -> str:
        return f"http://{self.target(self.gateway_port)}"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs"

    def target(self, port: int) -> str:
        """Host and port of a server as this machine calls it."""
        return f"[{self.reach}]:{port}" if ":" in self.reach else f"{self.reach}:{port}"

    def core_environment(self) -> dict[str, str]:
        """For the core, its worker and its commands: it trusts the gateway besides whom the operator trusts."""
        proxies = [part.strip() for part in self.given.get("TRUSTED_PROXIES", "").split(",") if part.strip()]
        trusted = proxies if self.reach in proxies else [*proxies, self.reach]
        return self._environment(TRUSTED_PROXIES=",".join(trusted))

    def gateway_environment(self) -> dict[str, str]:
        """For the gateway: where the core is."""
        return self._environment(CORE_URL=self.core_url)

    def _environment(self, **more: str) -> dict[str, str]:
        """Ours, and the settings of this start. What a child inherits by environment is in no list of processes."""
        inherited = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
        paths = [str(ROOT), *filter(None, [inherited.get("PYTHONPATH")])]
        return {
            **inherited,
            "DATA_DIR": str(self.data_dir),
            "WEB_DIR": str(self.web_dir),
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            **more,
        }


def _port(given: Mapping[str, str], name: str, default: str) -> int:
    text = given.get(name, "").strip() or default
    if not text.isascii() or not text.isdigit() or int(text) > HIGHEST_PORT:
        raise CannotStart(f"the setting {name} is {text!r}; expected a port, or 0 for none")
    return int(text)


def _data_dir(option: str | None, home: Path, given: Mapping[str, str]) -> Path:
    """A relative folder on the command line is meant from where the command was given, others from our home."""
    if option is not None:
        return (Path(given.get(CALLED_FROM) or home) / Path(option).expanduser()).resolve()
    return (home / Path(given.get("DATA_DIR") or "var").expanduser()).resolve()
