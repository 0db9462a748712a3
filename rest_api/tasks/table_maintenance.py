"""Keeps the lake's tables in shape, each in a process of its own: what breaks over one harms no other."""

from dataclasses import dataclass
from typing import Any

from rest_api.backends.maintenance.tables import Upkeep
from rest_api.tasks.task import Outcome, Run


@dataclass(frozen=True)
class TableMaintenance:
    """No row changes. It succeeds even where a table could not be maintained; `problems` says so by name."""

    upkeep: Upkeep
    type: str = "table_maintenance"
    role: str = "admin"
    parameters: tuple[str, ...] = ()
    schedule: str | None = "50 * * * *"

    def run(self, run: Run) -> Outcome:
        tables = self.upkeep.tables()
        told: dict[str, dict[str, Any]] = {}
        for done, (name, location) in enumerate(tables):

            def look(done: int = done) -> None:
                run.progress(done, len(tables), "tables")

            look()
            told[name] = self.upkeep.maintain(location, look)
        return Outcome(
            {
                "tables": len(tables),
                "files_joined": sum(each.get("files_joined", 0) for each in told.values()),
                "files_deleted": sum(each.get("files_deleted", 0) for each in told.values()),
                "problems": {name: each["problem"] for name, each in told.items() if "problem" in each},
            }
        )
