"""Consumers and producers killed at named points: nothing is lost, nothing is doubled, the newest wins.

Some are chosen by LAKEPORT_SEED; with LAKEPORT_FULL=1 all of them, each at its first and at a later time.
"""

import os
import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.bases import Base, times_created
from tests.integration.kafka.deadly import CONSUMER, PRODUCER, named
from tests.integration.kafka.flows import Flow, consuming
from tests.integration.kafka.lanes import Lane, delete, plain, upsert

DEADLY = str(Path(__file__).parent / "kafka" / "deadly.py")
IS_FULL = os.environ.get("LAKEPORT_FULL") == "1"
CHANCE = random.Random(os.environ.get("LAKEPORT_SEED", "1"))
SEEDS = range(5 if IS_FULL else 1)
KEYS = 30
Kill = tuple[str, int]


def chosen(kills: list[Kill], count: int) -> list[Kill]:
    """All, or some of them."""
    return kills if IS_FULL else sorted(CHANCE.sample(kills, count))


CONSUMER_KILLS = chosen([(point, nth) for point in named(CONSUMER) for nth in (1, 2)], 3)
# A run has two batches of articles and one of tombstones.
PRODUCER_KILLS = chosen(
    [(point, nth) for point in named(PRODUCER) for nth in (1, 2) if nth == 1 or "bind" not in point], 3
)


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


@pytest.mark.scenario("killed", "kafka")
@pytest.mark.parametrize(("point", "nth"), CONSUMER_KILLS)
def test_a_consumer_killed_at_a_named_point_loses_and_doubles_nothing(lane: Lane, point: str, nth: int) -> None:
    chance = random.Random(point)
    newest = history(lane, chance, 1)
    deadly = lane.start(DEADLY, "consumer", point, str(nth))
    if nth > 1:
        lane.wait_for(lambda: lane.behind() < 203 or deadly.poll() is not None)
        newest = history(lane, chance, 7)
    assert deadly.wait(60) == -signal.SIGKILL
    with consuming(lane.environ):
        lane.wait_until_committed()
    assert lane.articles() == newest
    assert len(lane.letters()) == 3 * nth


@pytest.mark.scenario("killed", "kafka")
@pytest.mark.parametrize(("point", "nth"), PRODUCER_KILLS)
def test_a_producer_killed_at_a_named_point_loses_and_doubles_nothing(
    lane: Lane, base: Base, point: str, nth: int
) -> None:
    flow = Flow(base, lane)
    base.fill(range(1_020))
    base.execute("delete from articles where id < 15")
    # Older than the overlap, which would bring back what a watermark that moved too soon had lost.
    base.execute("update articles set updated_at = datetime('2026-01-01', '+' || id || ' minutes')")
    base.execute("update article_tombstones set deleted_at = datetime('2026-01-01', '+' || id || ' hours')")
    deadly = lane.start(DEADLY, "producer", point, str(nth), *flow.arguments, LAKEPORT_SOURCE=base.url)
    assert deadly.wait(60) == -signal.SIGKILL
    base.execute("update articles set content = 'meanwhile' where id in (30, 1000)")
    assert flow.capture().code == 0
    with consuming(lane.environ):
        assert flow.carried() == base.rows()
    assert set(times_created(lane.core, lane.origin).values()) == {1}
    assert lane.letters() == []


@pytest.mark.scenario("killed", "kafka")
@pytest.mark.parametrize("seed", SEEDS)
def test_consumers_killed_at_random_moments_lose_and_double_nothing(lane: Lane, seed: int) -> None:
    chance = random.Random(seed)
    points = chance.sample(named(CONSUMER), 2)
    consumers = [lane.start(DEADLY, "consumer", point, str(chance.randint(1, 4))) for point in points]
    for first in (1, 7):
        newest = history(lane, chance, first)
    with suppress(subprocess.TimeoutExpired):
        consumers[0].wait(chance.uniform(0.2, 1.5))
    consumers[0].kill()
    lane.start()
    lane.wait_until_committed()
    assert lane.articles() == newest
    assert len(lane.letters()) == 6
