"""Revocations that race with reads, on two instances over one database: a revoked grant admits to nothing any more."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import pytest
from flask import Flask

from tests.api.lake import give, with_lake
from tests.conftest import Caller, log_in

ROUNDS = 10_000 if os.environ.get("LAKEPORT_FULL") == "1" else 300
READS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/data/datasets/stores/rows?limit=1", None),
    ("POST", "/data/datasets/stores/query", {"limit": 1}),
    ("GET", "/data/datasets/stores", None),
    ("GET", "/data/datasets/stores/export", None),
)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The database that the two instances share."""
    return f"sqlite:///{tmp_path}/lakeport.db"


@pytest.fixture
def apps(make_app: Callable[..., Flask]) -> tuple[Flask, Flask]:
    """Two workers."""
    secrets = {"JWT_SECRETS": f"k1:{'a' * 48}", "REQUESTS_PER_MINUTE": "10000000"}
    return with_lake(make_app(**secrets)), make_app(**secrets)


@dataclass
class Rounds:
    """What readers know when they begin: which round it is, and whether its grant has been taken back already."""

    changed: Condition = field(default_factory=Condition)
    number: int = 0
    is_revoked: bool = False
    is_over: bool = False
    checked: dict[int, int] = field(default_factory=dict)

    def now(self) -> tuple[int, bool]:
        with self.changed:
            return self.number, self.is_revoked

    def say(self, number: int, *, is_revoked: bool) -> None:
        with self.changed:
            self.number, self.is_revoked = number, is_revoked

    def check(self, reader: int) -> None:
        with self.changed:
            self.checked[reader] = self.number
            self.changed.notify_all()

    def wait_for(self, readers: int) -> None:
        """Until each reader has begun and ended a read since the grant was taken back."""
        with self.changed:
            done = self.changed.wait_for(
                lambda: sum(seen == self.number for seen in self.checked.values()) == readers, timeout=60
            )
            assert done or self.is_over


@dataclass
class Reading:
    """A thread that reads all the time. `passed` are reads that were answered although the grant was gone before."""

    rounds: Rounds
    caller: Caller
    number: int
    passed: list[Any] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)
    admitted: int = 0

    def run(self) -> None:
        for turn in self._turns():
            method, url, body = READS[turn % len(READS)]
            begun = self.rounds.now()
            answer = self.caller.call(method, url, json=body, buffered=True)
            self.answered.add(answer.status_code)
            self.admitted += answer.status_code == 200
            if begun[1] and begun == self.rounds.now():
                if answer.status_code != 404:
                    self.passed.append((begun, method, url, answer.status_code))
                self.rounds.check(self.number)

    def _turns(self) -> Iterator[int]:
        turn = 0
        while not self.rounds.is_over:
            yield turn
            turn += 1


@pytest.mark.timeout(7_200 if ROUNDS > 300 else 280)
def test_after_a_revocation_was_answered_no_read_that_begins_passes(apps: tuple[Flask, Flask]) -> None:
    rounds, admin = Rounds(), log_in(apps[0], "root")
    readings = [Reading(rounds, log_in(app, "rita"), number) for number, app in enumerate(apps)]
    threads = [Thread(target=reading.run) for reading in readings]
    try:
        for thread in threads:
            thread.start()
        for number in range(1, ROUNDS + 1):
            rounds.say(number, is_revoked=False)
            grant = give(admin, "rita", "stores", "export")
            assert admin.delete(f"/grants/{grant['id']}").status_code == 204
            rounds.say(number, is_revoked=True)
            rounds.wait_for(len(readings))
    finally:
        rounds.is_over = True
        for thread in threads:
            thread.join()
    assert [reading.passed for reading in readings] == [[], []]
    assert [reading.answered - {200, 404} for reading in readings] == [set(), set()]
    assert sum(reading.admitted for reading in readings) > 0  # some came between


def test_a_group_that_somebody_left_and_a_user_who_is_disabled_admit_to_nothing_any_more(
    apps: tuple[Flask, Flask],
) -> None:
    admin, readers = log_in(apps[0], "root"), [log_in(app, "rita") for app in apps]
    admin.post("/groups", {"name": "analysts"})
    give(admin, "analysts", "stores")

    def statuses() -> list[int]:
        return [reader.get("/data/datasets/stores/rows").status_code for reader in readers]

    for _ in range(10):
        admin.put("/groups/analysts/members/rita")
        assert statuses() == [200, 200]
        admin.delete("/groups/analysts/members/rita")
        assert statuses() == [404, 404]
    admin.put("/groups/analysts/members/rita")
    admin.patch("/users/rita", {"disabled": True})
    assert statuses() == [401, 401]
