"""The worker: a process that runs jobs, one at a time, and asks for those that are due."""

import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from rest_api.backends.catalog import TableLogs
from rest_api.backends.delta import DeltaTables
from rest_api.backends.lake import lake_of
from rest_api.backends.storage.local import LocalStorage
from rest_api.database import create_engine_for
from rest_api.errors import Refusal
from rest_api.models.job import CANCELLED, FAILED, SUCCEEDED
from rest_api.observability import WorkerMetrics, configure_logging, serve_metrics
from rest_api.services import changes, schedules
from rest_api.services.deliveries import delivering
from rest_api.services.jobs import Advance
from rest_api.services.leases import Cancelled, Claim, Fenced, Leases, Stopped, may_still
from rest_api.services.schedules import Schedule
from rest_api.settings import Settings, SettingsError
from rest_api.tasks import all_tasks
from rest_api.tasks.task import Run, Task

POLL_SECONDS = 0.25
SCHEDULE_SECONDS = 10.0
BEAT_SECONDS = 0.5
PROGRESS_SECONDS = 1.0
GRACE_SECONDS = 3.0
"""How long a job that is told to stop may take; then its lease is given back over its head."""
CANCEL_SECONDS = 1.0
"""How long a job that was cancelled may take to end; then it is ended over its head, and has no effect."""
AWAY = (OperationalError, InternalError, InterfaceError, PoolTimeoutError)
"""What the database says of itself rather than of what it was asked."""
MAX_ATTEMPTS = 5
MAX_BACKOFF_SECONDS = 60
log = structlog.get_logger(__name__)


class Interrupted(Stopped):
    """The worker is to end; another one goes on with the job."""


@dataclass(frozen=True)
class Worker:
    """Claims jobs and runs them until `stopping` is set."""

    leases: Leases
    tasks: Mapping[str, Task]
    metrics: WorkerMetrics
    stopping: Event

    def work(self) -> None:
        """Run until told to stop; a database that is away is waited for."""
        scheduled_at = -SCHEDULE_SECONDS
        while not self.stopping.is_set():
            try:
                if time.monotonic() - scheduled_at > SCHEDULE_SECONDS:
                    schedules.fire(self.leases.engine, self._schedules())
                    scheduled_at = time.monotonic()
                if not self.work_once():
                    self.stopping.wait(POLL_SECONDS)
            except SQLAlchemyError as error:
                log.warning("the database does not answer", error=type(error).__name__)
                self.stopping.wait(1)

    def work_once(self) -> bool:
        """Run one job, if there is one. Returns whether there was."""
        self.metrics.looked_at.set_to_current_time()
        claim = self.leases.claim()
        if claim is None:
            return False
        begun_at = time.monotonic()
        with self.metrics.running.track_inprogress():
            state = self._run(claim)
        seconds = time.monotonic() - begun_at
        self.metrics.finished.labels(claim.type, state).inc()
        self.metrics.duration.labels(claim.type).observe(seconds)
        log.info("job", job=claim.job_id, type=claim.type, state=state, seconds=round(seconds, 3))
        return True

    def _run(self, claim: Claim) -> str:
        """Run a claimed job to an end. Returns its state, or what became of the claim."""
        task = self.tasks.get(claim.type)
        if task is None:
            return self._end(claim, FAILED, problem=_problem("unknown_type", "This worker does not know such jobs"))
        if not may_still(self.leases.engine, claim.owner_id, task.role):
            return self._end(claim, FAILED, problem=_problem("forbidden", "Its owner may not have it run any more"))
        heart = Heart(self.leases, claim, self.stopping)
        heart.start()
        try:
            return self._run_task(claim, task, heart)
        except Cancelled:
            return self._end(claim, CANCELLED)
        except Interrupted:
            return self._put_back(claim, 0, is_failure=False)
        except Fenced:
            self.metrics.lost.inc()
            return "lost"
        finally:
            heart.stop()

    def _run_task(self, claim: Claim, task: Task, heart: "Heart") -> str:
        run = Run(
            job_id=claim.job_id,
            epoch=claim.epoch,
            arguments=claim.arguments,
            engine=self.leases.engine,
            progress=heart.progress,
            transaction=lambda: self.leases.transaction(claim),
        )
        try:
            outcome = task.run(run)
            heart.check()
            self.leases.finish(claim, SUCCEEDED, result=outcome.result, effect=outcome.effect)
        except Stopped:
            raise
        except Refusal as refusal:
            return self._fail(claim, _problem(refusal.code, refusal.detail), may_pass=refusal.retriable)
        except AWAY:
            log.warning("the database failed a job", job=claim.job_id)
            return self._fail(claim, _problem("unavailable", "The database did not answer"), may_pass=True)
        except Exception:
            log.exception("a job broke", job=claim.job_id, type=claim.type)
            return self._fail(claim, _problem("internal", "An internal error occurred"), may_pass=False)
        return SUCCEEDED

    def _fail(self, claim: Claim, problem: dict[str, Any], *, may_pass: bool) -> str:
        if may_pass and claim.attempts + 1 < MAX_ATTEMPTS:
            return self._put_back(claim, min(MAX_BACKOFF_SECONDS, 2**claim.attempts), is_failure=True)
        return self._end(claim, FAILED, problem=problem)

    def _end(self, claim: Claim, state: str, *, problem: dict[str, Any] | None = None) -> str:
        return self._unless_lost(claim, state, lambda: self.leases.finish(claim, state, problem=problem))

    def _put_back(self, claim: Claim, seconds: float, *, is_failure: bool) -> str:
        return self._unless_lost(
            claim, "put_back", lambda: self.leases.put_back(claim, after_seconds=seconds, is_failure=is_failure)
        )

    def _unless_lost(self, claim: Claim, state: str, write: Callable[[], None]) -> str:
        try:
            write()
        except Fenced:
            self.metrics.lost.inc()
            return "lost"
        except Cancelled:
            return self._end(claim, CANCELLED)
        return state

    def _schedules(self) -> list[Schedule]:
        return [Schedule(task.type, task.schedule) for task in self.tasks.values() if task.schedule]


