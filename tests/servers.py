"""A real PostgreSQL for the tests: one server per test process, an empty database per test."""

import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

# Below Linux's range for outgoing connections, so that none of those takes a port between the look and the bind.
PORTS = range(28_000, 32_000)
MEMORY = Path("/dev/shm")
ROOM_BYTES = 1 << 30
DEBIAN_BINARIES = Path("/usr/lib/postgresql")
HOW_TO_GET_POSTGRESQL = "PostgreSQL's initdb is not installed; on Debian: apt-get install postgresql"
START_SECONDS = 30
# The data is thrown away, so nothing waits for a disk.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
# So that Debezium can read it.
CAPTURED = ("wal_level=logical",)


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            # As servers do: connections that are still closing do not make a port busy.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port from {PORTS.start} to {PORTS.stop - 1}")


@dataclass(frozen=True)
class PostgreSQL:
    """A running server that gives out empty databases."""

    port: int
    password: str

    def url(self, database: str) -> str:
        """Where a client finds a database."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new empty database, which goes when the block ends, connected clients or not."""
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"create database {name} template template0".encode())
            yield self.url(name)
            connection.execute(f"drop database {name} with (force)".encode())


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server that stops with the session."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(HOW_TO_GET_POSTGRESQL)
    with run_postgresql(binaries) as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The URL of an empty database on a real PostgreSQL."""
    with postgresql.database() as url:
        yield url


def find_binaries() -> Path | None:
    """The folder with the newest `initdb` and `postgres`; Debian keeps it out of the PATH."""
    folders = [path.parent for path in DEBIAN_BINARIES.glob("*/bin/initdb")]
    if folders:
        return max(folders, key=lambda folder: int(folder.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextmanager
def run_postgresql(binaries: Path) -> Iterator[PostgreSQL]:
    """Run a server on a new folder until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="lakeport-postgresql-", dir=memory_with_room()))
    try:
        password = make_cluster(binaries, folder)
        process, server = _start(binaries, folder, password)
        try:
            yield server
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder)


def memory_with_room() -> Path | None:
    """A folder in memory, ten times as fast as a disk at making a database; None where it is missing or small."""
    has_room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    return MEMORY if has_room else None


def make_cluster(binaries: Path, folder: Path) -> str:
    """Make the files of a server; gives the password of `postgres`."""
    password = secrets.token_hex(16)
    password_file = folder / "password"
    password_file.write_text(password)
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        for path in (folder, password_file):
            os.chown(path, account.pw_uid, account.pw_gid)
    make = [
        binaries / "initdb",
        "-D",
        folder / "cluster",
        "-U",
        "postgres",
        "--no-sync",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
    ]
    make += ["--auth=scram-sha-256", f"--pwfile={password_file}"]
    made = subprocess.run(_as_ordinary_user(make), cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return password


def _start(binaries: Path, folder: Path, password: str) -> tuple[subprocess.Popen[bytes], PostgreSQL]:
    # Another test process may take the port between the look and the bind: then the server ends and we try another.
    for _ in range(5):
        server = PostgreSQL(free_port(), password)
        command = postgres_command(binaries, folder, server.port)
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        if answers(server, process):
            return process, server
        _stop(process)
    raise RuntimeError(f"PostgreSQL does not start: {(folder / 'log').read_text()[-2000:]}")


def postgres_command(binaries: Path, folder: Path, port: int) -> list[str]:
    """What runs the server of a folder at a port."""
    options = ["listen_addresses=127.0.0.1", "unix_socket_directories=", f"port={port}", *FAST, *CAPTURED]
    given = (part for option in options for part in ("-c", option))
    return _as_ordinary_user([binaries / "postgres", "-D", folder / "cluster", *given])


def answers(server: PostgreSQL, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a server answers; False where it ends before, or not in time."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _as_ordinary_user(command: Sequence[object]) -> list[str]:
    """The command as `postgres` when we are root, whom it refuses; it ends with us even if we are killed."""
    other_user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig=INT", *other_user, *map(str, command)]
