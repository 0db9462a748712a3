"""Workers are killed and stopped while they run jobs: none is lost, none has its effect twice."""

from statistics import median

from tests.jobs.chaos import run_chaos
from tests.jobs.chaos_worker import LEASE_SECONDS


def test_no_job_is_lost_or_doubled_when_workers_die(database_url: str) -> None:
    """A sample; the full size is `python -m tests.jobs.chaos`, its figures are in docs/CHAOS.md."""
    found = run_chaos(database_url, 40, 6, job_seconds=0.3, seed=7)
    assert (found.lost, found.doubled) == (0, 0), found
    assert found.kills > 0
    assert found.stops > 0
    # The longest is measured by the full run, on a machine that does nothing else.
    assert median(found.takeovers) <= LEASE_SECONDS + 1, found
