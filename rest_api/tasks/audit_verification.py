"""Checks the whole audit trail."""

from dataclasses import dataclass
from pathlib import Path

from rest_api.services import audit_verification
from rest_api.tasks.task import Outcome, Run


@dataclass(frozen=True)
class AuditVerification:
    """It succeeds whatever it finds; `ok` says whether the trail is whole."""

    key: bytes
    heads_dir: Path
    type: str = "audit_verification"
    role: str = "admin"
    parameters: tuple[str, ...] = ()
    schedule: str | None = "40 3 * * *"

    def run(self, run: Run) -> Outcome:
        def tell(checked: int) -> None:
            run.progress(checked, None, "entries")

        found = audit_verification.verify(run.engine, self.key, self.heads_dir, tell)
        problems = [f"{each.chain} {each.sequence}: {each.detail}" for each in found.problems]
        return Outcome({"ok": found.ok, "checked": found.checked, "chains": found.chains, "problems": problems})
