"""The route as an operator runs it: kitchen with parameters, secrets in kettle.properties."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import make_url

from tests.integration.bases import Base
from tests.integration.pentaho.kitchen import kitchen
from tests.live import ROOT, LiveCore

FILES = ROOT / "integration" / "pentaho"


@dataclass(frozen=True)
class Ran:
    """How a run ended, its log, and how long it paused each time, in seconds."""

    code: int
    told: str
    pauses: tuple[float, ...]


@dataclass(frozen=True)
class Pentaho:
    """The job between a base A and a core."""

    core: LiveCore
    folder: Path
    base: Base
    origin: str
    job: Path = FILES / "articles_sync.kjb"
    username: str = "admin"
    password: str = ""
    target: str = ""
    options: tuple[str, ...] = ()
    seed: int = 0
    more: dict[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """The command line of kitchen."""
        given = {**self._base(), "CORE_URL": self.target or self.core.url, "ORIGIN": self.origin, **self.more}
        return [f"-file={self.job}", *(f"-param:{name}={value}" for name, value in given.items())]

    @property
    def properties(self) -> dict[str, str]:
        """What stands in kettle.properties."""
        return {
            "LAKEPORT_USERNAME": self.username,
            "LAKEPORT_PASSWORD": self.password or self.core.admin_password,
            "BASE_A_PASSWORD": make_url(self.base.url).password or "",
            "SEED": str(self.seed),
        }

    def run(self) -> Ran:
        """Run it here to its end, without the pauses."""
        told: list[str] = []
        pauses: list[float] = []
        code = kitchen(self.arguments, self.properties, told.append, pauses.append)
        return Ran(code, "\n".join(told), tuple(pauses))

    def started(self) -> "subprocess.Popen[str]":
        """Start it in a process of its own, whose log can be read."""
        home = self.folder / "kettle" / ".kettle"
        home.mkdir(parents=True, exist_ok=True)
        lines = (f"{name}={value}\n" for name, value in self.properties.items())
        (home / "kettle.properties").write_text("".join(lines), encoding="utf-8")
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_START") if name in os.environ}
        return subprocess.Popen(
            [sys.executable, "-m", "tests.integration.pentaho.kitchen", *self.arguments],
            env={**kept, "PYTHONPATH": str(ROOT), "KETTLE_HOME": str(home.parent)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _base(self) -> dict[str, str]:
        url = make_url(self.base.url)
        if url.drivername == "sqlite":
            return {"BASE_A_TYPE": "sqlite", "BASE_A_URL": f"jdbc:sqlite:{url.database}"}
        jdbc = f"jdbc:postgresql://{url.host}:{url.port}/{url.database}"
        return {"BASE_A_TYPE": "postgresql", "BASE_A_URL": jdbc, "BASE_A_USERNAME": url.username or ""}
