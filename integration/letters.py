"""Dead letters: messages that could not be applied, with reason and coordinates in their headers.

A letter's key is its id, the coordinates of the message; so one that is parked twice is one, and Kafka's own
tombstone drops it. The message's key moves into a header.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from integration.core_client import Verdict
from integration.envelopes import Message
from integration.kafka_client import Partition, Record

PREFIX = "dlq-"
LONGEST_DETAIL = 1_000
WITHOUT_VALUE = {b"null": "it was null", b"omitted": "it was too large for the topic of dead letters"}


@dataclass(frozen=True)
class Letter:
    """A dead letter; `message` is what failed, without a value where `missing` says why."""

    partition: Partition
    offset: int
    at_ms: int
    reason: str
    detail: str
    parked_at: str
    message: Message
    missing: str = ""

    @property
    def id(self) -> str:
        """The coordinates of what failed, as `topic/partition/offset`."""
        return f"{self.partition.topic}/{self.partition.number}/{self.offset}"

    def parked(self) -> Message:
        """It as the topic of dead letters keeps it. A null there would be a tombstone, so it is told by a header."""
        facts = {
            "reason": self.reason,
            "detail": self.detail,
            "topic": self.partition.topic,
            "partition": str(self.partition.number),
            "offset": str(self.offset),
            "timestamp": str(self.at_ms),
            "parked-at": self.parked_at,
        }
        headers = [(PREFIX + name, text.encode(errors="replace")) for name, text in facts.items()]
        if self.message.key is not None:
            headers.append((f"{PREFIX}key", self.message.key))
        if self.message.value is None:
            headers.append((f"{PREFIX}value", b"omitted" if self.missing else b"null"))
        kept = [each for each in self.message.headers if not each[0].startswith(PREFIX)]
        return Message(self.id.encode(), self.message.value or b"", (*headers, *kept))

    def without_value(self) -> "Letter":
        """It for a topic that takes no message so long."""
        return replace(self, message=replace(self.message, value=None), missing=WITHOUT_VALUE[b"omitted"])

    def dropped(self) -> Message:
        """What makes it go."""
        return Message(self.id.encode(), None)


def letter(record: Record, verdict: Verdict) -> Letter:
    """The letter about a record that was refused."""
    return Letter(
        record.partition,
        record.offset,
        record.at_ms,
        verdict.code,
        verdict.detail[:LONGEST_DETAIL],
        datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        record.message,
    )


def standing(records: Iterable[Record]) -> list[Letter]:
    """The letters of a topic that were not dropped, oldest first; what is no letter is passed over."""
    found: dict[bytes, Letter] = {}
    for record in records:
        key = record.message.key or b""
        found.pop(key, None)
        read = _letter(record.message)
        if read is not None:
            found[key] = read
    return sorted(found.values(), key=lambda each: (each.parked_at, each.partition, each.offset))


def _letter(parked: Message) -> Letter | None:
    facts = {name.removeprefix(PREFIX): value for name, value in parked.headers if name.startswith(PREFIX)}
    try:
        return _from_facts(parked, facts) if parked.value is not None else None
    except (KeyError, ValueError):
        return None


def _from_facts(parked: Message, facts: dict[str, bytes]) -> Letter:
    told: dict[str, Any] = {name: value.decode(errors="replace") for name, value in facts.items()}
    headers = tuple(each for each in parked.headers if not each[0].startswith(PREFIX))
    missing = facts.get("value")
    return Letter(
        Partition(told["topic"], int(told["partition"])),
        int(told["offset"]),
        int(told["timestamp"]),
        told["reason"],
        told["detail"],
        told["parked-at"],
        Message(facts.get("key"), None if missing else parked.value, headers),
        WITHOUT_VALUE[missing] if missing else "",
    )
