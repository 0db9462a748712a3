"""A lake whose transactions can be replayed, and a worker's work done step by step."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from threading import Event
from typing import Any

import pyarrow as pa
from flask import Flask
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from rest_api.demo.transactions import QUARANTINE, SCHEMA
from rest_api.observability import WorkerMetrics, replay_verdicts
from rest_api.services.deliveries import sender_of
from rest_api.services.leases import Leases
from rest_api.services.proofs import MISSING_AFTER, Proofs
from rest_api.settings import Settings
from rest_api.tasks import all_tasks
from rest_api.worker import Worker
from tests.api.lake import START, append, lake_folder, transactions
from tests.conftest import Caller

KEY = {"key": ["transaction_id"], "time_column": "timestamp"}
TABLE = "/data/datasets/transactions"
QUARANTINED = "transactions_quarantine"
ROWS = 30
Row = dict[str, Any]


def with_transactions(app: Flask, admin: Caller) -> Flask:
    """The app with `transactions`, `t0000` to `t0029` with their key, and a quarantine of three events."""
    append(lake_folder(app) / "transactions", pa.Table.from_pylist(transactions()[:ROWS], SCHEMA))
    append(lake_folder(app) / QUARANTINED, pa.Table.from_pylist(refused(), QUARANTINE))
    answer = admin.put(TABLE, KEY)
    assert answer.status_code == 200, answer.json
    return app


def refused() -> list[Row]:
    """An event without an amount that came twice, one with a time that is none, and one that is not JSON."""
    event = {**sendable(transactions()[40]), "transaction_id": "q1", "amount": None}
    late = {**event, "transaction_id": "q2", "timestamp": "yesterday", "amount": 7.5}
    payloads = [
        json.dumps({**event, "status": "pending"}),
        json.dumps(event),
        json.dumps(late),
        '{"transaction_id": "q3',
    ]
    return [
        {
            "payload": payload,
            "reason": "x",
            "topic": "transactions",
            "partition": 0,
            "offset": number,
            "received_at": at,
        }
        for number, payload in enumerate(payloads)
        for at in [START + timedelta(days=100, seconds=number)]
    ]


def sendable(row: Row) -> Row:
    """A row as JSON."""
    return {
        name: float(value)
        if isinstance(value, Decimal)
        else value.isoformat()
        if isinstance(value, datetime)
        else value
        for name, value in row.items()
    }


@dataclass(frozen=True)
class Hand:
    """What a worker does, when it is told."""

    app: Flask
    engine: Engine
    missing_after: timedelta = MISSING_AFTER
    due_at: dict[str, float] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        settings: Settings = self.app.extensions["lakeport"].settings
        return settings

    def run_jobs(self) -> None:
        """Run the jobs that wait."""
        leases = Leases(self.engine, 5, "w")
        worker = Worker(leases, all_tasks(self.settings), WorkerMetrics.on(leases.count_queued), Event())
        while worker.work_once():
            pass

    def deliver(self) -> int:
        """Take in the messages that wait. Returns how many there were."""
        sender = sender_of(self.settings, self.engine, self.app.extensions["lakeport"].lake, CollectorRegistry())
        taken, more = 0, 1
        while more:
            more = sender.deliver()
            taken += more
        return taken

    def prove(self) -> None:
        """Look for what became of replays."""
        counter = replay_verdicts(CollectorRegistry())
        Proofs(self.engine, self.app.extensions["lakeport"].lake, counter, self.missing_after).look()

    def work(self) -> None:
        """Do all of it."""
        self.run_jobs()
        self.deliver()
        self.prove()


def row_of(caller: Caller, transaction_id: str) -> Row:
    """A transaction as somebody sees it."""
    [row] = caller.get(f"{TABLE}/rows?transaction_id=eq.{transaction_id}").json["data"]
    return dict(row)


def asked(answer: Any) -> str:
    """The replay that was asked for."""
    assert answer.status_code == 202, answer.json
    assert answer.headers["Location"] == f"/jobs/{answer.json['job_id']}"
    return str(answer.json["replay_id"])


def verdicts(caller: Caller, replay_id: str) -> dict[str, int]:
    """How many transactions came to each verdict, those of none left out; the sum is checked."""
    told = caller.get(f"/replays/{replay_id}").json
    assert sum(told["verdicts"].values()) == told["total"]
    return {verdict: number for verdict, number in told["verdicts"].items() if number}
