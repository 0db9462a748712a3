"""A PostgreSQL that is killed and comes back at the same place, with what it had committed."""

import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests import servers
from tests.servers import PostgreSQL


@dataclass
class MortalPostgreSQL:
    """A server; its databases go with it."""

    server: PostgreSQL
    folder: Path
    binaries: Path
    # The server ends with the thread that started it, and those who ask for a start may end before.
    starter: ThreadPoolExecutor
    process: subprocess.Popen[bytes] | None = None

    def make_database(self) -> str:
        """The URL of a new empty database."""
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"create database {name} template template0".encode())
        return self.server.url(name)

    def kill(self) -> None:
        """End it by SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def is_dead(self) -> bool:
        """Whether it was killed and has not been started again."""
        return self.process is None or self.process.poll() is not None

    def start(self) -> None:
        """Start it, again and again while what is left of the killed one is still ending."""
        self.starter.submit(self._start).result()

    def _start(self) -> None:
        deadline = time.monotonic() + servers.START_SECONDS
        while time.monotonic() < deadline:
            with (self.folder / "log").open("ab") as log:
                # Else a kill would take what was committed last.
                durable = ["-c", "synchronous_commit=on"]
                command = servers.postgres_command(self.binaries, self.folder, self.server.port) + durable
                self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
            if servers.answers(self.server, self.process):
                return
        raise RuntimeError(f"PostgreSQL does not come back: {(self.folder / 'log').read_text()[-2000:]}")


@contextmanager
def mortal_postgresql(binaries: Path) -> Iterator[MortalPostgreSQL]:
    """Run one until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="lakeport-postgresql-", dir=servers.memory_with_room()))
    try:
        server = PostgreSQL(servers.free_port(), servers.make_cluster(binaries, folder))
        with ThreadPoolExecutor(1) as starter:
            mortal = MortalPostgreSQL(server, folder, binaries, starter)
            mortal.start()
            try:
                yield mortal
            finally:
                mortal.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what is left of the killed one may still be writing
