"""A real Apache Synapse with the route on it: between a base A on SQLite and a core behind a door."""

import os
import secrets
import signal
import socket
import sqlite3
import string
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bases import Base, sqlite_base, synced
from tests.integration.jars import SYNAPSE
from tests.integration.synapse.core_door import CoreDoor, core_door, faithful
from tests.integration.synapse.java import compile_java
from tests.live import LOCALHOST, ROOT, LiveCore, call, stop
from tests.servers import free_port

ROUTE = ROOT / "integration" / "wso2"
PATIENCE_SECONDS = 40
JAVA = ("java", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
FAST = {
    "CORE_TIMEOUT_MS": "2000",
    "SUSPEND_MS": "500",
    "LOGIN_PAUSE_SECONDS": "0.5",
    "FORWARD_MS": "500",
    "POLL_SECONDS": "1",
    "CLAIM_SECONDS": "10",
    "RETRY_SECONDS": "0",
    "BASE_A_DRIVER": "org.sqlite.JDBC",
    "BASE_A_USERNAME": "",
    "BASE_A_PASSWORD": "",
}


@dataclass
class Synapse:
    """Synapse with its base A, and the door to the core that it is given."""

    core: LiveCore
    door: CoreDoor
    base: Base
    origin: str
    folder: Path
    username: str
    password: str = field(repr=False)
    key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where its clients find it."""
        return f"http://{LOCALHOST}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._deploy()
        home = self.folder
        properties = {
            "synapse.home": home,
            "conf.location": home / "conf",
            "axis2.repo": home / "repository",
            "java.io.tmpdir": home / "tmp",
        }
        paths = ("repository", "conf/axis2.xml", "", "conf/synapse.xml")
        command = [
            "setpriv",
            "--pdeathsig=KILL",
            *JAVA,
            *(f"-D{name}={value}" for name, value in properties.items()),
            "-cp",
            f"{home}/conf:{home}/classes:{SYNAPSE.place}/*",
            "org.apache.synapse.SynapseServer",
            *(str(home / path) for path in paths),
            ".",
            "lakeport",
        ]
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=home, env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )
        self.wait_for(self._listens)

    def end(self, by: signal.Signals = signal.SIGKILL) -> None:
        """End it."""
        if self.process is not None and by == signal.SIGTERM:
            stop(self.process)
        elif self.process is not None:
            self.process.send_signal(by)
            self.process.wait()

    def send(self, body: Any, path: str = "/lakeport/articles", **headers: str) -> tuple[int, str]:
        """Status and text of what a client that has the key is answered."""
        status, text, _ = call("POST", self.url + path, body, {"X-Lakeport-Key": self.key, **headers})
        return status, text

    def articles(self) -> dict[str, tuple[str, str]]:
        """What base B has of this origin."""
        return synced(self.core, self.origin)

    def wait_until_in_step(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until all of base A is confirmed or parked."""
        self.wait_for(lambda: self.asked(WAITING) == [(0,)], seconds)

    def confirmed(self) -> int:
        """The watermark."""
        return int(self.asked("select confirmed_version from lakeport_route")[0][0])

    def parked(self) -> dict[str, str]:
        """Codes by key."""
        return dict(self.asked("select external_id, code from lakeport_parked"))

    def asked(self, statement: str) -> list[Any]:
        """Rows of base A."""
        with self.base.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]

    def wait_for(self, is_so: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for a state; what Synapse wrote is told where it does not come."""
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, self.log()[-5_000:]
            time.sleep(0.02)

    def events(self, name: str) -> int:
        """How often the route has logged an event."""
        return self.log().count(f" LogMediator event = {name}")

    def log(self) -> str:
        """What Synapse wrote."""
        return self._log_path.read_text()

    @property
    def _log_path(self) -> Path:
        return self.folder / "log"

    def _listens(self) -> bool:
        assert self.is_running, self.log()[-5_000:]
        with socket.socket() as probe:
            return probe.connect_ex((LOCALHOST, self.port)) == 0 and "started successfully" in self.log()

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "CORE_URL": self.door.url,
            "LAKEPORT_USERNAME": self.username,
            "LAKEPORT_PASSWORD": self.password,
            "LAKEPORT_ROUTE_KEY": self.key,
        }

    def _deploy(self) -> None:
        for name in ("conf", "repository/services", "repository/modules", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        filled = {
            **FAST,
            "CORE_URL": self.door.url,
            "PORT": str(self.port),
            "HOME_DIR": str(self.folder),
            "BASE_A_URL": f"jdbc:{self.base.url.replace(':///', ':')}",
        }
        sources = [path for path in (ROUTE / "synapse").iterdir() if path.is_file()]
        for path in (*sources, SYNAPSE.folder / "log4j.properties"):
            (self.folder / "conf" / path.name).write_text(string.Template(path.read_text()).substitute(filled))


WAITING = """
select (select count(*) from articles where row_version > confirmed_version)
    + (select count(*) from article_tombstones where row_version > confirmed_version) from lakeport_route
"""


@pytest.fixture(scope="session")
def running_synapse(live_core: LiveCore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synapse]:
    """One Synapse for all tests of the session."""
    if not SYNAPSE.are_installed:
        pytest.skip(SYNAPSE.how_to_get)
    with run_synapse(live_core, tmp_path_factory.mktemp("synapse")) as running:
        yield running


@pytest.fixture
def synapse(running_synapse: Synapse) -> Iterator[Synapse]:
    """The session's Synapse with an open and faithful door to the core; in step when the test begins."""
    running_synapse.wait_until_in_step()
    yield running_synapse
    running_synapse.door.behaviour = faithful
    running_synapse.door.open()
    if not running_synapse.is_running:
        running_synapse.start()
    running_synapse.wait_until_in_step()


@contextmanager
def run_synapse(core: LiveCore, folder: Path) -> Iterator[Synapse]:
    """Synapse with a base A of 30 rows and a user of its own, until the block ends."""
    compile_java(ROUTE.rglob("*.java"), folder / "classes")
    origin, password = f"a_{secrets.token_hex(6)}", secrets.token_hex(16)
    username = f"synapse_{secrets.token_hex(4)}"
    add_editor(core, username, password)
    with sqlite_base(folder, origin) as base, core_door(core.url) as door:
        prepare_base(base, origin)
        base.fill(range(1, 31))
        running = Synapse(core, door, base, origin, folder, username, password)
        running.start()
        try:
            yield running
        finally:
            running.end()


def prepare_base(base: Base, origin: str) -> None:
    """Give base A what the route keeps there."""
    with closing(sqlite3.connect(base.url.removeprefix("sqlite:///"))) as connection:
        connection.executescript((ROUTE / "base_a" / "sqlite.sql").read_text(encoding="utf-8"))
    base.execute("insert into lakeport_route (id, origin) values (1, :origin)", {"origin": origin})


def add_editor(core: LiveCore, username: str, password: str) -> None:
    """Give the route its user."""
    user = {"username": username, "password": password, "role": "editor"}
    status, answer = core.call("POST", "/users", user, core.log_in("admin", core.admin_password))
    assert status == 201, answer
