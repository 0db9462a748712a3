"""The rate of one principal, a sliding minute counted without waiting for one; and the line before the core."""

from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest

from rest_api import limits
from rest_api.errors import Overloaded, RateLimited
from rest_api.limits import LONGEST_LINE, LONGEST_OF_ONE, Queue, RateLimit


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.seconds = 600.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the rates."""
    standing = Clock()
    monkeypatch.setattr(limits, "time", standing)
    return standing


def admitted(rates: RateLimit, principal: str, calls: int) -> int:
    """How many of so many calls are let in."""
    count = 0
    for _ in range(calls):
        try:
            rates.take(principal)
        except RateLimited:
            continue
        count += 1
    return count


def test_one_principal_does_not_use_up_what_is_anothers(clock: Clock) -> None:
    rates = RateLimit(10)
    assert admitted(rates, "user 1", 15) == 10
    assert admitted(rates, "user 2", 15) == 10


def test_what_is_left_counts_down_to_nothing(clock: Clock) -> None:
    rates = RateLimit(3)
    assert [rates.take("user 1").remaining for _ in range(3)] == [2, 1, 0]


@pytest.mark.parametrize(("seconds_later", "expected"), [(30, 0), (60, 0), (90, 5), (119, 9), (120, 10), (7_200, 10)])
def test_calls_are_forgotten_as_the_minute_moves_on(clock: Clock, seconds_later: int, expected: int) -> None:
    rates = RateLimit(10)
    assert admitted(rates, "user 1", 10) == 10
    clock.seconds += seconds_later
    assert admitted(rates, "user 1", 20) == expected


def test_a_refusal_says_when_to_come_back(clock: Clock) -> None:
    rates = RateLimit(1)
    clock.seconds += 45
    rates.take("user 1")
    with pytest.raises(RateLimited) as refusal:
        rates.take("user 1")
    assert refusal.value.retry_after_seconds == 15


def test_one_caller_may_not_fill_the_line() -> None:
    queue = Queue(running=1, wait_seconds=20)
    queue.enter("the turn")
    with ThreadPoolExecutor(LONGEST_LINE + 1) as pool:
        crowd = [pool.submit(_passed, queue, "crowd") for _ in range(LONGEST_LINE)]
        refused = LONGEST_LINE - LONGEST_OF_ONE
        told = [each.result() for _, each in zip(range(refused), as_completed(crowd, timeout=10), strict=False)]
        other = pool.submit(_passed, queue, "somebody else")
        assert told == [False] * refused
        queue.leave()
        assert other.result()
        assert [each.result() for each in crowd].count(True) == LONGEST_OF_ONE


def _passed(queue: Queue, caller: str) -> bool:
    try:
        queue.enter(caller)
    except Overloaded:
        return False
    queue.leave()
    return True
