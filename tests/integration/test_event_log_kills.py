"""Workers and brokers that are killed while events are published: none is lost, each key keeps its order.

Some points are chosen by LAKEPORT_SEED; with LAKEPORT_FULL=1 all of them, each at its first and its second time.
"""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.integration.kafka.deadly import named
from tests.integration.kafka.deadly_relay import POINTS
from tests.integration.kafka.relays import TOPICS, Outboxed, event_id, firsts, kill, make_topics, outboxed, value
from tests.integration.kafka.running import Kafka
from tests.live import ROOT

IS_FULL = os.environ.get("LAKEPORT_FULL") == "1"
CHANCE = random.Random(os.environ.get("LAKEPORT_SEED", "1"))
ALL_KILLS = [(point, nth) for point in named(POINTS) for nth in (1, 2)]
KILLS = ALL_KILLS if IS_FULL else sorted(CHANCE.sample(ALL_KILLS, 2))
KEYS = range(40)


@pytest.fixture
def outbox(kafka: Kafka, prepared: Path, tmp_path: Path) -> Iterator[Outboxed]:
    """A database whose events nobody publishes yet."""
    make_topics(kafka, *TOPICS)
    with outboxed(kafka, prepared, tmp_path) as found:
        yield found


def check(outbox: Outboxed) -> int:
    """Nothing is lost, and each key in order for who drops what he knows. Returns how many came again."""
    outbox.wait_until_sent()
    records = outbox.records("lakeport.articles")
    known = firsts(records)
    assert {event_id(each) for each in known} == set(outbox.ids("article.%"))
    for key in {each.message.key for each in known}:
        versions = [value(each)["data"]["version"] for each in known if each.message.key == key]
        assert versions == sorted(versions)
    return len(records) - len(known)


def add_versions(outbox: Outboxed, versions: range) -> None:
    """Change each key once for each version."""
    for version in versions:
        outbox.add_events(KEYS, version)


def run_deadly(outbox: Outboxed, point: str, nth: int) -> int:
    """The exit code of a worker that kills itself at a point."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATA_DIR": str(outbox.folder), **outbox.environ}
    command = [sys.executable, "-m", "tests.integration.kafka.deadly_relay", point, str(nth)]
    environ["WORKER_METRICS_PORT"] = "0"
    return subprocess.run(command, cwd=outbox.folder, env=environ, check=False, timeout=90).returncode


@pytest.mark.parametrize(("point", "nth"), KILLS)
def test_a_worker_killed_at_a_named_point_loses_no_event(outbox: Outboxed, point: str, nth: int) -> None:
    add_versions(outbox, range(1, 3))
    assert run_deadly(outbox, point, nth) == -signal.SIGKILL
    outbox.add_events(KEYS, 3)
    outbox.start_worker()
    again = check(outbox)
    assert again > 0 or point != "after publish"


def test_brokers_and_the_worker_that_publishes_killed_in_between_lose_no_event(outbox: Outboxed, kafka: Kafka) -> None:
    first, _ = outbox.start_worker(), outbox.start_worker()
    writer = Thread(target=add_versions, args=(outbox, range(1, 16)))
    writer.start()
    outbox.wait_for_position()
    kafka.kill()
    try:
        kill(first)
        writer.join()
    finally:
        kafka.start()
        assert kafka.is_running()
    outbox.add_events(KEYS, 16)
    check(outbox)
