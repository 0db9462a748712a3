"""A core that is killed while it takes events: sent again, each is in the lake once and each refused one kept once."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from deltalake import DeltaTable
from flask import Flask

from rest_api.demo.transactions import QUARANTINE, SCHEMA
from rest_api.services import changes
from tests.api.dying import PATH, POINTS, SECRETS, events_of, send
from tests.api.lake import append, lake_folder
from tests.conftest import log_in
from tests.live import ROOT, core


def make_tables(lake: Path) -> None:
    append(lake / "transactions", SCHEMA.empty_table())
    append(lake / "transactions_quarantine", QUARANTINE.empty_table())


def events_of_changes(app: Flask) -> Counter[str]:
    told = log_in(app, "root").get("/events?type=dataset.changed&limit=100").json["data"]
    return Counter(each["data"]["dataset"] for each in told)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_killed_at_any_point_events_come_again_without_loss_or_double(
    make_app: Callable[..., Flask], database_url: str, tmp_path: Path
) -> None:
    app = make_app(**SECRETS)
    lake = lake_folder(app)
    make_tables(lake)
    root = log_in(app, "root")
    root.put("/data/datasets/transactions", {"key": ["transaction_id"], "time_column": "timestamp"})
    command = [sys.executable, "-m", "tests.api.dying", str(tmp_path), database_url]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = [line for line in ended.stdout.splitlines() if line.partition(": ")[0] in POINTS]
    assert said == [f"{point}: -9" for point in POINTS], ended.stderr
    for point in POINTS:
        assert send(root, point) in [[right] * 2 + ["quarantined"] * 2 for right in ("applied", "unchanged")], point
    rows = DeltaTable(lake / "transactions").to_pyarrow_table().to_pylist()
    refused = DeltaTable(lake / "transactions_quarantine").to_pyarrow_table().to_pylist()
    assert Counter(row["transaction_id"] for row in rows) == {
        f"tx-{number}-{each}": 1 for number in range(len(POINTS)) for each in range(2)
    }
    assert Counter((row["partition"], row["offset"]) for row in refused) == {
        (number, each): 1 for number in range(len(POINTS)) for each in range(2)
    }
    lakeport = app.extensions["lakeport"]
    changes.recover(lakeport.door.engine, lakeport.lake.catalog)
    versions = {name: DeltaTable(lake / name).version() for name in ("transactions", "transactions_quarantine")}
    assert events_of_changes(app) == versions


def test_two_processes_that_take_the_same_events_at_once_have_each_once(tmp_path: Path) -> None:
    make_tables(tmp_path / "lake")
    with core(tmp_path) as one, core(tmp_path) as other:
        token = one.log_in("admin", one.admin_password)
        said = {"key": ["transaction_id"], "time_column": "timestamp"}
        assert one.call("PUT", "/data/datasets/transactions", said, token)[0] == 200
        events = [each for point in POINTS for each in events_of(point)]
        calls = [(live, events[start : start + 12]) for start in range(0, 24, 6) for live in (one, other)]
        with ThreadPoolExecutor(len(calls)) as pool:
            answers = list(pool.map(lambda each: each[0].call("POST", PATH, {"events": each[1]}, token), calls))
    assert {status for status, _ in answers} == {201}
    told = Counter(each["outcome"] for _, answer in answers for each in answer["outcomes"])
    assert told["applied"] == 2 * len(POINTS)
    for name in ("transactions", "transactions_quarantine"):
        assert DeltaTable(tmp_path / "lake" / name).to_pyarrow_table().num_rows == 2 * len(POINTS)
