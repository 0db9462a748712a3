"""How rows reach the core: in batches, each row applied or parked, and a batch that is refused whole taken apart."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from integration.core_client import FAILED, CoreClient, Refused, Verdict
from integration.rows import Row

NO_KEY = "no_key"
BATCH_ROWS = 1_000
BATCH_BYTES = 8 << 20


@dataclass(frozen=True)
class Batch:
    """Rows in their order, each with its operation in JSON, or with what is wrong where it has none."""

    rows: tuple[Row, ...]
    operations: tuple[bytes | Verdict, ...]


Deliver = Callable[[Batch], list[Verdict]]
"""Brings a batch to where it goes, and says what became of each row."""


def batches(rows: Iterable[Row], origin: str) -> Iterator[Batch]:
    """Rows by batches of at most 1,000 and of 8 MiB, unless a row alone is longer."""
    taken: list[tuple[Row, bytes | Verdict]] = []
    size = 0
    for row in rows:
        operation = _operation(row, origin)
        length = len(operation) if isinstance(operation, bytes) else 0
        if taken and (len(taken) == BATCH_ROWS or size + length > BATCH_BYTES):
            yield _batch(taken)
            taken, size = [], 0
        taken.append((row, operation))
        size += length
    if taken:
        yield _batch(taken)


def apply(core: CoreClient, batch: Batch, *, is_rehearsal: bool = False) -> list[Verdict]:
    """What became of each row. Raises CoreAway, CoreRefused."""
    sent = [operation for operation in batch.operations if isinstance(operation, bytes)]
    verdicts = iter(_apply(core, sent, is_rehearsal=is_rehearsal) if sent else [])
    return [next(verdicts) if isinstance(operation, bytes) else operation for operation in batch.operations]


def _apply(core: CoreClient, operations: Sequence[bytes], *, is_rehearsal: bool) -> list[Verdict]:
    answer = _answer(core, operations, is_rehearsal=is_rehearsal)
    if not isinstance(answer, Refused):
        return answer
    if len(operations) == 1:
        return [Verdict(None, answer.code, answer.detail)]
    # One row is enough to have a body refused; its neighbours shall not wait for it.
    middle = len(operations) // 2
    halves = operations[:middle], operations[middle:]
    return [verdict for half in halves for verdict in _apply(core, half, is_rehearsal=is_rehearsal)]


def _answer(core: CoreClient, operations: Sequence[bytes], *, is_rehearsal: bool) -> list[Verdict] | Refused:
    """The core's answer. Where it failed at the operations, it has shown meanwhile that it does not fail at others."""
    answer = core.apply(operations, is_rehearsal=is_rehearsal)
    if not isinstance(answer, Refused) or answer.code != FAILED:
        return answer
    core.await_batches()
    return answer if len(operations) > 1 else core.apply(operations, is_rehearsal=is_rehearsal)


def _operation(row: Row, origin: str) -> bytes | Verdict:
    if row.position.key is None:
        return Verdict(None, NO_KEY, "a row without a key cannot be named")
    try:
        return orjson.dumps(row.operation(origin))
    except (TypeError, ValueError) as error:
        return Verdict(None, "invalid", f"the row cannot be written as JSON: {error}")


def _batch(taken: Sequence[tuple[Row, bytes | Verdict]]) -> Batch:
    return Batch(tuple(row for row, _ in taken), tuple(operation for _, operation in taken))
