"""What the worker does with jobs: it runs them once, under its owner's rights, and ends when it is told."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from flask import Flask
from prometheus_client import generate_latest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from rest_api.database import create_engine_for
from rest_api.errors import Unavailable
from rest_api.models import metadata
from rest_api.observability import WorkerMetrics
from rest_api.services import jobs, schedules
from rest_api.services.leases import Cancelled, Claim, Fenced, Leases
from rest_api.services.schedules import Schedule
from rest_api.settings import Settings
from rest_api.tasks import all_tasks
from rest_api.tasks.audit_retention import AuditRetention
from rest_api.tasks.task import Outcome, Run, Task
from rest_api.worker import AWAY, PROGRESS_SECONDS, News, Worker
from tests.conftest import Caller, log_in

NOTES = "create table notes (job_id integer)"


@dataclass(frozen=True)
class Note:
    """A job that counts up to `steps`, then leaves a note; `hold` keeps it from ending."""

    type: str = "purge"
    role: str = "admin"
    parameters: tuple[str, ...] = ()
    schedule: str | None = None
    failures: list[Exception] = field(default_factory=list)
    hold: Event | None = None
    is_running: Event = field(default_factory=Event)

    def run(self, run: Run) -> Outcome:
        self.is_running.set()
        if self.failures:
            raise self.failures.pop()
        while self.hold is not None and not self.hold.wait(0.02):
            run.progress(1, 2, "notes")

        def leave(session: Session) -> None:
            session.execute(text("insert into notes values (:job)"), {"job": run.job_id})

        return Outcome({"noted": run.job_id}, leave)


@pytest.fixture
def engine(app: Flask, database_url: str) -> Iterator[Engine]:
    engine = create_engine_for(database_url)
    with engine.begin() as connection:
        connection.execute(text(NOTES))
    yield engine
    engine.dispose()


def worker(engine: Engine, *tasks: Task, lease_seconds: float = 5) -> Worker:
    leases = Leases(engine, lease_seconds, "w")
    return Worker(leases, {task.type: task for task in tasks}, WorkerMetrics.on(leases.count_queued), Event())


def settings_of(app: Flask) -> Settings:
    settings: Settings = app.extensions["lakeport"].settings
    return settings


def ask(admin: Caller, job_type: str = "purge") -> str:
    return str(admin.post("/jobs", {"type": job_type}).headers["Location"])


def notes(engine: Engine) -> int:
    with engine.begin() as connection:
        return int(connection.execute(text("select count(*) from notes")).scalar_one())


def wait_for(is_so: Callable[[], bool], seconds: float = 10) -> None:
    ends_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends_at, "it did not come to be"
        time.sleep(0.02)


def test_a_job_is_run_once_and_tells_what_it_came_to(engine: Engine, admin: Caller) -> None:
    path = ask(admin)
    hand = worker(engine, Note())
    assert hand.work_once()
    assert not hand.work_once()
    job = admin.get(path).json
    assert (job["state"], job["result"]) == ("succeeded", {"noted": job["id"]})
    assert job["started_at"] <= job["finished_at"]
    assert notes(engine) == 1
    types = [each["type"] for each in admin.get("/events?type=job.*").json["data"]]
    assert types == ["job.queued", "job.started", "job.succeeded"]
    exposed = generate_latest(hand.metrics.registry).decode()
    assert 'lakeport_jobs_finished_total{state="succeeded",type="purge"} 1.0' in exposed
    assert "lakeport_jobs_queued 0.0" in exposed


def test_a_running_job_tells_its_progress_and_is_cancelled_within_two_seconds(engine: Engine, admin: Caller) -> None:
    path, task = ask(admin), Note(hold=Event())
    hand = worker(engine, task)
    thread = Thread(target=hand.work_once)
    thread.start()
    wait_for(lambda: admin.get(path).json["progress"]["unit"] == "notes")
    assert admin.get(path).json["state"] == "running"
    asked_at = time.monotonic()
    assert admin.delete(path).status_code == 202
    wait_for(lambda: admin.get(path).json["state"] == "cancelled")
    assert time.monotonic() - asked_at < 2
    thread.join()
    assert notes(engine) == 0


def test_progress_is_told_to_the_owner_when_it_is_new(app: Flask, engine: Engine, admin: Caller) -> None:
    path, hold, told = ask(admin), Event(), "/events?type=job.progressed"
    with engine.begin() as connection:
        connection.execute(text("update jobs set owner_id = (select id from users where username = 'rita')"))
    thread = Thread(target=worker(engine, Note(role="reader", hold=hold), lease_seconds=1).work_once)
    thread.start()
    wait_for(lambda: len(admin.get(told).json["data"]) > 0)
    beaten_at = lease_of(engine)
    wait_for(lambda: lease_of(engine) > beaten_at + PROGRESS_SECONDS)
    hold.set()
    thread.join()
    [event] = log_in(app, "rita").get(told).json["data"]
    job = admin.get(path).json["id"]
    progress = {"done": 1, "total": 2, "unit": "notes"}
    assert event["data"] == {"id": job, "type": "purge", "state": "running", "progress": progress}
    assert event["subject"] == f"jobs/{job}"
    assert log_in(app, "ed").get(told).json["data"] == []


def lease_of(engine: Engine) -> float:
    with engine.connect() as connection:
        return float(connection.execute(text("select lease_until from jobs")).scalar_one())


def test_progress_is_told_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("rest_api.worker.time.monotonic", lambda: clock[0])
    news, told = News(Claim(1, 1, "purge", {}, 7, 0)), []
    for tick in range(40):
        clock[0] = tick / 4
        advance = news.of({"done": min(tick, 20), "total": None, "unit": "notes"})
        news.keep(advance)
        told += [(clock[0], advance.progress["done"])] if advance else []
    assert told == [(0, 0), (1, 4), (2, 8), (3, 12), (4, 16), (5, 20)]


def test_news_that_could_not_be_told_is_news_still() -> None:
    news, progress = News(Claim(1, 1, "purge", {}, 7, 0)), {"done": 1, "total": 2, "unit": "notes"}
    assert news.of(progress) == news.of(progress) is not None


def leave_note(session: Session) -> None:
    session.execute(text("insert into notes values (0)"))


@dataclass(frozen=True)
class Deaf(Note):
    """A job that never asks whether it may go on."""

    def run(self, run: Run) -> Outcome:
        self.is_running.set()
        assert self.hold is not None
        self.hold.wait(20)
        return Outcome({}, leave_note)


def test_a_job_that_does_not_listen_is_cancelled_within_two_seconds_too(engine: Engine, admin: Caller) -> None:
    path, task = ask(admin), Deaf(hold=Event())
    thread = Thread(target=worker(engine, task).work_once)
    thread.start()
    assert task.is_running.wait(10)
    asked_at = time.monotonic()
    assert admin.delete(path).status_code == 202
    wait_for(lambda: admin.get(path).json["state"] == "cancelled")
    assert time.monotonic() - asked_at < 2
    task.hold.set()  # type: ignore[union-attr]
    thread.join()
    assert admin.get(path).json["state"] == "cancelled"
    assert notes(engine) == 0


def test_a_job_whose_worker_vanished_is_cancelled_by_another_one(engine: Engine, admin: Caller) -> None:
    path = ask(admin)
    assert Leases(engine, 60, "vanished").claim() is not None
    asked_at = time.monotonic()
    assert admin.delete(path).json["state"] == "running"
    other = worker(engine, Note())
    wait_for(lambda: not other.work_once() and admin.get(path).json["state"] == "cancelled")
    assert time.monotonic() - asked_at < 2
    assert notes(engine) == 0


def test_a_job_that_was_cancelled_neither_succeeds_nor_is_tried_again(engine: Engine, admin: Caller) -> None:
    path, leases = ask(admin), Leases(engine, 60, "w")
    claim = leases.claim()
    assert claim is not None
    admin.delete(path)
    with pytest.raises(Cancelled):
        leases.finish(claim, "succeeded", effect=leave_note)
    with pytest.raises(Cancelled), leases.transaction(claim):
        raise AssertionError("a step began")
    with pytest.raises(Cancelled):
        leases.put_back(claim, after_seconds=0, is_failure=True)
    assert notes(engine) == 0
    leases.finish(claim, "cancelled")
    assert admin.get(path).json["state"] == "cancelled"


def test_a_worker_stopped_within_a_transaction_keeps_nobody_from_its_job_on_postgresql(postgresql_url: str) -> None:
    engine = create_engine_for(postgresql_url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text(NOTES))
    with Session(engine) as session:
        jobs.enqueue(session, "purge", {}, None)
        session.commit()
    stopped = Leases(engine, 0.3, "stopped")
    claim = stopped.claim()
    assert claim is not None

    def fall_silent_in_a_step() -> None:
        with stopped.transaction(claim) as session:
            leave_note(session)
            wait_for(worker(engine, Note()).work_once)
            leave_note(session)

    with pytest.raises(AWAY):
        fall_silent_in_a_step()
    assert notes(engine) == 1
    engine.dispose()


def test_a_worker_taken_for_dead_writes_nothing_more(engine: Engine, admin: Caller) -> None:
    path = ask(admin)
    lost = Leases(engine, 0.3, "lost")
    claim = lost.claim()
    assert claim is not None
    wait_for(lambda: worker(engine, Note()).work_once())
    with pytest.raises(Fenced):
        lost.finish(claim, "failed")
    with pytest.raises(Fenced), lost.transaction(claim) as session:
        session.execute(text("insert into notes values (0)"))
    assert admin.get(path).json["state"] == "succeeded"
    assert notes(engine) == 1


def test_what_may_pass_is_tried_again_and_what_may_not_fails(engine: Engine, admin: Caller) -> None:
    path = ask(admin)
    hand = worker(engine, Note(failures=[Unavailable("away")]))
    assert hand.work_once()
    assert admin.get(path).json["state"] == "queued"
    wait_for(hand.work_once)
    assert admin.get(path).json["state"] == "succeeded"
    types = [each["type"] for each in admin.get("/events?type=job.*").json["data"]]
    assert types == ["job.queued", "job.started", "job.queued", "job.started", "job.succeeded"]
    path = ask(admin)
    assert worker(engine, Note(failures=[RuntimeError("secret detail")])).work_once()
    job = admin.get(path).json
    assert (job["state"], job["problem"]["code"]) == ("failed", "internal")
    assert "secret" not in str(job)
    assert notes(engine) == 1


def test_a_job_whose_owner_lost_his_rights_is_not_run(app: Flask, engine: Engine, admin: Caller) -> None:
    admin.post("/users", {"username": "ada", "password": "a long enough one", "role": "admin"})
    path = ask(log_in(app, "ada", "a long enough one"))
    admin.patch("/users/ada", {"role": "reader"})
    assert worker(engine, Note()).work_once()
    job = admin.get(path).json
    assert (job["state"], job["problem"]["code"]) == ("failed", "forbidden")
    assert notes(engine) == 0


def test_a_worker_that_ends_gives_its_job_back_at_once(engine: Engine, admin: Caller) -> None:
    path, task = ask(admin), Note(hold=Event())
    hand = worker(engine, task, lease_seconds=60)
    thread = Thread(target=hand.work)
    thread.start()
    task.is_running.wait(10)
    hand.stopping.set()
    thread.join(5)
    assert not thread.is_alive()
    assert admin.get(path).json["state"] == "queued"
    assert worker(engine, Note()).work_once()
    assert admin.get(path).json["state"] == "succeeded"


def test_a_schedule_asks_once_for_each_moment_it_is_due(engine: Engine, admin: Caller) -> None:
    often = [Schedule("purge", "* * * * *")]
    fired = schedules.fire(engine, often) + schedules.fire(engine, often)
    found = admin.get("/jobs?type=purge").json["data"]
    assert len(found) == len(fired) in (1, 2)
    nightly = Schedule("purge", "20 3 * * *")
    noon = datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert nightly.slot(noon) == nightly.slot(noon + timedelta(hours=9)) == "purge 2026-11-25T03:20Z"


def test_the_purge_deletes_what_is_over_and_nothing_else(app: Flask, engine: Engine, admin: Caller) -> None:
    admin.post("/groups", {"name": "kept"}, headers={"Idempotency-Key": "k"})
    log_in(app, "rita").post("/auth/revoke")
    with engine.begin() as connection:
        old = {"at": datetime.now(UTC).replace(tzinfo=None) - timedelta(days=40)}
        connection.execute(text("update idempotency_keys set created_at = :at"), old)
        connection.execute(text("update events set time = :at where type = 'user.created'"), old)
    path = ask(admin)
    assert worker(engine, *all_tasks(settings_of(app)).values()).work_once()
    deleted = admin.get(path).json["result"]["deleted"]
    assert (deleted["idempotency_keys"], deleted["token_families"], deleted["events"]) == (1, 1, 3)
    assert admin.get("/events?type=group.*").json["data"]


def test_retention_deletes_old_entries_and_the_trail_stays_whole(app: Flask, engine: Engine, admin: Caller) -> None:
    for _ in range(5):
        admin.get("/articles")
    before = admin.get("/audit?count=exact").json["count"]
    tasks = all_tasks(settings_of(app))
    path = ask(admin, "audit_retention")
    assert worker(engine, AuditRetention(settings_of(app).audit_key.encode(), days=0)).work_once()
    assert admin.get(path).json["result"]["deleted"] > before
    assert admin.get("/audit/verify").json["ok"] is True
    path = ask(admin, "audit_verification")
    assert worker(engine, *tasks.values()).work_once()
    assert admin.get(path).json["result"]["ok"] is True
    with engine.begin() as connection:
        connection.execute(text("update audit_checkpoints set sequence = sequence - 1"))
    assert admin.get("/audit/verify").json["ok"] is False


def test_wrong_settings_are_told_one_a_line_before_anything_is_begun(tmp_path: Path) -> None:
    wrong = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), "JOB_LEASE_SECONDS": "soon"}
    done = subprocess.run(
        [sys.executable, "-m", "rest_api.worker"], cwd=tmp_path, env=wrong, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert "setting JOB_LEASE_SECONDS: expected a whole number from 1 to 3600" in lines
    assert all(line.startswith("setting ") for line in lines)


def test_retention_keeps_what_was_tampered_with(app: Flask, engine: Engine, admin: Caller) -> None:
    for _ in range(3):
        admin.get("/articles")
    with engine.begin() as connection:
        connection.execute(text("update audit_records set path = '/users' where sequence = 2"))
    path = ask(admin, "audit_retention")
    assert worker(engine, AuditRetention(settings_of(app).audit_key.encode(), days=0)).work_once()
    job = admin.get(path).json
    assert (job["state"], job["problem"]["code"]) == ("failed", "conflict")
    assert admin.get("/audit?path=/users&sequence=2").json["data"]
