"""Kills and stops workers at random while they run jobs, and counts what was lost or came twice.

`python -m tests.jobs.chaos DATABASE_URL --jobs 1000 --disturbances 200` on an empty database; the figures of the full
size are in docs/CHAOS.md.
"""

import argparse
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from random import Random
from uuid import uuid4

from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from rest_api.database import create_engine_for, utc_now
from rest_api.models import metadata
from rest_api.models.event import Event
from rest_api.models.job import UNFINISHED, Job
from rest_api.services import events, jobs
from tests.jobs.chaos_worker import LEASE_SECONDS

WORKERS = 4
KILLS = 0.7
"""The share of kills among the disturbances."""
PAUSE_SECONDS = 0.7
LOCKED_SECONDS = 0.5
Silence = tuple[str, datetime]
"""A job, and when its worker fell silent."""


@dataclass(frozen=True)
class Found:
    """What a run came to; take-overs in seconds from the moment a worker fell silent until another claimed its job."""

    jobs: int
    kills: int
    stops: int
    stops_in_writes: int
    lost: int
    doubled: int
    seconds: float
    takeovers: tuple[float, ...]

    def __str__(self) -> str:
        ordered = sorted(self.takeovers) or [0.0]
        middle, worst = ordered[len(ordered) // 2], ordered[-1]
        return (
            f"{self.jobs} jobs, {self.kills} kill -9, {self.stops} SIGSTOP past the lease, {self.stops_in_writes} "
            f"short ones within a write, {self.seconds:.0f} s: {self.lost} lost, {self.doubled} doubled; "
            f"{len(ordered)} take-overs, median {middle:.2f} s, longest {worst:.2f} s (lease {LEASE_SECONDS:.0f} s)"
        )


class Fleet:
    """The worker processes, always four of them."""

    def __init__(self, url: str, job_seconds: float) -> None:
        self._url = url
        self._job_seconds = job_seconds
        self._hands: dict[str, subprocess.Popen[bytes]] = {}
        for _ in range(WORKERS):
            self.hire()

    def hire(self) -> None:
        """Start one more."""
        name = uuid4().hex
        command = [sys.executable, "-m", "tests.jobs.chaos_worker", self._url, name, str(self._job_seconds)]
        self._hands[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def names(self) -> list[str]:
        return sorted(self._hands)

    def kill(self, name: str) -> None:
        """End one as a power cut would, and start another."""
        hand = self._hands.pop(name)
        hand.kill()
        hand.wait()
        self.hire()

    def send(self, name: str, number: signal.Signals) -> None:
        self._hands[name].send_signal(number)

    def dismiss(self) -> None:
        """End them all."""
        for hand in self._hands.values():
            hand.kill()
            hand.wait()


def run_chaos(url: str, job_count: int, disturbances: int, *, job_seconds: float, seed: int) -> Found:
    """Run so many jobs on an empty database, disturbed so often, and count.

    Jobs are asked for at the pace of the disturbances, so that a take-over need not wait in a queue.
    """
    engine = create_engine_for(url)
    _prepare(engine)
    random, begun_at = Random(seed), time.monotonic()
    silences: list[Silence] = []
    kills, stops_in_writes = round(disturbances * KILLS), 0
    kinds = random.sample([True] * kills + [False] * (disturbances - kills), disturbances)
    with _fleet(url, job_seconds) as fleet:
        for number, is_kill in enumerate(kinds):
            _ask(engine, job_count * (number + 1) // disturbances - job_count * number // disturbances)
            while (silence := _disturb(engine, fleet, random, is_kill=is_kill)) is None:
                stops_in_writes += 1
            silences += silence
        while _unfinished(engine):
            time.sleep(0.1)
    found = _count(engine, job_count, silences)
    engine.dispose()
    stops = disturbances - kills
    return Found(job_count, kills, stops, stops_in_writes, *found[:2], time.monotonic() - begun_at, found[2])


@contextmanager
def _fleet(url: str, job_seconds: float) -> Iterator[Fleet]:
    fleet = Fleet(url, job_seconds)
    try:
        yield fleet
    finally:
        fleet.dismiss()


def _prepare(engine: Engine) -> None:
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text("create table effects (job_id integer, epoch integer)"))


def _ask(engine: Engine, job_count: int) -> None:
    with Session(engine) as session:
        events.install(session)
        for _ in range(job_count):
            jobs.enqueue(session, "slow", {}, None)
        session.commit()


def _busy(engine: Engine, fleet: Fleet) -> list[str]:
    with Session(engine) as session:
        working = set(session.scalars(select(Job.worker).where(Job.state == "running")))
    return [name for name in fleet.names() if name in working]


def _disturb(engine: Engine, fleet: Fleet, random: Random, *, is_kill: bool) -> list[Silence] | None:
    time.sleep(PAUSE_SECONDS)
    name = random.choice(_busy(engine, fleet) or fleet.names())
    return _kill(engine, fleet, name) if is_kill else _stop(engine, fleet, name)


def _held(engine: Engine, name: str) -> list[str]:
    """The job in a worker's hands, as events name it."""
    with Session(engine) as session:
        held = session.scalars(select(Job.id).where(Job.worker == name, Job.state == "running")).all()
    return [f"jobs/{job_id}" for job_id in held]


def _kill(engine: Engine, fleet: Fleet, name: str) -> list[Silence]:
    at = utc_now()
    fleet.kill(name)
    return [(job, at) for job in _held(engine, name)]


def _stop(engine: Engine, fleet: Fleet, name: str) -> list[Silence] | None:
    """Stop a worker past its lease, then let it go on with a job that may be another's by then.

    None where it was stopped with SQLite's one write lock in its hands: nobody gets on then, so it goes on at once.
    """
    at = utc_now()
    fleet.send(name, signal.SIGSTOP)
    try:
        if not _may_write(engine):
            return None
        silence = [(job, at) for job in _held(engine, name)]
        time.sleep(LEASE_SECONDS + 1)
        return silence
    finally:
        fleet.send(name, signal.SIGCONT)


def _may_write(engine: Engine) -> bool:
    if engine.url.database is None or engine.dialect.name != "sqlite":
        return True
    with closing(sqlite3.connect(engine.url.database, timeout=LOCKED_SECONDS)) as connection:
        try:
            connection.execute("begin immediate")
        except sqlite3.OperationalError:
            return False
    return True


def _unfinished(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).where(Job.state.in_(UNFINISHED))) or 0


def _count(engine: Engine, job_count: int, silences: list[Silence]) -> tuple[int, int, tuple[float, ...]]:
    with Session(engine) as session:
        effects = session.scalar(text("select count(*) from effects")) or 0
        distinct = session.scalar(text("select count(distinct job_id) from effects")) or 0
        succeeded = session.scalar(select(func.count()).where(Job.state == "succeeded")) or 0
        starts = session.execute(select(Event.subject, Event.time).where(Event.type == "job.started")).all()
    later = [
        [(at - silent_at).total_seconds() for subject, at in starts if subject == job and at > silent_at]
        for job, silent_at in silences
    ]
    # One that ended just as it fell silent was not taken over.
    takeovers = tuple(min(each) for each in later if each)
    return job_count - min(distinct, succeeded), effects - distinct, takeovers


def main() -> None:
    """Run it once and print what came of it; exit code 1 where something was lost or doubled."""
    parser = argparse.ArgumentParser(description="Kill and stop workers while they run jobs.")
    parser.add_argument("database_url")
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--disturbances", type=int, default=200)
    parser.add_argument("--job-seconds", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    found = run_chaos(
        given.database_url, given.jobs, given.disturbances, job_seconds=given.job_seconds, seed=given.seed
    )
    sys.stdout.write(f"{found}\n")
    sys.exit(bool(found.lost or found.doubled))


if __name__ == "__main__":
    main()
