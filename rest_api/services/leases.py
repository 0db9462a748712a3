"""Leases: which worker may work on a job, decided by the database's clock and fenced by an epoch.

A claim raises the job's epoch, and every later write asks for just that epoch: a worker that was taken for dead, and
comes back, writes nothing. The effect of a job commits together with its state.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, event, exists, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from rest_api.database import READ_ONLY, database_now, utc_now
from rest_api.models.job import CANCELLED, FAILED, QUEUED, RUNNING, Job
from rest_api.models.user import ROLES, User
from rest_api.services import events, jobs
from rest_api.services.jobs import Advance

MAX_LOSSES = 25
"""How many workers may vanish over one job before it is given up: it may be what ends them."""
CANCEL_SECONDS = 1.5
"""How long a worker may take to end a job it was asked to; then any other one ends it."""
Effect = Callable[[Session], None]


class Stopped(Exception):
    """The job must not go on; nothing of it may be written any more except by who says why."""


class Cancelled(Stopped):
    """Its end was asked for."""


class Fenced(Stopped):
    """Another worker has it by now."""


@dataclass(frozen=True)
class Claim:
    """A job in the hands of one worker. `job_id:epoch` names an effect outside the database."""

    job_id: int
    epoch: int
    type: str
    arguments: dict[str, Any]
    owner_id: int | None
    attempts: int


class Leases:
    """The queue as workers see it."""

    def __init__(self, engine: Engine, lease_seconds: float, worker: str) -> None:
        self.engine = engine
        self.lease_seconds = lease_seconds
        self._worker = worker
        self._now = database_now(engine.dialect.name)
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        events.install(self._sessions)
        event.listen(self._sessions, "after_begin", self._bound_idleness)

    def claim(self) -> Claim | None:
        """The job that has waited longest, or that its worker left; None where there is nothing to do."""
        if not self._has_work():
            return None
        with self._sessions.begin() as session:
            due = select(Job).where(self._is_due()).order_by(Job.run_at, Job.id).limit(1)
            job = session.scalar(due.with_for_update(skip_locked=True))
            if job is None:
                return None
            return self._take(session, job)

    def beat(self, claim: Claim, progress: dict[str, Any] | None = None, news: Advance | None = None) -> None:
        """Prolong the lease, keep how far the job is, and leave the event of `news`. Raises Fenced, Cancelled."""
        values: dict[str, Any] = {"lease_until": self._now + self.lease_seconds}
        if progress is not None:
            values["progress"] = progress
        prolonged = update(Job).where(*self._held(claim)).values(values).returning(Job.cancel_at)
        with self._sessions.begin() as session:
            held = session.execute(prolonged, execution_options={"synchronize_session": False}).first()
            if held is None:
                raise Fenced
            if news is not None:
                jobs.tell_advance(session, news)
        if held.cancel_at is not None:
            raise Cancelled

    @contextmanager
    def transaction(self, claim: Claim) -> Iterator[Session]:
        """A transaction for a step of the job, committed only if the job is still ours. Raises Fenced, Cancelled."""
        with self._sessions.begin() as session:
            _go_on(self._hold(session, claim))
            yield session

    def finish(
        self, claim: Claim, state: str, *, result: Any = None, problem: Any = None, effect: Effect | None = None
    ) -> None:
        """End the job and have its effect, in one transaction.

        Raises Fenced, and Cancelled where its end was asked for meanwhile; then there was no effect.
        """
        with self._sessions.begin() as session:
            job = self._hold(session, claim)
            if state != CANCELLED:
                _go_on(job)
            if effect is not None:
                effect(session)
            job.state, job.result, job.problem = state, result, problem
            job.finished_at, job.lease_until, job.worker = utc_now(), None, None
            session.flush()
            jobs.tell(session, job)

    def put_back(self, claim: Claim, *, after_seconds: float, is_failure: bool) -> None:
        """Let the job be claimed again, at once or later. Raises Fenced, Cancelled."""
        with self._sessions.begin() as session:
            job = self._hold(session, claim)
            _go_on(job)
            job.state, job.lease_until, job.worker = QUEUED, None, None
            job.run_at = jobs.now(session) + after_seconds
            job.epoch += 1
            job.attempts += is_failure
            session.flush()
            jobs.tell(session, job)

    def count_queued(self) -> float:
        """How many jobs wait; not a number while the database does not answer."""
        try:
            with self.engine.connect().execution_options(**READ_ONLY) as connection:
                return float(connection.execute(select(func.count()).where(Job.state == QUEUED)).scalar_one())
        except SQLAlchemyError:
            return math.nan

    def _has_work(self) -> bool:
        # Asked for without the write lock: an idle worker keeps nobody waiting.
        with self.engine.connect().execution_options(**READ_ONLY) as connection:
            return bool(connection.scalar(select(exists().where(self._is_due()))))

    def _is_due(self) -> ColumnElement[bool]:
        waits = and_(Job.state == QUEUED, Job.run_at <= self._now)
        is_left = or_(Job.lease_until < self._now, Job.cancel_at < self._now - CANCEL_SECONDS)
        return or_(waits, and_(Job.state == RUNNING, is_left))

    def _take(self, session: Session, job: Job) -> Claim | None:
        job.losses += job.state == RUNNING
        job.epoch += 1
        if job.cancel_at is not None:
            self._end_unclaimed(session, job, CANCELLED, None)
            return None
        if job.losses > MAX_LOSSES:
            problem = {"code": "worker_lost", "detail": f"{job.losses} workers vanished over this job"}
            self._end_unclaimed(session, job, FAILED, problem)
            return None
        job.state, job.worker = RUNNING, self._worker
        job.started_at = job.started_at or utc_now()
        job.lease_until = jobs.now(session) + self.lease_seconds
        session.flush()
        jobs.tell(session, job)
        return Claim(job.id, job.epoch, job.type, job.arguments, job.owner_id, job.attempts)

    def _end_unclaimed(self, session: Session, job: Job, state: str, problem: dict[str, Any] | None) -> None:
        job.state, job.problem, job.finished_at, job.lease_until = state, problem, utc_now(), None
        session.flush()
        jobs.tell(session, job)

    def _hold(self, session: Session, claim: Claim) -> Job:
        job = session.scalar(select(Job).where(*self._held(claim)).with_for_update())
        if job is None:
            raise Fenced
        return job

    def _bound_idleness(self, _session: Session, _transaction: object, connection: Connection) -> None:
        # A worker that is stopped in the middle of a transaction would keep its job from every other one.
        if connection.dialect.name == "postgresql":
            milliseconds = max(1, int(self.lease_seconds * 1_000))
            connection.exec_driver_sql(f"set local idle_in_transaction_session_timeout = {milliseconds}")

    def _held(self, claim: Claim) -> tuple[ColumnElement[bool], ...]:
        return Job.id == claim.job_id, Job.epoch == claim.epoch, Job.state == RUNNING


def _go_on(job: Job) -> None:
    if job.cancel_at is not None:
        raise Cancelled


def may_still(engine: Engine, owner_id: int | None, role: str) -> bool:
    """Whether a job's owner may have it run at this moment; the system may."""
    if owner_id is None:
        return True
    with engine.connect().execution_options(**READ_ONLY) as connection:
        owner = connection.execute(select(User.role, User.disabled_at).where(User.id == owner_id)).first()
    return owner is not None and owner.disabled_at is None and ROLES.index(owner.role) >= ROLES.index(role)
