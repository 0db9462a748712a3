"""The floor under every synced write: the same row put on the same disk with nothing around it."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine

from rest_api.models.audit import AuditRecord


@dataclass(frozen=True)
class SyncedInsert:
    """One audit row after another, each in a committed transaction that waits for the disk, by the driver alone."""

    connection: sqlite3.Connection

    async def call(self) -> None:
        """Write one row, here and now: to hand it to a thread would cost more than the disk does."""
        self.connection.execute("begin immediate")
        self.connection.execute(_INSERT, (datetime.now(UTC).isoformat(), secrets.token_hex(32)))
        self.connection.execute("commit")


@contextmanager
def synced_insert(folder: Path) -> Iterator[SyncedInsert]:
    """A database file in `folder` with the audit's table and indexes, in the mode the core uses."""
    path = folder / "floor.db"
    engine = create_engine(f"sqlite:///{path}")
    AuditRecord.metadata.create_all(engine)
    engine.dispose()
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=wal", "synchronous=full"):
        connection.execute(f"pragma {pragma}")
    try:
        yield SyncedInsert(connection)
    finally:
        connection.close()


_INSERT = (
    "insert into audit_records (at, user_id, username, address, method, path, query, body_bytes, status, duration_ms,"
    " request_id, chain, sequence, hmac) values (?1, 2, 'reader', '127.0.0.1', 'GET', '/articles/1', '', 0, 200, 1.5,"
    " 'b6a1f0', 'c41d', (select coalesce(max(sequence), 0) + 1 from audit_records where chain = 'c41d'), ?2)"
)
