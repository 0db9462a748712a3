"""Changes of articles in a topic, as the core takes them: operations of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from integration.batches import Answer, insist
from integration.core_client import CoreClient, Verdict
from integration.delivery import TOMBSTONE, Judged
from integration.envelopes import Poison, Reader
from integration.kafka_client import Record


@dataclass(frozen=True)
class ArticleChanges:
    """Base A's changes, by what reads their envelopes."""

    reader: Reader
    core: CoreClient

    def judge(self, record: Record) -> Judged:
        """The operation of a change; what cannot be read has a verdict."""
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

    def tell(self, operations: Sequence[bytes]) -> Answer:
        """Apply them, each by its version."""
        return insist(self.core, operations, self.core.apply)
