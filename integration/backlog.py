"""Records that are read and not yet on their way, by partition, each in the order in which they came."""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from integration.batches import BATCH_BYTES, BATCH_ROWS
from integration.kafka_client import Partition, Record

FULL_ROWS = 4 * BATCH_ROWS
FULL_BYTES = 4 * BATCH_BYTES
Queue = deque[Record]


@dataclass
class Backlog:
    """Queues that say when they have enough."""

    queues: dict[Partition, Queue] = field(default_factory=dict)
    rows: int = 0
    size_bytes: int = 0

    def add(self, records: Iterable[Record]) -> None:
        """Put each at the end of its partition."""
        for record in records:
            self.queues.setdefault(record.partition, deque()).append(record)
            self.rows += 1
            self.size_bytes += _length(record)

    def take(self, busy: Collection[Partition]) -> list[Record]:
        """The next batch, of partitions that are not busy: at most 1,000 and 8 MiB, unless one alone is longer."""
        taken: list[Record] = []
        size = 0
        for queue in sorted((each for name, each in self.queues.items() if name not in busy), key=_oldest_ms):
            while queue and len(taken) < BATCH_ROWS:
                size += _length(queue[0])
                if taken and size > BATCH_BYTES:
                    return self._without(taken)
                taken.append(queue.popleft())
        return self._without(taken)

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop what others read from now on."""
        self._without([record for each in partitions for record in self.queues.pop(each, ())])

    def oldest_ms(self) -> int | None:
        """When the oldest came into Kafka, in ms since 1970."""
        return min(map(_oldest_ms, self.queues.values()), default=None)

    @property
    def is_full(self) -> bool:
        """Whether no more should be read."""
        return self.rows >= FULL_ROWS or self.size_bytes >= FULL_BYTES

    @property
    def is_low(self) -> bool:
        """Whether more should be read."""
        return self.rows <= FULL_ROWS // 2 and self.size_bytes <= FULL_BYTES // 2

    def _without(self, gone: list[Record]) -> list[Record]:
        self.rows -= len(gone)
        self.size_bytes -= sum(map(_length, gone))
        self.queues = {name: queue for name, queue in self.queues.items() if queue}
        return gone


def _length(record: Record) -> int:
    return len(record.message.value or b"")


def _oldest_ms(queue: Queue) -> int:
    return queue[0].at_ms
