"""The audit trail: chains of entries that nobody can edit, thin out or cut short without it being found.

Every process writes two chains: of calls that changed something, whose entries are committed with the change, and of
all others. An entry's HMAC covers its content and the HMAC of the entry before it, so that an edit or a removal breaks
the chain; how far each chain has come is sealed in a file outside the database, so that a cut is found too. Who holds
AUDIT_KEY can forge all of it, and who can put back older copies of the database *and* of the sealed heads can hide what
came after them: keep copies of the heads elsewhere.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from rest_api.clerk import Clerk
from rest_api.database import BUSY_TIMEOUT_SECONDS
from rest_api.errors import Unavailable
from rest_api.models.audit import AuditRecord
from rest_api.services.audit import AuditEntry, begun_mac, link
from rest_api.services.audit_heads import GENESIS, Head, HeadFile
from rest_api.statements import DriverConnections, Statement

COLUMNS = (*AuditEntry._fields, *Head._fields)
DENSE_SECONDS = 0.005
"""Entries that come closer together are written by their own threads: to hand one over costs more than it gains."""
Wait = Callable[[], None]


def no_wait() -> None:
    """There is nothing to wait for."""


class Chain:
    """Entries that follow one another; it begins with the first one."""

    def __init__(self, key: bytes, heads_dir: Path) -> None:
        self._key = key
        self._begun_mac = begun_mac(key)
        self._heads_dir = heads_dir
        self._turn = Lock()
        self._sealing = Lock()
        self._head: Head | None = None
        self._sealed: Head | None = None
        self._file: HeadFile | None = None

    def append(self, entry: AuditEntry, write: Callable[[dict[str, Any]], None]) -> None:
        """Have an entry's row written and committed by `write`. Raises what that raises, and Unavailable."""
        if not self._turn.acquire(timeout=BUSY_TIMEOUT_SECONDS):
            raise _not_recorded()
        try:
            self._append(entry, write)
        finally:
            self._turn.release()

    def seal(self) -> None:
        """Seal how far the chain has come, once the answer has left that its last entry tells of. Raises OSError.

        Where that was not done the next entry does it first: the sealed head is one entry behind at most.
        """
        with self._sealing:
            head = self._head
            if head is None or head is self._sealed:
                return
            if self._file is None:
                self._file = HeadFile.create(self._heads_dir, head.chain, self._key)
            self._file.write(head)
            self._sealed = head

    def _append(self, entry: AuditEntry, write: Callable[[dict[str, Any]], None]) -> None:
        try:
            self.seal()
        except OSError as error:
            raise _not_recorded() from error
        head = self._head or Head(uuid4().hex, 0, GENESIS)
        new = head.followed_by(link(self._begun_mac, head.chain, head.sequence + 1, head.hmac, entry))
        try:
            write(dict(zip(COLUMNS, (*entry, *new), strict=True)))
        except BaseException:
            # Whether the entry is there is not known, so that nothing may follow it.
            self._abandon()
            raise
        self._head = new

    def _abandon(self) -> None:
        with self._sealing:
            if self._file is not None:
                self._file.close()
            self._head = self._file = None


class AuditTrail:
    """The chains of this process.

    An entry alone is written by a thread that does nothing else: while that waits for the disk, which needs no
    processor, the call makes its answer ready.
    """

    def __init__(self, key: bytes, heads_dir: Path, connections: DriverConnections) -> None:
        self._connections = connections
        self._insert = Statement.compiled(insert(AuditRecord).inline(), connections.dialect, COLUMNS)
        # Two, for they lock in opposite orders: a change holds the database's write lock when it comes to its chain.
        self._changes = Chain(key, heads_dir)
        self._others = Chain(key, heads_dir)
        self._clerk = Clerk()
        self._last_at = 0.0

    def record(self, entry: AuditEntry) -> Wait:
        """Begin to write an entry in a transaction of its own; when what is returned has returned, it is on the disk.

        That raises Unavailable where it cannot be written.
        """
        write = partial(self._write_alone, entry)
        errand = None if self._comes_densely() else self._clerk.take(write)
        return write if errand is None else errand.result

    def commit(self, session: Session, entry: AuditEntry) -> None:
        """Commit a session's changes and the entry that tells of them, both or neither. Raises Unavailable."""
        session.flush()
        execute = session.connection().exec_driver_sql

        def write(row: dict[str, Any]) -> None:
            try:
                execute(self._insert.sql, self._insert.parameters(row))
            except SQLAlchemyError as error:
                raise _not_recorded() from error
            session.commit()

        self._changes.append(entry, write)

    def seal(self) -> None:
        """Seal how far the chains have come, once the answers have left that they tell of. Raises OSError."""
        self._changes.seal()
        self._others.seal()

    def _comes_densely(self) -> bool:
        before, self._last_at = self._last_at, time.perf_counter()
        return self._last_at - before < DENSE_SECONDS

    def _write_alone(self, entry: AuditEntry) -> None:
        try:
            self._others.append(entry, self._insert_alone)
        except (SQLAlchemyError, OSError) as error:
            raise _not_recorded() from error

    def _insert_alone(self, row: dict[str, Any]) -> None:
        with self._connections.lent() as connection:
            # On SQLite that is the transaction: one step of the driver, in which nobody is kept from running.
            connection.cursor().execute(self._insert.sql, self._insert.parameters(row))
            connection.commit()


def _not_recorded() -> Unavailable:
    return Unavailable("The call cannot be recorded, so it is not answered", retry_after_seconds=1)
