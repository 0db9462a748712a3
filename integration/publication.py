"""How batches become messages: each row is acknowledged by the brokers, known to them before, or parked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from integration.batches import Batch
from integration.change_events import Envelope, event_id
from integration.core_client import Verdict
from integration.kafka_client import Publisher, TooLarge
from integration.rows import Row, microseconds
from integration.sent_events import Sent, SentEvents

PUBLISHED, KNOWN = Verdict("published"), Verdict("known")
TOO_LARGE = Verdict(None, "too_large", "the topic takes no message of this size")


@dataclass(frozen=True)
class Publication:
    """The way of one origin's rows into a topic."""

    publisher: Publisher
    sent: SentEvents
    envelope: Envelope
    origin: str
    lock: Lock = field(default_factory=Lock)

    def deliver(self, batch: Batch) -> list[Verdict]:
        """Send what was not sent before; a verdict for each row when the brokers have it. Raises KafkaAway."""
        with self.lock:
            known = self.sent.last(row.external_id for row in batch.rows)
            verdicts = [_judged(row, each, known) for row, each in zip(batch.rows, batch.operations, strict=True)]
            going = [(row, each) for row, each in zip(batch.rows, verdicts, strict=True) if isinstance(each, bytes)]
            told = iter(self._send(going))
            return [next(told) if isinstance(each, bytes) else each for each in verdicts]

    def close(self) -> None:
        """Close both ends when no batch is between them: SQLite crashes where another thread closes it in use."""
        with self.lock:
            self.publisher.close()
            self.sent.close()

    def _send(self, going: Sequence[tuple[Row, bytes]]) -> list[Verdict]:
        if not going:
            return []
        try:
            self.publisher.send([self.envelope(row, operation, self.origin) for row, operation in going])
        except TooLarge:
            return [TOO_LARGE] if len(going) == 1 else [verdict for each in going for verdict in self._send([each])]
        self.sent.remember(Sent(row.external_id, event_id(each), row.is_gone, _at_us(row)) for row, each in going)
        return [PUBLISHED] * len(going)


def _judged(row: Row, operation: bytes | Verdict, known: dict[str, str]) -> bytes | Verdict:
    if isinstance(operation, bytes) and known.get(row.external_id) == event_id(operation):
        return KNOWN
    return operation


def _at_us(row: Row) -> int:
    try:
        return microseconds(row.position.at)
    except ValueError:
        return 0
