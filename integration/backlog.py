"""Records that are read and not yet on their way, in the order in which they came."""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from integration.batches import BATCH_BYTES, BATCH_ROWS
from integration.kafka_client import Partition, Record

FULL_ROWS = 4 * BATCH_ROWS
FULL_BYTES = 4 * BATCH_BYTES


@dataclass
class Backlog:
    """A queue that says when it has enough."""

    records: deque[Record] = field(default_factory=deque)
    size_bytes: int = 0

    def add(self, records: Iterable[Record]) -> None:
        """Put them at the end."""
        for record in records:
            self.records.append(record)
            self.size_bytes += _length(record)

    def take(self) -> list[Record]:
        """The next batch: at most 1,000 and 8 MiB, unless one alone is longer."""
        taken: list[Record] = []
        size = 0
        while self.records and len(taken) < BATCH_ROWS:
            size += _length(self.records[0])
            if taken and size > BATCH_BYTES:
                break
            taken.append(self.records.popleft())
            self.size_bytes -= _length(taken[-1])
        return taken

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop what others read from now on."""
        kept = [record for record in self.records if record.partition not in partitions]
        self.records.clear()
        self.size_bytes = 0
        self.add(kept)

    @property
    def is_full(self) -> bool:
        """Whether no more should be read."""
        return len(self.records) >= FULL_ROWS or self.size_bytes >= FULL_BYTES

    @property
    def is_low(self) -> bool:
        """Whether more should be read."""
        return len(self.records) <= FULL_ROWS // 2 and self.size_bytes <= FULL_BYTES // 2


def _length(record: Record) -> int:
    return len(record.message.value or b"")
