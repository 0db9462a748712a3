"""The Kafka route from a topic through REST into the core's database, beside its parts: bare reads, bare calls."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import orjson

from benchmarks import governance
from benchmarks.report import Finding, Report
from benchmarks.sync.base_a import CONTENT
from integration.core_client import CoreClient, Credentials
from integration.envelopes import Message
from integration.kafka_client import read_topic
from integration.kafka_route import IN_FLIGHT
from tests import live
from tests.integration.kafka.lanes import Lane, upsert
from tests.integration.kafka.running import run_kafka

ROWS = 100_000
PARTITIONS = 4
BATCH_ROWS = 1_000
TARGET_PER_SECOND = 3_000
TARGET_DELAY_SECONDS = 1.0
TIMES = 5
POISON = (
    Message(b"p1", b"{"),
    Message(b"p2", b'{"op": "truncate"}'),
    Message(None, b"{}"),
    Message(b"p4", b'{"op": "upsert", "external_id": "p4", "external_version": 1, "title": "", "content": ""}'),
    Message(b"p5", b"x" * 5_000_000),
)
PATIENCE_SECONDS = 600


def measure(folder: Path, rows: int = ROWS) -> Report:
    """Measure it over a database and a broker in `folder`."""
    with _lane(folder) as lane:
        parts = {
            "sends": _seconds(partial(_send, lane, rows)),
            "bare reads": _seconds(partial(_read, lane, rows)),
            f"bare calls, {IN_FLIGHT} at once": _seconds(partial(_call, lane, rows)),
            "the route": _carry(lane, rows),
        }
        alone, behind_poison = _arrival(lane, "good", ()), _arrival(lane, "behind", POISON)
    return Report(
        f"Kafka: {rows:,} articles from a topic of {PARTITIONS} partitions to SQLite",
        ("way", "rows a second", "seconds", "time beside the route's"),
        [
            (name, f"{rows / each:,.0f}", f"{each:.1f}", f"{each / parts['the route']:.2f}")
            for name, each in parts.items()
        ],
        _findings(rows / parts["the route"], alone, behind_poison),
    )


def _findings(rate: float, alone: float, behind_poison: float) -> list[Finding]:
    delay = behind_poison - alone
    return [
        Finding("rows a second", f"{rate:,.0f}", f"at least {TARGET_PER_SECOND:,}", rate >= TARGET_PER_SECOND),
        Finding("a change alone arrives in, seconds", f"{alone:.2f}", "none", is_met=True),
        Finding(
            "longer behind poison, seconds",
            f"{delay:.2f}",
            f"at most {TARGET_DELAY_SECONDS:g}",
            delay <= TARGET_DELAY_SECONDS,
        ),
    ]


@contextmanager
def _lane(folder: Path) -> Iterator[Lane]:
    (folder / "kafka").mkdir()
    with (
        live.core(folder / "core", options=governance.OPTIONS, ACCESS_TOKEN_SECONDS="3600") as core,
        run_kafka(folder / "kafka") as kafka,
    ):
        lane = Lane(kafka, core, core.add_user("editor"), "benched", folder, PARTITIONS)
        try:
            yield lane
        finally:
            lane.end()


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _operation(number: int, origin: str) -> bytes:
    named = {"op": "upsert", "origin": origin, "external_id": str(number), "external_version": 1}
    return orjson.dumps({**named, "title": f"Article {number}", "content": CONTENT})


def _send(lane: Lane, rows: int) -> None:
    for start in range(0, rows, 10 * BATCH_ROWS):
        numbers = range(start, min(start + 10 * BATCH_ROWS, rows))
        lane.send(*(Message(str(number).encode(), _operation(number, lane.origin)) for number in numbers))


def _read(lane: Lane, rows: int) -> None:
    assert sum(1 for _ in read_topic(lane.connection, lane.topic)) == rows


def _call(lane: Lane, rows: int) -> None:
    """The same rows of another origin, with nothing but the calls."""
    batches = [
        [_operation(number, "called") for number in range(start, min(start + BATCH_ROWS, rows))]
        for start in range(0, rows, BATCH_ROWS)
    ]
    with (
        closing(CoreClient(lane.core.url, Credentials(lane.token), PATIENCE_SECONDS, print)) as core,
        ThreadPoolExecutor(IN_FLIGHT) as pool,
    ):
        for verdicts in pool.map(core.apply, batches):
            assert isinstance(verdicts, list), verdicts


def _carry(lane: Lane, rows: int) -> float:
    """Seconds for as many rows, of those that a consumer brings after it has begun."""
    lane.start()
    lane.wait_for(lambda: lane.behind() < rows, PATIENCE_SECONDS)
    left = lane.behind()
    seconds = _seconds(partial(lane.wait_until_committed, PATIENCE_SECONDS))
    return seconds * rows / left


def _arrival(lane: Lane, name: str, before: Sequence[Message]) -> float:
    """Seconds until a change is in the core that was sent behind others: the longest of some times."""
    return max(_seconds(partial(_arrive, lane, f"{name}-{number}", before)) for number in range(TIMES))


def _arrive(lane: Lane, external_id: str, before: Sequence[Message]) -> None:
    lane.send(*before, upsert(external_id, 1))
    path = f"/articles?origin=eq.{lane.origin}&external_id=eq.{external_id}"
    lane.wait_for(lambda: lane.core.call("GET", path, token=lane.token)[1]["data"], PATIENCE_SECONDS)
