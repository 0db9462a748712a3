"""A worker whose one type of job takes a while and then leaves a row.

`python -m tests.jobs.chaos_worker DATABASE_URL NAME SECONDS`
"""

import signal
import sys
import time
from dataclasses import dataclass
from threading import Event

from sqlalchemy import text
from sqlalchemy.orm import Session

from rest_api.database import create_engine_for
from rest_api.observability import WorkerMetrics
from rest_api.services.leases import Leases
from rest_api.tasks.task import Outcome, Run
from rest_api.worker import Worker

LEASE_SECONDS = 2.0


@dataclass(frozen=True)
class Slow:
    """Works, and has its effect with its end."""

    seconds: float
    type: str = "slow"
    role: str = "admin"
    parameters: tuple[str, ...] = ()
    schedule: str | None = None

    def run(self, run: Run) -> Outcome:
        values = {"job": run.job_id, "epoch": run.epoch}
        ends_at = time.monotonic() + self.seconds
        while time.monotonic() < ends_at:
            run.progress(0, 1, "rows")
            time.sleep(0.02)

        def leave(session: Session) -> None:
            session.execute(text("insert into effects values (:job, :epoch)"), values)

        return Outcome({}, leave)


def main() -> None:
    """Work until SIGTERM."""
    engine = create_engine_for(sys.argv[1])
    leases = Leases(engine, LEASE_SECONDS, sys.argv[2])
    stopping = Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    Worker(leases, {"slow": Slow(float(sys.argv[3]))}, WorkerMetrics.on(leases.count_queued), stopping).work()


if __name__ == "__main__":
    main()
