"""Verifies the audit trail, and deletes what is old enough without hiding anything by it."""

import hmac
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.orm import Session

from rest_api.database import READ_ONLY
from rest_api.errors import Conflict
from rest_api.models.audit import AuditCheckpoint, AuditRecord
from rest_api.services.audit import begun_mac, link
from rest_api.services.audit_heads import GENESIS, Head, read_heads, seal

CHUNK_ROWS = 2_000
MAX_FINDINGS = 100


@dataclass(frozen=True)
class Finding:
    """Something wrong with a chain, at an entry (0 for the chain as a whole)."""

    chain: str
    sequence: int
    detail: str


@dataclass(frozen=True)
class Verification:
    """What a look over the whole trail found: at most 100 findings, the first of each chain."""

    checked: int
    chains: int
    problems: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the trail is whole."""
        return not self.problems


def verify(engine: Engine, key: bytes, heads_dir: Path, tell: Callable[[int], None] | None = None) -> Verification:
    """Check every entry, link, checkpoint and head of a snapshot of the trail; `tell` hears how many were checked."""
    # The heads are read first: a chain that grows meanwhile is ahead of its head, never behind.
    heads, broken = read_heads(heads_dir, key)
    with engine.connect().execution_options(**_snapshot(engine)) as connection:
        checkpoints = {row.chain: row for row in connection.execute(select(AuditCheckpoint.__table__))}
        checks = {chain: _ChainCheck.begin(key, chain, checkpoints.get(chain)) for chain in {*heads, *checkpoints}}
        for chain, records in _by_chain(connection):
            check = checks.setdefault(chain, _ChainCheck.begin(key, chain, None))
            check.follow(records, heads.get(chain))
            if tell is not None:
                tell(sum(each.checked for each in checks.values()))
    findings = [Finding(chain, 0, "the sealed head was altered") for chain in broken]
    findings += [found for chain, check in sorted(checks.items()) if (found := check.end(heads.get(chain)))]
    checked = sum(check.checked for check in checks.values())
    return Verification(checked, len(checks), tuple(findings[:MAX_FINDINGS]))


def retain(session: Session, key: bytes, before: datetime, limit: int) -> int:
    """Delete up to `limit` old entries from the beginning of each chain, and seal where the rest begins.

    Returns how many were deleted, in the session's transaction. Raises Conflict for a chain that is broken there: what
    was tampered with is evidence.
    """
    chains = session.scalars(select(AuditRecord.chain).where(AuditRecord.at < before).distinct())
    return sum(_retain_chain(session, key, chain, before, limit) for chain in chains.all())


def _retain_chain(session: Session, key: bytes, chain: str, before: datetime, limit: int) -> int:
    of_chain = AuditRecord.chain == chain
    first_kept = session.scalar(select(func.min(AuditRecord.sequence)).where(of_chain, AuditRecord.at >= before))
    old = [of_chain] if first_kept is None else [of_chain, AuditRecord.sequence < first_kept]
    checkpoint = session.get(AuditCheckpoint, chain)
    check = _ChainCheck.begin(key, chain, checkpoint)
    statement = select(AuditRecord.__table__).where(*old).order_by(AuditRecord.sequence).limit(limit)
    check.follow(session.execute(statement, execution_options={"yield_per": CHUNK_ROWS}), None)
    if check.finding is not None:
        raise Conflict(f"The audit chain {chain} is broken at entry {check.finding.sequence}; nothing is deleted")
    if check.checked == 0:
        return 0
    last = check.last
    session.merge(
        AuditCheckpoint(chain=chain, sequence=last.sequence, hmac=last.hmac, seal=seal(key, "checkpoint", last))
    )
    session.execute(delete(AuditRecord).where(of_chain, AuditRecord.sequence <= last.sequence))
    return check.checked


class _ChainCheck:
    """Follows one chain from its beginning or its checkpoint, up to the first thing that is wrong."""

    def __init__(self, key: bytes, begin: Head, finding: Finding | None) -> None:
        self._begun_mac = begun_mac(key)
        self.last = begin
        self.finding = finding
        self.checked = 0

    @classmethod
    def begin(cls, key: bytes, chain: str, checkpoint: Any) -> "_ChainCheck":
        """At the checkpoint where there is one."""
        if checkpoint is None:
            return cls(key, Head(chain, 0, GENESIS), None)
        head = Head(chain, checkpoint.sequence, checkpoint.hmac)
        is_sealed = hmac.compare_digest(seal(key, "checkpoint", head), checkpoint.seal)
        return cls(key, head, None if is_sealed else Finding(chain, head.sequence, "the checkpoint was altered"))

    def follow(self, records: Iterable[Any], head: Head | None) -> None:
        """Check the entries of the chain in their order."""
        for record in records:
            self.checked += 1
            if self.finding is None:
                self._step(record, head)

    def _step(self, record: Any, head: Head | None) -> None:
        chain, number = self.last.chain, self.last.sequence + 1
        if record.sequence != number:
            self.finding = Finding(chain, number, "an entry is missing")
            return
        expected = link(self._begun_mac, chain, number, self.last.hmac, record)
        is_sealed_otherwise = head is not None and head.sequence == number and head.hmac != record.hmac
        if not hmac.compare_digest(expected, record.hmac) or is_sealed_otherwise:
            self.finding = Finding(chain, number, "an entry was altered")
            return
        self.last = self.last.followed_by(expected)

    def end(self, head: Head | None) -> Finding | None:
        """What is wrong with the chain, now that all its entries were seen."""
        if self.finding is not None:
            return self.finding
        if head is None and self.last.sequence > 1:
            return Finding(self.last.chain, 0, "the sealed head is missing")
        if head is not None and head.sequence > self.last.sequence:
            return Finding(self.last.chain, self.last.sequence + 1, "the chain was cut short")
        return None


def _by_chain(connection: Connection) -> Iterator[tuple[str, Iterable[Any]]]:
    statement = select(AuditRecord.__table__).order_by(AuditRecord.chain, AuditRecord.sequence)
    rows = connection.execute(statement, execution_options={"yield_per": CHUNK_ROWS})
    return groupby(rows, key=lambda row: str(row.chain))


def _snapshot(engine: Engine) -> dict[str, Any]:
    # On SQLite every transaction that reads is a snapshot already.
    return {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else READ_ONLY
