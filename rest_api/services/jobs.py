"""Jobs as those see them who ask for them: queued, looked up, cancelled; each change of state leaves its event."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from rest_api.database import database_now, utc_now
from rest_api.errors import Conflict, NotFound
from rest_api.models.job import CANCELLED, QUEUED, RUNNING, Job
from rest_api.services import events
from rest_api.services.events import Watcher

NO_PROGRESS = {"done": 0, "total": None, "unit": "steps"}


def enqueue(
    session: Session, job_type: str, arguments: Mapping[str, Any], owner_id: int | None, slot: str | None = None
) -> Job:
    """Ask for a job; without an owner it is the system's. Raises IntegrityError where the slot has its job already."""
    job = Job(
        type=job_type,
        arguments=dict(arguments),
        state=QUEUED,
        owner_id=owner_id,
        slot=slot,
        progress=NO_PROGRESS,
        created_at=utc_now(),
        run_at=now(session),
        epoch=0,
        attempts=0,
        losses=0,
    )
    session.add(job)
    session.flush()
    tell(session, job)
    return job


def visible(watcher: Watcher) -> list[ColumnElement[bool]]:
    """What restricts the jobs somebody sees: his own, and an administrator all."""
    return [] if watcher.is_admin else [Job.owner_id == watcher.user_id]


def find_job(session: Session, job_id: int, watcher: Watcher) -> Job:
    """The job of that id. Raises NotFound, for a job that is not his too."""
    job = session.scalar(select(Job).where(Job.id == job_id, *visible(watcher)))
    if job is None:
        raise NotFound("There is no such job")
    return job


def cancel_job(session: Session, job_id: int, watcher: Watcher) -> Job:
    """End a waiting job at once, ask for the end of a running one. Raises NotFound, Conflict for a finished one."""
    find_job(session, job_id, watcher)
    job = session.get_one(Job, job_id, with_for_update=True, populate_existing=True)
    if job.state == QUEUED:
        job.state, job.finished_at = CANCELLED, utc_now()
        job.epoch += 1
        session.flush()
        tell(session, job)
    elif job.state == RUNNING:
        job.cancel_at = job.cancel_at or now(session)
        session.flush()
    else:
        raise Conflict(f"The job has {job.state} already", code="job_finished")
    return job


def now(session: Session) -> float:
    """The database's clock, in seconds since 1970."""
    dialect = session.get_bind().dialect.name
    return float(session.execute(select(database_now(dialect))).scalar_one())


@dataclass(frozen=True)
class Advance:
    """How far a running job has come, for who is told of it meanwhile."""

    job_id: int
    type: str
    owner_id: int | None
    progress: Mapping[str, Any]


def tell_advance(session: Session, advance: Advance) -> None:
    """Leave the event of a running job's progress."""
    data = {"id": advance.job_id, "type": advance.type, "state": RUNNING, "progress": dict(advance.progress)}
    _record(session, "progressed", data, advance.owner_id)


def tell(session: Session, job: Job) -> None:
    """Leave the event of a state: for the job's owner, or for administrators where it is the system's."""
    happened = "started" if job.state == RUNNING else job.state
    data = {"id": job.id, "type": job.type, "state": job.state, "result": job.result, "problem": job.problem}
    _record(session, happened, data, job.owner_id)


def _record(session: Session, happened: str, data: dict[str, Any], owner_id: int | None) -> None:
    events.record(
        session,
        type=f"job.{happened}",
        subject=f"jobs/{data['id']}",
        data=data,
        audience="admin" if owner_id is None else None,
        owner_id=owner_id,
    )
