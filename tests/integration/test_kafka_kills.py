"""Consumers killed at named points and at random moments: nothing is lost, nothing is doubled, the newest wins."""

import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.kafka.deadly_consumer import POINTS
from tests.integration.kafka.lanes import Lane, delete, plain, upsert

DEADLY = Path(__file__).parent / "kafka" / "deadly_consumer.py"
SEEDS = range(5)
KEYS = 30


def history(lane: Lane, chance: random.Random, first: int) -> dict[str, tuple[int, str]]:
    """Send changes of 30 keys, some late, some twice, some poison; gives what must be there in the end."""
    newest: dict[str, tuple[int, str]] = {}
    changes = []
    for version in range(first, first + 6):
        for key in range(KEYS):
            is_gone = chance.random() < 0.15
            changes.append(delete(key, version) if is_gone else upsert(key, version))
            newest.pop(str(key), None)
            if not is_gone:
                newest[str(key)] = (version, f"title {version}")
    again = chance.choices(changes, k=20)
    lane.send(*changes, *again, *(plain(f"bad{number}", {"op": "none"}) for number in range(3)))
    return newest


@pytest.mark.parametrize("point", POINTS)
def test_a_consumer_killed_at_a_named_point_loses_and_doubles_nothing(lane: Lane, point: str) -> None:
    chance = random.Random(point)
    newest = history(lane, chance, 1)
    deadly = lane.start(str(DEADLY), point, "1")
    assert deadly.wait(30) == -signal.SIGKILL
    lane.start()
    lane.wait_until_committed()
    assert lane.articles() == newest
    assert len(lane.letters()) == 3


@pytest.mark.parametrize("seed", SEEDS)
def test_consumers_killed_at_random_moments_lose_and_double_nothing(lane: Lane, seed: int) -> None:
    chance = random.Random(seed)
    points = chance.sample(sorted(POINTS), 2)
    consumers = [lane.start(str(DEADLY), point, str(chance.randint(1, 4))) for point in points]
    for first in (1, 7):
        newest = history(lane, chance, first)
    with suppress(subprocess.TimeoutExpired):
        consumers[0].wait(chance.uniform(0.2, 1.5))
    consumers[0].kill()
    lane.start()
    lane.wait_until_committed()
    assert lane.articles() == newest
    assert len(lane.letters()) == 6
