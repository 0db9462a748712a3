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


Answer = list[Verdict] | Refused
Tell = Callable[[Sequence[bytes]], Answer]
"""Tells the core operations in JSON: a verdict for each, or the refusal of them all."""
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
    return settle(batch.operations, lambda operations: _answer(core, operations, is_rehearsal=is_rehearsal))


def settle(operations: Sequence[bytes | Verdict], tell: Tell) -> list[Verdict]:
    """What became of each, those told to the core that have no verdict yet. Raises what `tell` raises."""
    sent = [operation for operation in operations if isinstance(operation, bytes)]
    verdicts = iter(_settle(sent, tell) if sent else [])
    return [next(verdicts) if isinstance(operation, bytes) else operation for operation in operations]


def _settle(operations: Sequence[bytes], tell: Tell) -> list[Verdict]:
    answer = tell(operations)
    if not isinstance(answer, Refused):
        return answer
    if len(operations) == 1:
        return [Verdict(None, answer.code, answer.detail)]
    # One row is enough to have a body refused; its neighbours shall not wait for it.
    middle = len(operations) // 2
    return [*_settle(operations[:middle], tell), *_settle(operations[middle:], tell)]


def _answer(core: CoreClient, operations: Sequence[bytes], *, is_rehearsal: bool) -> Answer:
    return insist(core, operations, lambda some: core.apply(some, is_rehearsal=is_rehearsal))


def insist(core: CoreClient, operations: Sequence[bytes], tell: Tell) -> Answer:
    """The core's answer. Where it failed at the operations, it has shown meanwhile that it does not fail at others."""
    answer = tell(operations)
    if not isinstance(answer, Refused) or answer.code != FAILED:
        return answer
    core.await_batches()
    return answer if len(operations) > 1 else tell(operations)


def _operation(row: Row, origin: str) -> bytes | Verdict:
    if row.position.key is None:
        return Verdict(None, NO_KEY, "a row without a key cannot be named")
    try:
        return orjson.dumps(row.operation(origin))
    except (TypeError, ValueError) as error:
        return Verdict(None, "invalid", f"the row cannot be written as JSON: {error}")


def _batch(taken: Sequence[tuple[Row, bytes | Verdict]]) -> Batch:
    return Batch(tuple(row for row, _ in taken), tuple(operation for _, operation in taken))
