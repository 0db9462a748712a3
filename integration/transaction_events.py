"""Events of the transactions pipeline in a topic, as the core takes them: it alone checks, keeps and merges them."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from integration.batches import Answer, insist
from integration.core_client import CoreClient, Verdict
from integration.delivery import TOMBSTONE, Judged
from integration.kafka_client import Record

DATASET = "transactions"
EVENT_ID, REPLAY_ID, REPLAYED_AT, REPLAY_HASH = "event-id", "replay-id", "replayed-at", "replay-hash"
LONGEST_ID = 255
TOO_LARGE = Verdict(None, "too_large", "the value is longer than KAFKA_MESSAGE_BYTES")


@dataclass(frozen=True)
class TransactionEvents:
    """Events of a dataset, told with their place in the topic, by which the core knows a refused one again."""

    core: CoreClient
    longest_bytes: int
    dataset: str = DATASET

    def judge(self, record: Record) -> Judged:
        """The event as it came: whether it is JSON, and of which numbers, is the core's to say."""
        value, headers = record.message.value, dict(record.message.headers)
        kind = "replay" if REPLAY_ID in headers else "event"
        if value is None:
            return Judged(record, "tombstone", TOMBSTONE)
        if len(value) > self.longest_bytes:
            return Judged(record, kind, TOO_LARGE)
        texts = {name: text.decode(errors="replace") for name, text in headers.items()}
        return Judged(record, kind, orjson.dumps(_event(record, value, texts)))

    def tell(self, operations: Sequence[bytes]) -> Answer:
        """Have them checked, and merged by the key or kept in the quarantine."""
        return insist(self.core, operations, lambda events: self.core.ingest(self.dataset, events))


def _event(record: Record, value: bytes, headers: dict[str, str]) -> dict[str, object]:
    event_id = headers.get(EVENT_ID, "")
    return {
        "raw": _text(value),
        "id": event_id if 0 < len(event_id) <= LONGEST_ID else None,
        "source": {"topic": record.partition.topic, "partition": record.partition.number, "offset": record.offset},
        "replay": _replay(headers),
    }


def _text(value: bytes) -> str:
    """The message as text. What is no UTF-8, or a zero byte that no database takes, is not JSON either way."""
    return value.decode(errors="backslashreplace").replace("\0", "\\x00")


def _replay(headers: dict[str, str]) -> dict[str, str | None] | None:
    if REPLAY_ID not in headers:
        return None
    return {
        "id": headers[REPLAY_ID],
        "hash": headers.get(REPLAY_HASH),
        "replayed_at": headers.get(REPLAYED_AT),
    }