class News:
    """What is told of a job's progress: once a second at most, and only what is new."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._told: Advance | None = None
        self._told_at = -PROGRESS_SECONDS

    def of(self, progress: dict[str, Any] | None) -> Advance | None:
        """What to tell of it now; None where it is no news, or comes too soon."""
        if progress is None or time.monotonic() - self._told_at < PROGRESS_SECONDS:
            return None
        advance = Advance(self._claim.job_id, self._claim.type, self._claim.owner_id, progress)
        return None if advance == self._told else advance

    def keep(self, advance: Advance | None) -> None:
        """Remember what was told."""
        if advance is not None:
            self._told, self._told_at = advance, time.monotonic()


class Heart:
    """Prolongs the lease of a job from a thread of its own, and tells the job when it must stop."""

    def __init__(self, leases: Leases, claim: Claim, stopping: Event) -> None:
        self._leases = leases
        self._claim = claim
        self._stopping = stopping
        self._ended = Event()
        self._reason: Stopped | None = None
        self._progress: dict[str, Any] | None = None
        self._news = News(claim)
        self._thread = Thread(target=self._beat, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._ended.set()
        self._thread.join()

    def check(self) -> None:
        """Raises Stopped where the job must not go on."""
        if self._reason is not None:
            raise self._reason
        if self._stopping.is_set():
            raise Interrupted

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """Tell how far the job is, with the next beat. Raises Stopped."""
        self._progress = {"done": done, "total": total, "unit": unit}
        self.check()

    def _beat(self) -> None:
        seconds = min(BEAT_SECONDS, self._leases.lease_seconds / 3)
        told_at: float | None = None
        while not self._ended.wait(seconds):
            try:
                news = self._news.of(self._progress)
                self._leases.beat(self._claim, self._progress, news)
                self._news.keep(news)
            except Cancelled as cancelled:
                self._reason = cancelled
                return self._cancel()
            except Stopped as stopped:
                self._reason = stopped
                return None
            except SQLAlchemyError:
                pass  # the lease may outlast it; if not, the next write is fenced
            if self._stopping.is_set():
                told_at = told_at or time.monotonic()
                if time.monotonic() - told_at > GRACE_SECONDS:
                    self._give_back()
        return None

    def _cancel(self) -> None:
        if not self._ended.wait(CANCEL_SECONDS):
            with suppress(Fenced, SQLAlchemyError):
                self._leases.finish(self._claim, CANCELLED)

    def _give_back(self) -> None:
        with suppress(Fenced, SQLAlchemyError):
            self._leases.put_back(self._claim, after_seconds=0, is_failure=False)
        os._exit(0)


def _problem(code: str, detail: str) -> dict[str, Any]:
    return {"code": code, "detail": detail}


def run_worker(settings: Settings, tasks: Mapping[str, Task]) -> None:
    """Work until SIGTERM or SIGINT."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    engine = create_engine_for(settings.database_url)
    leases = Leases(engine, settings.job_lease_seconds, uuid4().hex)
    metrics = WorkerMetrics.on(leases.count_queued)
    if settings.worker_metrics_port:
        where = settings.worker_metrics_host, settings.worker_metrics_port
        serve_metrics(metrics.registry, *where, settings.metrics_token)
    changes.recover_at_start(engine, TableLogs(LocalStorage(settings.lake_dir), DeltaTables()))
    log.info("the worker waits for jobs", types=",".join(tasks))
    with closing(lake_of(settings, engine)) as lake, delivering(settings, engine, lake, metrics.registry):
        # What is there by now stays: looking for rubbish in it again and again took a tenth of the time of large jobs.
        gc.freeze()
        Worker(leases, tasks, metrics, stopping).work()
    engine.dispose()


def main() -> int:
    """The process: settings, logs, work. Exit code 2 where a setting is wrong, 1 where the metrics' port is taken."""
    try:
        settings = Settings.load(os.environ, Path(".env"))
    except SettingsError as error:
        sys.stderr.writelines(f"setting {mistake}\n" for mistake in error.mistakes)
        return 2
    configure_logging(settings.log_level)
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    try:
        run_worker(settings, all_tasks(settings))
    except OSError:
        sys.stderr.write(f"WORKER_METRICS_PORT: port {settings.worker_metrics_port} cannot be listened on\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
