"""Kafka Connect in standalone mode with Debezium on a PostgreSQL, until a block ends."""

import json
import os
import string
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from tests.integration.jars import CONNECT, KAFKA
from tests.integration.kafka.lanes import Lane
from tests.live import LOCALHOST, call, stop
from tests.servers import free_port

START_SECONDS = 120
JAVA = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
SETTINGS = ("worker.properties", "articles.properties")


@dataclass
class Connect:
    """A worker that captures a database into the topic of a lane."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Run it, from where it was, until it captures."""
        options = (f"-Dlog4j2.configurationFile={KAFKA.folder / 'log4j2.properties'}", "-cp", f"{CONNECT.place}/*")
        program = ("org.apache.kafka.connect.cli.ConnectStandalone", *SETTINGS)
        command = ["setpriv", "--pdeathsig=TERM", *JAVA, *options, *program]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"]},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    @contextmanager
    def away(self) -> Iterator[None]:
        """It is killed, and comes back when the block ends."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        yield
        self.start()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self._state() != "RUNNING":
            assert self._may_still_come(deadline), (self.folder / "log").read_text()[-3_000:]
            time.sleep(0.1)

    def _may_still_come(self, deadline: float) -> bool:
        return self.process is not None and self.process.poll() is None and time.monotonic() < deadline

    def _state(self) -> str:
        try:
            status, text, _ = call("GET", f"http://{LOCALHOST}:{self.port}/connectors/articles/status")
        except OSError:
            return ""
        tasks = json.loads(text).get("tasks") if status == 200 else None
        return str(tasks[0]["state"]) if tasks else ""


@contextmanager
def run_connect(lane: Lane, url: str, folder: Path) -> Iterator[Connect]:
    """Capture a database into the lane's topic until the block ends; its slot goes too."""
    connect = _prepared(lane, url, folder)
    try:
        connect.start()
        yield connect
    finally:
        if connect.process is not None:
            stop(connect.process)
        _drop_slot(url)


def _prepared(lane: Lane, url: str, folder: Path) -> Connect:
    folder.mkdir()
    parts, port = make_url(url), free_port()
    values = {
        "broker": lane.kafka.port,
        "port": port,
        "folder": folder,
        "database_port": parts.port,
        "password": parts.password,
        "database": parts.database,
        "topic": lane.topic,
    }
    for name in SETTINGS:
        (folder / name).write_text(string.Template((CONNECT.folder / name).read_text()).substitute(values))
    return Connect(folder, port)


def _drop_slot(url: str) -> None:
    """Drop it as soon as the server has seen that nobody reads it any more."""
    statement = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active"
    with psycopg.connect(url, autocommit=True) as connection:
        deadline = time.monotonic() + 10
        while connection.execute("select 1 from pg_replication_slots").fetchone() and time.monotonic() < deadline:
            connection.execute(statement)
            time.sleep(0.05)
