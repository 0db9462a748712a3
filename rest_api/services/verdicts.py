"""What became of replayed events, as who applied or refused them says; the lake proves what it has itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, or_, update
from sqlalchemy.orm import Session

from rest_api.models.replay import DEAD_LETTERED, DIVERGED, MISSING, PENDING, ReplayEvent

VERDICT_BY_OUTCOME = {"diverged": DIVERGED, "quarantined": DEAD_LETTERED}


@dataclass(frozen=True)
class Finding:
    """What ingestion did with one replayed event.

    `outcome` is applied, unchanged, diverged or quarantined; `version` the dataset's that was written or looked at.
    """

    replay_id: str
    transaction_id: str
    hash: str | None
    outcome: str
    reason: str | None = None
    version: int | None = None


def record(session: Session, findings: Iterable[Finding]) -> None:
    """Keep what was found, in the caller's transaction. What is none of a replay's events changes nothing."""
    rows = [_row(finding) for finding in findings]
    if rows:
        session.connection().execute(_STATEMENT, rows)


def _row(finding: Finding) -> dict[str, str | int | None]:
    return {
        "of_replay": finding.replay_id,
        "of_transaction": finding.transaction_id,
        "of_hash": finding.hash,
        "new_verdict": VERDICT_BY_OUTCOME.get(finding.outcome, PENDING),
        "new_reason": finding.reason,
        "new_version": finding.version,
    }


# By the hash too: whoever may write rows shall not tell anything of a replay that he only knows the id of.
_STATEMENT = (
    update(ReplayEvent)
    .where(
        ReplayEvent.replay_id == bindparam("of_replay"),
        ReplayEvent.transaction_id == bindparam("of_transaction"),
        ReplayEvent.hash.is_not_distinct_from(bindparam("of_hash")),
        or_(ReplayEvent.verdict == PENDING, ReplayEvent.verdict == MISSING),  # a list would allow one row only
    )
    .values(
        verdict=bindparam("new_verdict"),
        reason=bindparam("new_reason"),
        version=bindparam("new_version"),
    )
)
