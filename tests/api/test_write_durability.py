"""What a core was writing when it was killed is in the table once or not at all, and a repeated call finds it."""

import http.client
import json
import os
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from tests.live import LiveCore, call, core

SEED = 20_261_125
IS_FULL = os.environ.get("LAKEPORT_FULL") == "1"
APPENDERS, UPLOADERS = 3, 1
ROWS_PER_UPLOAD = 2_000
IN_PROGRESS = "idempotency_in_progress"
ENDED = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Write:
    """A call under a key, and how many rows it writes."""

    key: str
    rows: int

    def send(self, url: str, token: str) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": self.key}
        if self.rows == ROWS_PER_UPLOAD:
            path, body = "/data/upload", self._form()
            headers["Content-Type"] = "multipart/form-data; boundary=x"
        else:
            path, body = "/data/datasets/log/rows", json.dumps({"rows": self._given()}).encode()
        status, text, _ = call("POST", url + path, body, headers)
        return status, json.loads(text)

    def _given(self) -> list[dict[str, Any]]:
        return [{"call": self.key, "number": number} for number in range(self.rows)]

    def _form(self) -> bytes:
        lines = "".join(f"{row['call']},{row['number']}\n" for row in self._given())
        parts = ('name="dataset"\r\n\r\nlog', f'name="file"; filename="a.csv"\r\n\r\ncall,number\n{lines}')
        return "".join(f"--x\r\nContent-Disposition: form-data; {part}\r\n" for part in parts).encode() + b"--x--\r\n"


@dataclass(frozen=True)
class Told:
    """What calls were answered, and those whose answer never came."""

    answers: dict[Write, dict[str, Any]] = field(default_factory=dict)
    unknown: list[Write] = field(default_factory=list)


def write_until_killed(url: str, token: str, name: str, rows: int, told: Told) -> None:
    number = 0
    while True:
        number += 1
        write = Write(f"{name}-{number}", rows)
        try:
            status, answer = write.send(url, token)
        except ENDED:
            told.unknown.append(write)
            return
        assert status == 201, answer
        told.answers[write] = answer


def killed_while_written(live: LiveCore, token: str, name: str, seconds: float, told: Told) -> None:
    """Let all write at once, and kill every process of the core in the middle of it."""
    sizes = [3] * APPENDERS + [ROWS_PER_UPLOAD] * UPLOADERS
    with ThreadPoolExecutor(len(sizes)) as pool:
        running = [
            pool.submit(write_until_killed, live.url, token, f"{name}-{number}", rows, told)
            for number, rows in enumerate(sizes)
        ]
        begun = len(told.answers)
        while len(told.answers) < begun + len(sizes):
            assert not any(each.done() for each in running), [each.exception() for each in running if each.done()]
            time.sleep(0.005)
        time.sleep(seconds)
        os.killpg(live.process.pid, signal.SIGKILL)
        live.process.wait()
    for each in running:
        each.result()


def repeat(live: LiveCore, token: str, told: Told) -> set[Write]:
    """Repeat what was not answered; gives those that are still taken for running."""
    in_progress = set()
    for write in told.unknown:
        status, answer = write.send(live.url, token)
        if status == 201:
            told.answers[write] = answer
        else:
            assert answer["code"] == IN_PROGRESS, answer
            in_progress.add(write)
    return in_progress


def stored(data_dir: Path) -> Counter[str]:
    """How many rows of each call the table has; each of them once."""
    rows = DeltaTable(data_dir / "lake" / "log").to_pyarrow_table().to_pylist()
    each = Counter((row["call"], row["number"]) for row in rows)
    assert set(each.values()) == {1}
    return Counter(call for call, _ in each)


def versions(live: LiveCore, token: str) -> int:
    told: int = live.call("GET", "/data/datasets/log", token=token)[1]["version"]
    return told


def changed_events(live: LiveCore, token: str) -> int:
    count, url = 0, "/events?type=dataset.changed&limit=100"
    while True:
        page = live.call("GET", url, token=token)[1]
        count += len(page["data"])
        if not page["data"]:
            return count
        url = page["next_url"]


@pytest.mark.parametrize(
    ("database_url", "kills"),
    [("sqlite", 20 if IS_FULL else 2), ("postgresql", 10 if IS_FULL else 1)],
    indirect=["database_url"],
)
def test_a_killed_core_leaves_each_write_whole_or_undone(database_url: str, kills: int, tmp_path: Path) -> None:
    chance, told = random.Random(SEED), Told()
    for number in range(kills):
        with core(tmp_path, workers=2, DATABASE_URL=database_url) as live:
            token = live.log_in("admin", live.admin_password)
            if number == 0:
                first = Write("first", ROWS_PER_UPLOAD)
                status, told.answers[first] = first.send(live.url, token)
                assert status == 201
            killed_while_written(live, token, f"round{number}", chance.uniform(0, 0.6), told)
    with core(tmp_path, workers=2, DATABASE_URL=database_url) as live:
        token = live.log_in("admin", live.admin_password)
        in_progress = repeat(live, token, told)
        found = stored(tmp_path)
        assert {write.key: found[write.key] for write in told.answers} == {w.key: w.rows for w in told.answers}
        assert {found[write.key] for write in in_progress} <= {0}
        assert set(found) == {write.key for write in told.answers}
        again = {write: write.send(live.url, token) for write in list(told.answers)[-8:]}
        assert again == {write: (201, told.answers[write]) for write in again}
        assert stored(tmp_path) == found
        assert versions(live, token) == len(told.answers) - 1
        assert changed_events(live, token) == len(told.answers)
    left = [path for name in ("uploads", "lake/_staging") for path in (tmp_path / name).rglob("*") if path.is_file()]
    assert left == []


def test_two_processes_append_at_once_and_every_row_lands(tmp_path: Path) -> None:
    with core(tmp_path) as one, core(tmp_path) as other:
        token = one.log_in("admin", one.admin_password)
        first = Write("first", ROWS_PER_UPLOAD)
        assert first.send(one.url, token)[0] == 201
        writes = [Write(f"w{number}", 3) for number in range(40)]
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda each: each[1].send((one, other)[each[0] % 2].url, token), enumerate(writes)))
    assert {status for status, _ in answers} == {201}
    assert sorted(answer["version"] for _, answer in answers) == list(range(1, 41))
    assert stored(tmp_path) == Counter({"first": ROWS_PER_UPLOAD, **{write.key: 3 for write in writes}})


def test_processes_take_a_key_once(tmp_path: Path) -> None:
    with core(tmp_path) as one, core(tmp_path) as other:
        token = one.log_in("admin", one.admin_password)
        assert Write("first", ROWS_PER_UPLOAD).send(one.url, token)[0] == 201
        key = {"key": ["call", "number"]}
        assert one.call("PUT", "/data/datasets/log", key, token)[0] == 200
        body = {"rows": [{"call": "same", "number": 1}]}
        with ThreadPoolExecutor(6) as pool:
            calls = [(one, other)[number % 2] for number in range(6)]
            answers = list(pool.map(lambda live: live.call("POST", "/data/datasets/log/rows", body, token), calls))
    assert sorted(status for status, _ in answers) == [201, 409, 409, 409, 409, 409]
    assert stored(tmp_path)["same"] == 1
