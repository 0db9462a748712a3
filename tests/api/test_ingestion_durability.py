"""A core that is killed while it takes events: sent again, each is in the lake once and each refused one kept once."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable
from flask import Flask

from rest_api.demo.transactions import QUARANTINE, SCHEMA
from rest_api.services import changes
from tests.api.dying import POINTS, SECRETS, send
from tests.api.lake import append, lake_folder
from tests.conftest import log_in
from tests.live import ROOT


def events_of_changes(app: Flask) -> Counter[str]:
    told = log_in(app, "root").get("/events?type=dataset.changed&limit=100").json["data"]
    return Counter(each["data"]["dataset"] for each in told)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_killed_at_any_point_events_come_again_without_loss_or_double(
    make_app: Callable[..., Flask], database_url: str, tmp_path: Path
) -> None:
    app = make_app(**SECRETS)
    lake = lake_folder(app)
    append(lake / "transactions", SCHEMA.empty_table())
    append(lake / "transactions_quarantine", QUARANTINE.empty_table())
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
