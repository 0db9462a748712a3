"""Schedules: jobs that the system asks for by itself, once for each moment they are due, however many workers run."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from croniter import croniter
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from rest_api.database import READ_ONLY, database_now
from rest_api.models.job import Job
from rest_api.services import events, jobs


@dataclass(frozen=True)
class Schedule:
    """A type of job and when it is due: five fields of cron, in UTC."""

    job_type: str
    cron: str

    def slot(self, at: datetime) -> str:
        """The last moment it was due, as the key that makes its job the only one."""
        due_at: datetime = croniter(self.cron, at).get_prev(datetime)
        return f"{self.job_type} {due_at:%Y-%m-%dT%H:%MZ}"


def fire(engine: Engine, schedules: Iterable[Schedule]) -> list[str]:
    """Ask for every job whose last moment has none yet. Returns the slots asked for."""
    with engine.connect().execution_options(**READ_ONLY) as connection:
        at = datetime.fromtimestamp(connection.execute(select(database_now(engine.dialect.name))).scalar_one(), UTC)
        slots = {schedule.slot(at): schedule for schedule in schedules}
        known = set(connection.scalars(select(Job.slot).where(Job.slot.in_(slots))))
    return [slot for slot, schedule in slots.items() if slot not in known and _ask(engine, schedule, slot)]


def _ask(engine: Engine, schedule: Schedule, slot: str) -> bool:
    with Session(engine) as session:
        events.install(session)
        try:
            jobs.enqueue(session, schedule.job_type, {}, None, slot)
            session.commit()
        except IntegrityError:
            return False  # another worker was quicker
    return True
