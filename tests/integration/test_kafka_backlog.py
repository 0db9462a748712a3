"""Records that wait: which of them make the next batch, and when there are enough."""

from integration.backlog import FULL_ROWS, Backlog
from integration.batches import BATCH_BYTES, BATCH_ROWS
from integration.envelopes import Message
from integration.kafka_client import Partition, Record

FIRST, SECOND = Partition("t", 0), Partition("t", 1)


def records(partition: Partition, count: int, at_ms: int = 0, length: int = 1) -> list[Record]:
    """Records of a partition."""
    return [Record(partition, offset, at_ms + offset, Message(b"k", b"x" * length)) for offset in range(count)]


def filled(*some: list[Record]) -> Backlog:
    """A backlog into which these came."""
    backlog = Backlog()
    for each in some:
        backlog.add(each)
    return backlog


def test_a_batch_is_filled_with_the_oldest_partition_first_and_each_in_its_order() -> None:
    backlog = filled(records(FIRST, 3, at_ms=50), records(SECOND, 2))
    assert [(each.partition.number, each.offset) for each in backlog.take(())] == [
        (1, 0),
        (1, 1),
        (0, 0),
        (0, 1),
        (0, 2),
    ]
    assert backlog.take(()) == []


def test_nothing_is_taken_of_a_partition_that_is_on_its_way() -> None:
    backlog = filled(records(FIRST, 3), records(SECOND, 3))
    assert {each.partition for each in backlog.take({FIRST})} == {SECOND}
    assert backlog.take({FIRST}) == []
    assert backlog.oldest_ms() == 0
    assert len(backlog.take(())) == 3
    assert backlog.oldest_ms() is None


def test_a_batch_has_at_most_a_thousand_records_and_8_mib_unless_one_alone_is_longer() -> None:
    assert [len(backlog.take(())) for backlog in [filled(records(FIRST, 1_500))] for _ in range(2)] == [BATCH_ROWS, 500]
    long = filled(records(FIRST, 2, length=BATCH_BYTES + 1), records(SECOND, 1))
    assert [len(long.take(())) for _ in range(4)] == [1, 1, 1, 0]


def test_it_is_full_and_low_by_what_is_left_and_forgets_what_others_read() -> None:
    backlog = filled(records(FIRST, FULL_ROWS - 1), records(SECOND, 1))
    assert backlog.is_full
    backlog.take(())
    assert (backlog.is_full, backlog.is_low) == (False, False)
    backlog.forget({FIRST})
    assert (backlog.is_low, backlog.rows) == (True, len(backlog.take(())))
    assert backlog.size_bytes == 0
