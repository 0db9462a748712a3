"""The Delta tables `transactions` (eight versions), `transactions_labels` and `transactions_quarantine`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
from deltalake import DeltaTable

from rest_api.demo.corruption import Label
from rest_api.demo.delta import TIME, Commit, append, set_back, to_arrow
from rest_api.demo.moments import LAST_HOUR
from rest_api.demo.purchases import TRANSACTIONS, Transaction, in_chunks
from rest_api.demo.quarantine import make_refused
from rest_api.demo.randomness import stream

SCHEMA = pa.schema(
    [
        pa.field("transaction_id", pa.string(), nullable=False),
        pa.field("timestamp", TIME, nullable=False),
        ("user_id", pa.int64()),
        ("user_name", pa.string()),
        ("transaction_type", pa.string()),
        ("product_id", pa.string()),
        ("product_name", pa.string()),
        ("product_category", pa.string()),
        ("amount", pa.decimal128(18, 2)),
        ("currency", pa.string()),
        ("payment_method", pa.string()),
        ("country", pa.string()),
        ("status", pa.string()),
        ("customer_rating", pa.int32()),
        ("original_timestamp", TIME),
        ("replay_id", pa.string()),
    ]
)
LABELS = pa.schema([(name, pa.string()) for name in ("transaction_id", "corruption", "column_name", "true_value")])
QUARANTINE = pa.schema(
    [
        ("payload", pa.string()),
        ("reason", pa.string()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("received_at", TIME),
        ("event_id", pa.string()),
    ]
)
HISTORY = (40_000, 25_000, 20_000)
"""Sizes of the appends before pending payments are settled."""
AFTER_SETTLING = 10_000
REPLAYED = 40
VERSIONS = 8
VERSION_STEPS = 2_000
"""What writing a version counts as, beside the rows."""
SECOND = timedelta(seconds=1)
Step = Callable[[int], Any]


def build_transactions(folder: Path, seed: int, rows: list[Transaction], step: Step) -> None:
    """Write all versions of `transactions`; the newest has all the rows."""
    rest = TRANSACTIONS - sum(HISTORY) - AFTER_SETTLING - LAST_HOUR
    *history, recent, newer, newest = in_chunks(rows, (*HISTORY, AFTER_SETTLING, rest, LAST_HOUR))
    versions = _Versions(folder, step)
    for chunk in history:
        versions.append(chunk)
    versions.settle()
    versions.append(recent)
    versions.replay(choose_replayed(seed, rows), str(UUID(int=stream(seed, "replay").getrandbits(128), version=4)))
    versions.append(newer)
    versions.append(newest)
    set_back(folder, versions.times)


class _Versions:
    """The table while its versions are written, one after the other."""

    def __init__(self, folder: Path, step: Step) -> None:
        self._folder = folder
        self._step = step
        self.times: list[datetime] = []

    def append(self, rows: list[Transaction]) -> None:
        commit = Commit("ingest", rows[-1].timestamp + SECOND, "transactions of the shops")
        append(self._folder, to_arrow(rows, SCHEMA), commit)
        self._done(commit)

    def settle(self) -> None:
        """Complete the payments that are pending so far."""
        commit = Commit("ada", self.times[-1] + SECOND, "pending payments settled with the bank")
        DeltaTable(self._folder).update(
            predicate="status = 'pending'",
            updates={"status": "'completed'"},
            commit_properties=commit.properties,
        )
        self._done(commit)

    def replay(self, rows: list[Transaction], replay_id: str) -> None:
        """Send some transactions through again: a fresh time, the first one kept."""
        at = self.times[-1]
        commit = Commit("grace", at + SECOND, "a till's transactions sent again")
        again = [replace(row, timestamp=at, original_timestamp=row.timestamp, replay_id=replay_id) for row in rows]
        merger = DeltaTable(self._folder).merge(
            to_arrow(again, SCHEMA),
            predicate="target.transaction_id = source.transaction_id",
            source_alias="source",
            target_alias="target",
            commit_properties=commit.properties,
        )
        names = ("timestamp", "original_timestamp", "replay_id")
        merger.when_matched_update({name: f"source.{name}" for name in names}).execute()
        self._done(commit)

    def _done(self, commit: Commit) -> None:
        self.times.append(commit.at)
        self._step(VERSION_STEPS)


def choose_replayed(seed: int, rows: list[Transaction]) -> list[Transaction]:
    """Forty of the transactions that are in the table when the replay is merged."""
    random = stream(seed, "replayed")
    known = sum(HISTORY) + AFTER_SETTLING
    return [rows[index] for index in sorted(random.sample(range(sum(HISTORY), known), REPLAYED))]


def build_labels(folder: Path, labels: list[Label], until: datetime) -> None:
    """Write `transactions_labels`: which rows are corrupt though valid."""
    commit = Commit("grace", until, "corrupt rows found by hand")
    append(folder, to_arrow(labels, LABELS), commit)
    set_back(folder, [commit.at])


def build_quarantine(folder: Path, seed: int, until: datetime) -> None:
    """Write `transactions_quarantine`: events that failed validation."""
    commit = Commit("ingest", until, "events that failed validation")
    append(folder, to_arrow(make_refused(seed, until), QUARANTINE), commit)
    set_back(folder, [commit.at])
