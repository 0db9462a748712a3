"""Deletes old audit entries, chain by chain, and seals where the kept part begins."""

from dataclasses import dataclass
from datetime import timedelta

from rest_api.database import utc_now
from rest_api.services import audit_verification
from rest_api.tasks.task import Outcome, Run

STEP_ROWS = 2_000


@dataclass(frozen=True)
class AuditRetention:
    """A broken chain fails the job: what was tampered with is kept."""

    key: bytes
    days: int
    type: str = "audit_retention"
    role: str = "admin"
    parameters: tuple[str, ...] = ()
    schedule: str | None = "20 3 * * *"

    def run(self, run: Run) -> Outcome:
        before = utc_now() - timedelta(days=self.days)
        deleted = run.steps("entries", lambda session: audit_verification.retain(session, self.key, before, STEP_ROWS))
        return Outcome({"deleted": deleted})
