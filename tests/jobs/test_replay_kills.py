"""Workers are killed while they replay: nothing is lost, nothing doubled, and each verdict is found in the end.

Some points are chosen by LAKEPORT_SEED; with LAKEPORT_FULL=1 all of them, each at its first and its second time.
"""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from deltalake import DeltaTable
from flask import Flask
from sqlalchemy import text

from tests.api.lake import lake_folder
from tests.api.replaying import QUARANTINED, ROWS, asked, refused, verdicts, with_transactions
from tests.conftest import Caller, log_in
from tests.integration.kafka.deadly import named
from tests.jobs.deadly_replayer import POINTS
from tests.jobs.test_worker import wait_for
from tests.live import ROOT, stop

IS_FULL = os.environ.get("LAKEPORT_FULL") == "1"
CHANCE = random.Random(os.environ.get("LAKEPORT_SEED", "1"))
ALL_KILLS = [(point, nth) for point in named(POINTS) for nth in (1, 2)]
KILLS = ALL_KILLS if IS_FULL else sorted(CHANCE.sample(ALL_KILLS, 2))
REPLAYED = {"timestamp", "original_timestamp", "replay_id"}
SECONDS = 90


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app()
    return with_transactions(app, log_in(app, "root"))


@dataclass(frozen=True)
class Installation:
    """A core, its administrator, and workers over them."""

    app: Flask
    admin: Caller

    def start(self, point: str, nth: int) -> "subprocess.Popen[bytes]":
        """A worker that kills itself at a point."""
        settings = self.app.extensions["lakeport"].settings
        [key] = settings.jwt_secrets
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(settings.data_dir),
            "DATABASE_URL": settings.database_url,
            "JWT_SECRETS": f"{key.kid}:{key.secret}",
            "AUDIT_KEY": settings.audit_key,
            "MASK_KEY": settings.mask_key,
            "CURSOR_KEY": settings.cursor_key,
            "WORKER_METRICS_PORT": "0",
            "JOB_LEASE_SECONDS": "1",
        }
        command = ["setpriv", "--pdeathsig=TERM", sys.executable, "-m", "tests.jobs.deadly_replayer", point, str(nth)]
        return subprocess.Popen(command, cwd=settings.data_dir, env=environ, stderr=subprocess.DEVNULL)

    def is_settled(self, replay: str) -> bool:
        return self.admin.get(f"/replays/{replay}").json["settled_at"] is not None

    def count(self, table: str) -> int:
        with self.app.extensions["lakeport"].door.engine.connect() as connection:
            return int(connection.execute(text(f"select count(*) from {table}")).scalar_one())

    def rows(self, name: str) -> list[Any]:
        """What is in a table of the lake, without what a replay changes."""
        found = DeltaTable(lake_folder(self.app) / name).to_pyarrow_table().to_pylist()
        return sorted(str({each: row[each] for each in row if each not in REPLAYED}) for row in found)


@pytest.fixture
def place(app: Flask, admin: Caller) -> Installation:
    return Installation(app, admin)


@pytest.fixture
def worker_after(place: Installation) -> Iterator[Callable[[], None]]:
    """Starts a worker that lives, and stops it at the end, until which it must not have ended by itself."""
    started: list[subprocess.Popen[bytes]] = []
    yield lambda: started.append(place.start("never", 0))
    codes = [process.poll() for process in started]
    for process in started:
        stop(process)
    assert not any(code is not None for code in codes), codes


def check(place: Installation, of_all: str, spoilt: str) -> None:
    """Each transaction was sent and applied once; what was refused is in the quarantine once."""
    wait_for(lambda: place.is_settled(of_all) and place.is_settled(spoilt), SECONDS)
    assert verdicts(place.admin, of_all) == {"matched": ROWS}
    assert verdicts(place.admin, spoilt) == {"dead_lettered": 1}
    assert place.count("replay_events") == place.count("pipeline_messages") == ROWS + 1
    assert place.count("pipeline_messages where sent_at is null") == 0
    assert len(place.rows(QUARANTINED)) == len(refused()) + 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("point", "nth"), KILLS)
def test_a_worker_killed_at_a_named_point_neither_loses_nor_doubles(
    place: Installation, worker_after: Callable[[], None], point: str, nth: int
) -> None:
    check_kill(place, worker_after, point, nth)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_on_postgresql_neither(place: Installation, worker_after: Callable[[], None]) -> None:
    check_kill(place, worker_after, "after commit rows", 2)


def check_kill(place: Installation, worker_after: Callable[[], None], point: str, nth: int) -> None:
    before = place.rows("transactions")
    of_all = asked(place.admin.post("/transactions/replay"))
    spoilt = asked(place.admin.post("/transactions/t0001/replay", {"corrections": {"currency": "XBT"}}))
    first = place.start(point, 1 if "refused" in point else nth)
    assert first.wait(SECONDS) == -signal.SIGKILL
    worker_after()
    check(place, of_all, spoilt)
    assert place.rows("transactions") == before


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_several_workers_at_once_apply_each_message_once(place: Installation, worker_after: Callable[[], None]) -> None:
    before = place.rows("transactions")
    of_all = asked(place.admin.post("/transactions/replay"))
    spoilt = asked(place.admin.post("/transactions/t0001/replay", {"corrections": {"currency": "XBT"}}))
    for _ in range(3):
        worker_after()
    check(place, of_all, spoilt)
    assert place.rows("transactions") == before
    commits = [each for each in place.admin.get("/data/datasets/transactions/versions").json["data"] if each["number"]]
    # Of messages by nines, and one more of t0001, which was refused.
    assert len(commits) <= -(-(ROWS + 1) // 7)
