"""Ends the changes of tables whose process ended before it could."""

from dataclasses import dataclass

from rest_api.backends.catalog import TableLogs
from rest_api.services import changes
from rest_api.tasks.task import Outcome, Run


@dataclass(frozen=True)
class ChangeRecovery:
    """A second run finds nothing but what is under way."""

    logs: TableLogs
    type: str = "change_recovery"
    role: str = "admin"
    parameters: tuple[str, ...] = ()
    schedule: str | None = "35 * * * *"

    def run(self, run: Run) -> Outcome:
        return Outcome({"begun": changes.recover(run.engine, self.logs)})
