"""Histories of events and replays in any order: money never doubles, and nothing newer is lost."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from deltalake import DeltaTable
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rest_api.demo.transactions import QUARANTINE, SCHEMA
from rest_api.lake.replays import APPLIED, DIVERGED, UNCHANGED, Replay, Row, decide, row_hash
from tests.api.lake import append, lake_folder
from tests.conftest import Caller, log_in

IS_FULL = os.environ.get("LAKEPORT_FULL") == "1"
START = datetime(2026, 11, 1, tzinfo=UTC)
REPLAYED = START + timedelta(days=1)
PATH = "/data/datasets/transactions/rows"


@dataclass(frozen=True)
class Said:
    """The source tells of a transaction, at a time of its own."""

    number: int
    minute: int
    amount: int


@dataclass(frozen=True)
class Read:
    """Somebody takes a row out of the lake to replay it, with another amount if one is given."""

    number: int
    amount: int | None


@dataclass(frozen=True)
class Delivered:
    """One of the replays so far arrives; perhaps again, perhaps late."""

    which: int


numbers = st.integers(0, 2)
said = st.builds(Said, numbers, st.integers(0, 4), st.integers(1, 5))
histories = st.lists(
    st.one_of(
        said,
        st.builds(Read, numbers, st.none() | st.integers(6, 9)),
        st.builds(Delivered, st.integers(0, 5)),
        st.builds(Delivered, st.integers(0, 5)),
    ),
    min_size=3,
    max_size=25,
)


@dataclass
class Lake:
    """What a table should hold, and the replays that were made of it."""

    rows: dict[int, Row] = field(default_factory=dict)
    replays: list[tuple[Row, Replay]] = field(default_factory=list)

    def replay(self, step: Read) -> None:
        stored = self.rows.get(step.number)
        if stored is None:
            return
        at = REPLAYED + timedelta(minutes=len(self.replays))
        row = {**stored, "timestamp": at} | ({} if step.amount is None else {"amount": Decimal(step.amount)})
        self.replays.append((row, Replay(f"r-{len(self.replays)}", row_hash(stored), at)))

    def event(self, step: Said | Delivered, prefix: str = "tx") -> tuple[int, Row, Replay | None] | None:
        """What arrives by a step, and of which transaction."""
        if isinstance(step, Said):
            return step.number, _row(prefix, step), None
        if not self.replays:
            return None
        row, replay = self.replays[step.which % len(self.replays)]
        return int(row["transaction_id"].rpartition("-")[2]), row, replay

    def take(self, number: int, row: Row, replay: Replay | None) -> str:
        decision = decide(self.rows.get(number), row, replay, "timestamp")
        if decision.row is not None:
            self.rows[number] = decision.row
        return decision.outcome


def _row(prefix: str, step: Said) -> Row:
    return {
        "transaction_id": f"{prefix}-{step.number}",
        "timestamp": START + timedelta(minutes=step.minute),
        "user_id": 1,
        "product_id": "p-001",
        "amount": Decimal(step.amount),
        "currency": "EUR",
        "status": "completed",
    }


def _own_time(row: Row) -> datetime:
    found: datetime = row.get("original_timestamp") or row["timestamp"]
    return found


@settings(max_examples=5_000 if IS_FULL else 300, deadline=None)
@given(histories)
def test_a_row_is_always_what_the_source_said_last_or_a_correction_of_that(history: list[Any]) -> None:
    lake, newest = Lake(), dict[int, datetime]()
    allowed: dict[int, set[Decimal]] = {}
    for step in history:
        if isinstance(step, Read):
            lake.replay(step)
        elif (arrived := lake.event(step)) is not None:
            number, row, replay = arrived
            if replay is None and row["timestamp"] > newest.get(number, START - timedelta(1)):
                newest[number], allowed[number] = row["timestamp"], set()
            if replay is not None or row["timestamp"] == newest[number]:
                allowed[number].add(row["amount"])
            before = lake.rows.get(number)
            _check(before, lake, arrived, lake.take(*arrived))
            assert _own_time(lake.rows[number]) == newest[number]
            assert lake.rows[number]["amount"] in allowed[number]
            assert lake.take(*arrived) != APPLIED


def _check(before: Row | None, lake: Lake, arrived: tuple[int, Row, Replay | None], outcome: str) -> None:
    number, row, replay = arrived
    after = lake.rows[number]
    if outcome in (UNCHANGED, DIVERGED):
        assert after is before
    elif replay is None:
        assert after == row
    else:
        assert before is not None
        assert row_hash(before) == replay.hash
        assert (row_hash(after), after["timestamp"]) == (row_hash(row), replay.replayed_at)
        assert (after["original_timestamp"], after["replay_id"]) == (_own_time(before), replay.id)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app(REQUESTS_PER_MINUTE="100000")
    append(lake_folder(app) / "transactions", SCHEMA.empty_table())
    append(lake_folder(app) / "transactions_quarantine", QUARANTINE.empty_table())
    said = {"key": ["transaction_id"], "time_column": "timestamp"}
    assert log_in(app, "root").put("/data/datasets/transactions", said).status_code == 200
    return app


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_table_holds_what_the_rules_say_and_each_transaction_once(app: Flask) -> None:
    root, runs = log_in(app, "root"), count()

    @settings(
        max_examples=200 if IS_FULL else 25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
        phases=[Phase.generate],
    )
    @given(histories, st.integers(1, 6))
    def holds(history: list[Any], size: int) -> None:
        prefix = f"run{next(runs)}"
        lake = Lake()
        for start in range(0, len(history), size):
            _send(root, lake, history[start : start + size], prefix)
        found = [row for row in _stored(app) if row["transaction_id"].startswith(f"{prefix}-")]
        assert _content(found) == _content(lake.rows.values())

    holds()


def _send(root: Caller, lake: Lake, steps: list[Any], prefix: str) -> None:
    """A batch of what arrives; rows are taken out of the lake between two of them."""
    for step in steps:
        if isinstance(step, Read):
            lake.replay(step)
    arrived = [each for step in steps if not isinstance(step, Read) if (each := lake.event(step, prefix)) is not None]
    expected = [lake.take(*each) for each in arrived]
    if not arrived:
        return
    answer = root.post(PATH, {"events": [_event(row, replay) for _, row, replay in arrived]})
    assert [each["outcome"] for each in answer.json["outcomes"]] == expected


def _event(row: Row, replay: Replay | None) -> Mapping[str, Any]:
    told = {name: _written(value) for name, value in row.items()}
    if replay is None:
        return {"row": told}
    return {"row": told, "replay": {"id": replay.id, "hash": replay.hash, "replayed_at": _written(replay.replayed_at)}}


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return float(value) if isinstance(value, Decimal) else value


def _stored(app: Flask) -> list[Row]:
    return list(DeltaTable(lake_folder(app) / "transactions").to_pyarrow_table().to_pylist())


def _content(rows: Any) -> list[tuple[Any, ...]]:
    names = ("transaction_id", "timestamp", "amount", "original_timestamp", "replay_id")
    return sorted((tuple(row.get(name) for name in names) for row in rows), key=lambda row: str(row[0]))
