"""What becomes of records: each is applied by the core or parked as a dead letter."""

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from integration.batches import Batch, apply
from integration.core_client import CoreClient, Verdict
from integration.envelopes import Poison, Reader
from integration.kafka_client import KafkaAway, Publisher, Record, TooLarge
from integration.letters import Letter, letter
from integration.route_metrics import RouteMetrics

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
TOMBSTONE = Verdict("ignored")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """A record with its operation in JSON, or with the verdict where it has none."""

    record: Record
    kind: str
    operation: bytes | Verdict


@dataclass(frozen=True)
class Delivery:
    """The way of records into the core."""

    reader: Reader
    core: CoreClient
    dead_letters: Publisher
    metrics: RouteMetrics

    def deliver(self, records: Sequence[Record]) -> None:
        """Apply or park each, in order, however long that takes. Raises CoreRefused, where nothing is parked."""
        with self.metrics.time_batch():
            judged = [self._judged(record) for record in records]
            verdicts = apply(self.core, Batch((), tuple(each.operation for each in judged)))
            refused = [
                letter(each.record, verdict)
                for each, verdict in zip(judged, verdicts, strict=True)
                if verdict.outcome is None
            ]
            self._park(refused)
        for each, verdict in zip(judged, verdicts, strict=True):
            self.metrics.count(each.kind, verdict.outcome or "parked")

    def _judged(self, record: Record) -> Judged:
        try:
            change = self.reader.change(record.message)
        except Poison as poison:
            return Judged(record, "unknown", Verdict(None, poison.code, poison.detail))
        if change is None:
            return Judged(record, "tombstone", TOMBSTONE)
        try:
            return Judged(record, change.op, orjson.dumps(change.operation(self.reader.origin)))
        except TypeError as error:
            return Judged(record, change.op, Verdict(None, "invalid", str(error)))

    def _park(self, refused: Sequence[Letter]) -> None:
        attempts = 0
        while refused:
            try:
                self._send(refused)
                break
            except KafkaAway as away:
                attempts += 1
                log.warning("dead letters wait: %s", away)
                time.sleep(_pause_seconds(attempts))
        for each in refused:
            self.metrics.count_letter(each.reason)

    def _send(self, refused: Sequence[Letter]) -> None:
        try:
            self.dead_letters.send([each.parked() for each in refused])
        except TooLarge:
            for each in refused:
                self._send_one(each)

    def _send_one(self, refused: Letter) -> None:
        try:
            self.dead_letters.send([refused.parked()])
        except TooLarge:
            self.dead_letters.send([refused.without_value().parked()])


def _pause_seconds(attempts: int) -> float:
    """Full jitter over a doubling pause."""
    return random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempts - 1, 20)))
