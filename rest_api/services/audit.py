"""The audit trail: chains of entries that nobody can edit, thin out or cut short without it being found.

Every process writes a chain of its own. An entry's HMAC covers its content and the HMAC of the entry before it, so that
an edit or a removal breaks the chain; how far each chain has come is sealed in a file outside the database, so that a
cut is found too. Who holds AUDIT_KEY can forge all of it, and who can put back older copies of the database *and* of
the sealed heads can hide what came after them: keep copies of the heads elsewhere.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import unquote
from uuid import uuid4

import orjson
from sqlalchemy import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from rest_api.database import BUSY_TIMEOUT_SECONDS, begin_write
from rest_api.errors import Unavailable
from rest_api.models.audit import AuditRecord
from rest_api.services.audit_heads import Head, HeadFile
from rest_api.statements import DriverConnections, Statement

BODY_BYTES = 65_536
REDACTED = "[redacted]"
# Also as they are misspelt or written in other APIs: what is refused is recorded too.
_SECRET_NAME = re.compile(r"(?i)pass|pas+w|pwd|secret|token|credential|api.?key|authori[sz]ation|^(old|new)$")
GENESIS = ""


class AuditEntry(NamedTuple):
    """One call: who, when, what, from where, with which answer."""

    at: datetime
    user_id: int | None
    username: str | None
    address: str
    method: str
    path: str
    query: str
    body: str | None
    body_bytes: int
    body_sha256: str | None
    status: int
    dataset: str | None
    columns: list[str] | None
    rows: int | None
    duration_ms: float
    request_id: str


@dataclass(frozen=True)
class Body:
    """What the trail keeps of a body: its text without secrets, or where that cannot be had its size alone."""

    text: str | None
    size_bytes: int
    sha256: str | None


NO_BODY = Body(None, 0, None)
_content = attrgetter(*AuditEntry._fields)
COLUMNS = (*AuditEntry._fields, *Head._fields)


class AuditChain:
    """The chain of this process; it begins with the first entry."""

    def __init__(self, key: bytes, heads_dir: Path, connections: DriverConnections) -> None:
        self._key = key
        self._begun_mac = begun_mac(key)
        self._insert = Statement.compiled(insert(AuditRecord).inline(), connections.dialect, COLUMNS)
        self._connections = connections
        self._heads_dir = heads_dir
        self._lock = Lock()
        self._line = Lock()
        self._head: Head | None = None
        self._sealed: Head | None = None
        self._file: HeadFile | None = None

    def record(self, entry: AuditEntry) -> None:
        """Write an entry in a transaction of its own. Raises Unavailable where it cannot be written."""
        # Who waits for SQLite's write lock looks for it ever less often; a line of our own moves up at once.
        if not self._line.acquire(timeout=BUSY_TIMEOUT_SECONDS):
            raise _not_recorded()
        try:
            # The database's write lock is taken before the chain's, here as in a request's own transaction.
            with self._connections.lent() as connection:
                cursor = connection.cursor()
                begin_write(self._connections.dialect, cursor)
                with self._lock:
                    self._append(cursor.execute, connection.commit, entry)
        except (SQLAlchemyError, OSError) as error:
            raise _not_recorded() from error
        finally:
            self._line.release()

    def commit(self, session: Session, entry: AuditEntry) -> None:
        """Commit a session's changes and the entry that tells of them, both or neither. Raises Unavailable."""
        session.flush()
        execute = session.connection().exec_driver_sql
        with self._lock:
            self._append(execute, session.commit, entry)

    def seal(self) -> None:
        """Seal how far the chain has come, once the answers have left that it tells of. Raises OSError.

        Where that was not done the next entry does it first: the sealed head is one entry behind at most.
        """
        with self._lock:
            self._seal()

    def _append(self, execute: Callable[..., Any], commit: Callable[[], None], entry: AuditEntry) -> None:
        try:
            self._seal()
        except OSError as error:
            raise _not_recorded() from error
        try:
            head = self._begun()
            new = head.followed_by(link(self._begun_mac, head.chain, head.sequence + 1, head.hmac, entry))
            execute(self._insert.sql, self._insert.parameters(dict(zip(COLUMNS, (*entry, *new), strict=True))))
        except (SQLAlchemyError, OSError) as error:
            self._abandon()
            raise _not_recorded() from error
        try:
            commit()
        except BaseException:
            # Whether the entry is there is not known, so that nothing may follow it.
            self._abandon()
            raise
        self._head = new

    def _begun(self) -> Head:
        if self._head is None:
            chain = uuid4().hex
            self._file = HeadFile.create(self._heads_dir, chain, self._key)
            self._head = self._sealed = Head(chain, 0, GENESIS)
        return self._head

    def _seal(self) -> None:
        if self._file is None or self._head is None or self._head is self._sealed:
            return
        self._file.write(self._head)
        self._sealed = self._head

    def _abandon(self) -> None:
        if self._file is not None:
            self._file.close()
        self._head = self._file = None


def begun_mac(key: bytes) -> hmac.HMAC:
    """The HMAC-SHA256 of all entries up to where they differ: a copy of it costs half of what a new one does."""
    return hmac.new(key, b"entry\x00", "sha256")


def link(begun: hmac.HMAC, chain: str, sequence: int, previous: str, entry: Any) -> str:
    """The HMAC-SHA256 of an entry (or a stored record) in its place: hexadecimal, 64 characters."""
    content = [chain, sequence, previous, *_content(entry)]
    mac = begun.copy()
    mac.update(orjson.dumps(content, option=orjson.OPT_UTC_Z))
    return mac.hexdigest()


def redact(body: bytes, media_type: str, also: frozenset[str] = frozenset()) -> Body:
    """What to keep of a body. Small JSON is kept with its secrets struck out; a large body is kept as its SHA-256.

    Of a small body that cannot be read only the size is kept: it may be a password, and a hash of one is guessed.
    `also` are members that are secrets in this body besides those named so.
    """
    if not body:
        return NO_BODY
    if len(body) > BODY_BYTES:
        return Body(None, len(body), hashlib.sha256(body).hexdigest())
    return Body(_readable(body, also) if media_type == "application/json" else None, len(body), None)


def redact_query(query: str) -> str:
    """A URL's parameters, with the values of those that are named like secrets struck out."""
    if not query:
        return query
    if not _SECRET_NAME.search(unquote(query)):
        return printable(query)
    return printable("&".join(map(_redacted_pair, query.split("&"))))


def _redacted_pair(pair: str) -> str:
    name, sign, _ = pair.partition("=")
    return f"{name}={REDACTED}" if sign and is_secret(unquote(name)) else pair


def is_secret(name: str, also: frozenset[str] = frozenset()) -> bool:
    """Whether what stands under a name may be a secret."""
    return name in also or _SECRET_NAME.search(name) is not None


def printable(text: str) -> str:
    """The text as any database stores it: without NUL and without halves of surrogate pairs."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def _readable(body: bytes, also: frozenset[str]) -> str | None:
    try:
        value = orjson.loads(body)
        return orjson.dumps(_without_secrets(value, also)).decode() if isinstance(value, dict | list) else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return None


def _without_secrets(value: Any, also: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {
            name: REDACTED if is_secret(name, also) else _without_secrets(each, also) for name, each in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(each, also) for each in value]
    return value


def _not_recorded() -> Unavailable:
    return Unavailable("The call cannot be recorded, so it is not answered", retry_after_seconds=1)
