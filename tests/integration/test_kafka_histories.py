"""Histories over real Kafka with members killed and paused: the checker finds nothing, and finds a hasty consumer.

One is chosen by LAKEPORT_SEED; with LAKEPORT_FULL=1 there are ten, each twice as long.
"""

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.bases import Base, synced
from tests.integration.faulty_proxy import faulty_proxy
from tests.integration.histories.cast import BROKER, CONSUMERS, PRODUCER, Cast
from tests.integration.histories.history import violations
from tests.integration.histories.recorder import Recorder
from tests.integration.kafka.flows import Flow
from tests.integration.kafka.lanes import Lane

IS_FULL = os.environ.get("LAKEPORT_FULL") == "1"
SEED = int(os.environ.get("LAKEPORT_SEED", "1"))
SEEDS = range(SEED, SEED + (10 if IS_FULL else 1))
ROUNDS = 2 if IS_FULL else 1
HASTY = str(Path(__file__).parent / "histories" / "hasty_consumer.py")
# A member that is paused longer than its session of two seconds comes back as one that nobody expects.
PAUSES = {CONSUMERS[0]: 3.0, CONSUMERS[1]: 3.0, PRODUCER: 1.0, BROKER: 1.0}


@pytest.fixture
def base(base: Base) -> Base:
    """One whose readers may be paused in the middle without keeping writers out."""
    with closing(sqlite3.connect(base.url.removeprefix("sqlite:///"))) as connection:
        connection.execute("pragma journal_mode=wal")
    return base


@pytest.mark.scenario("killed", "kafka")
@pytest.mark.parametrize("seed", SEEDS)
def test_kills_and_pauses_lose_double_and_invert_nothing_and_show_nothing_stale(
    lane: Lane, base: Base, seed: int
) -> None:
    chance = random.Random(seed)
    flow = Flow(base, lane)
    cast, recorder = Cast(flow), Recorder(flow, chance)
    cast.start()
    with recorder.watching():
        recorder.write(1.0)
        lane.wait_for(lambda: synced(lane.core, lane.origin), 90)
        for _ in range(ROUNDS):
            _act(cast, recorder, chance)
        lane.wait_for(lambda: synced(lane.core, lane.origin) == base.rows(), 90)
        lane.wait_until_committed(90)
        recorder.look_once_more()
    history = recorder.history()
    assert violations(history) == []
    assert len(history.written) > 50
    assert {each.key for each in history.confirmed} == {each.key for each in history.written}


def _act(cast: Cast, recorder: Recorder, chance: random.Random) -> None:
    kills = [CONSUMERS[0], PRODUCER]
    pauses = [chance.choice(CONSUMERS), chance.choice((PRODUCER, BROKER))]
    acts = [(role, True) for role in kills] + [(role, False) for role in pauses]
    for role, is_kill in chance.sample(acts, len(acts)):
        recorder.write(chance.uniform(0.2, 1.0))
        if is_kill:
            cast.kill(role)
        else:
            with cast.paused(role):
                recorder.write(PAUSES[role])
    recorder.write(0.5)


def test_a_consumer_that_commits_before_the_core_confirmed_is_found(lane: Lane, base: Base) -> None:
    flow = Flow(base, lane)
    recorder = Recorder(flow, random.Random(SEED))
    with faulty_proxy(lane.core.url, 0, 0) as proxy, recorder.watching():
        hasty = lane.start(HASTY, CORE_URL=proxy.url)
        recorder.write(0.5)
        assert flow.capture().code == 0
        lane.wait_for(lambda: synced(lane.core, lane.origin) == base.rows())
        proxy.outage = range(10**9)
        recorder.write(0.5)
        assert flow.capture().code == 0
        lane.wait_until_committed()
        recorder.look_once_more()
        hasty.kill()
    assert {each.kind for each in violations(recorder.history())} == {"stale", "lost"}
