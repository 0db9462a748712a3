"""A real MariaDB for the tests: one server per test process, an empty database per test."""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from tests.live import stop
from tests.servers import START_SECONDS, free_port, memory_with_room

SERVER, INSTALLER = "mariadbd", "mariadb-install-db"
PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin"
HOW_TO_GET_MARIADB = "MariaDB's mariadbd is not installed; on Debian: apt-get install mariadb-server"
# The data is thrown away, so it is small and nothing waits for a disk.
SMALL = (
    "innodb-log-file-size=4M",
    "innodb-buffer-pool-size=32M",
    "innodb-flush-log-at-trx-commit=0",
    "innodb-doublewrite=0",
)
IN_UTC = ("default-time-zone=+00:00", "character-set-server=utf8mb4", "skip-log-bin", "bind-address=127.0.0.1")


@dataclass(frozen=True)
class MariaDB:
    """A running server that gives out empty databases."""

    port: int
    password: str

    def url(self, database: str) -> str:
        """Where a client finds a database."""
        return f"mariadb+pymysql://root:{self.password}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new empty database, which goes when the block ends."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f"create database {name}")
        yield self.url(name)
        self.execute(f"drop database {name}")

    def execute(self, statement: str) -> None:
        """Run a statement as root."""
        engine = create_engine(self.url("mysql"))
        with engine.begin() as connection:
            connection.execute(text(statement))
        engine.dispose()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server that stops with the session."""
    if shutil.which(SERVER, path=PLACES) is None:
        pytest.skip(HOW_TO_GET_MARIADB)
    folder = Path(tempfile.mkdtemp(prefix="lakeport-mariadb-", dir=memory_with_room()))
    try:
        with _running(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def mariadb_url(mariadb: MariaDB) -> Iterator[str]:
    """The URL of an empty database on a real MariaDB."""
    with mariadb.database() as url:
        yield url


@contextmanager
def _running(folder: Path) -> Iterator[MariaDB]:
    data = ["--no-defaults", f"--datadir={folder / 'data'}", *(["--user=root"] if os.geteuid() == 0 else [])]
    made = subprocess.run(
        [_program(INSTALLER), *data, "--auth-root-authentication-method=normal", "--skip-test-db"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    password = secrets.token_hex(16)
    first = folder / "first.sql"
    first.write_text(f"alter user root@localhost identified by '{password}';\n")
    first.chmod(0o600)
    process, server = _start(folder, [*data, f"--init-file={first}"], password)
    try:
        yield server
    finally:
        stop(process)


def _start(folder: Path, options: list[str], password: str) -> tuple[subprocess.Popen[bytes], MariaDB]:
    # Another test process may take the port between the look and the bind: then the server ends and we try another.
    for _ in range(5):
        server = MariaDB(free_port(), password)
        where = [f"--port={server.port}", f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"]
        command = ["setpriv", "--pdeathsig=TERM", _program(SERVER), *options, *where]
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *(f"--{option}" for option in (*SMALL, *IN_UTC))],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if _answers(server, process):
            return process, server
        stop(process)
    raise RuntimeError(f"MariaDB does not start: {(folder / 'log').read_text()[-2000:]}")


def _answers(server: MariaDB, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            server.execute("select 1")
        except OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False


def _program(name: str) -> str:
    return shutil.which(name, path=PLACES) or name
