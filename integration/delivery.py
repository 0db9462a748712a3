"""What becomes of records: each is applied by the core or parked as a dead letter."""

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from integration.batches import Answer, settle
from integration.core_client import Verdict
from integration.kafka_client import KafkaAway, Publisher, Record, TooLarge
from integration.letters import Letter, letter
from integration.route_metrics import RouteMetrics

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
TOMBSTONE = Verdict("ignored")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """A record with its operation in JSON, or with the verdict where it has none; `kind` is of few."""

    record: Record
    kind: str
    operation: bytes | Verdict


class Destination(Protocol):
    """What a topic's messages mean to the core."""

    def judge(self, record: Record) -> Judged:
        """What the core is to be told of a record."""

    def tell(self, operations: Sequence[bytes]) -> Answer:
        """What became of operations, or that they are all refused. Raises CoreRefused, CoreAway."""


@dataclass(frozen=True)
class Delivery:
    """The way of records into the core."""

    destination: Destination
    dead_letters: Publisher
    metrics: RouteMetrics

    def deliver(self, records: Sequence[Record]) -> None:
        """Apply or park each, in order, however long that takes. Raises CoreRefused, where nothing is parked."""
        with self.metrics.time_batch():
            judged = [self.destination.judge(record) for record in records]
            verdicts = settle([each.operation for each in judged], self.destination.tell)
            refused = [
                letter(each.record, verdict)
                for each, verdict in zip(judged, verdicts, strict=True)
                if verdict.outcome is None
            ]
            self._park(refused)
        for each, verdict in zip(judged, verdicts, strict=True):
            self.metrics.count(each.kind, verdict.outcome or "parked")

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
