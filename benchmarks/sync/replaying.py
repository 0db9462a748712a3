"""How fast the lake is replayed into Kafka, beside a bare producer of the same messages; and one transaction."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from benchmarks.report import Finding, Report
from integration.kafka_client import Record, read_topic
from tests import live
from tests.integration.kafka.relays import TOPICS, make_topics
from tests.integration.kafka.running import Kafka, run_kafka
from tests.live import LiveCore

TOPIC, BARE_TOPIC = "transactions", "bare"
TARGET_RATIO = 0.5
TARGET_SECONDS = 2.0
SINGLE = 20
PATIENCE_SECONDS = 900
COLUMNS = ("way", "messages", "a second", "seconds")


def run(folder: Path) -> Report:
    """Measure it over the demo's 100,000 transactions, in `folder`."""
    with run_kafka(_new(folder / "kafka")) as kafka:
        make_topics(kafka, *TOPICS, BARE_TOPIC, partitions=1)
        replayed = _replay_all(folder / "with_kafka", kafka)
        records = list(read_topic(_connection(kafka), TOPIC))
        produced = _produce(kafka, records)
    single = _replay_singly(folder / "without_kafka")
    return Report(
        f"Replay: {len(records):,} transactions of the lake into Kafka",
        COLUMNS,
        [_row("replay, by job and relay", records, replayed), _row("a bare producer", records, produced)],
        _findings(produced / replayed, single),
    )


def _replay_all(folder: Path, kafka: Kafka) -> float:
    """Seconds from the call to the last message in the topic."""
    with _lake(folder, f"kafka://{kafka.servers[0]}") as (core, token):
        started = time.perf_counter()
        asked = _asked(core.call("POST", "/transactions/replay", {}, token))
        total = core.call("GET", f"/replays/{asked['replay_id']}", token=token)[1]["total"]
        with _positions(kafka) as end:
            _wait(lambda: end() >= total)
        return time.perf_counter() - started


def _produce(kafka: Kafka, records: Sequence[Record]) -> float:
    """Seconds that the same messages take when nobody reads, checks or keeps them before."""
    producer = KafkaProducer(**_connection(kafka), acks="all", enable_idempotence=True, linger_ms=5)
    messages = [each.message for each in records]
    started = time.perf_counter()
    for each in messages:
        producer.send(BARE_TOPIC, each.value, key=each.key, headers=list(each.headers))
    producer.flush()
    seconds = time.perf_counter() - started
    producer.close()
    return seconds


def _replay_singly(folder: Path) -> list[float]:
    """Seconds from each call to the verdict that is proved from the lake."""
    with _lake(folder) as (core, token):
        _, rows = core.call("GET", "/data/datasets/transactions/rows?select=transaction_id&limit=10", token=token)
        ids = [row["transaction_id"] for row in rows["data"]]
        return [_confirmed(core, token, ids[number % len(ids)]) for number in range(SINGLE)]


def _confirmed(core: LiveCore, token: str, transaction_id: str) -> float:
    started = time.perf_counter()
    asked = _asked(core.call("POST", f"/transactions/{transaction_id}/replay", {}, token))
    path = f"/replays/{asked['replay_id']}"
    _wait(lambda: core.call("GET", path, token=token)[1]["verdicts"]["matched"] == 1)
    return time.perf_counter() - started


@contextmanager
def _lake(folder: Path, events_url: str = "") -> Iterator[tuple[LiveCore, str]]:
    """A core with the demo's lake and a worker, and the administrator's token."""
    with live.core(folder, EVENTS_URL=events_url) as core:
        live.make_demo(folder)
        with live.worker(folder, EVENTS_URL=events_url):
            yield core, core.log_in("admin", core.admin_password)


@contextmanager
def _positions(kafka: Kafka) -> Iterator[Callable[[], int]]:
    partition = TopicPartition(TOPIC, 0)
    consumer = KafkaConsumer(**_connection(kafka))
    try:
        yield lambda: int(consumer.end_offsets([partition])[partition])
    finally:
        consumer.close()


def _connection(kafka: Kafka) -> dict[str, Any]:
    return {"bootstrap_servers": kafka.servers}


def _asked(answered: tuple[int, Any]) -> Any:
    status, answer = answered
    assert status == 202, answer
    return answer


def _wait(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < ends_at, "it takes too long"
        time.sleep(0.02)


def _row(way: str, records: Sequence[Record], seconds: float) -> tuple[str, ...]:
    return way, f"{len(records):,}", f"{len(records) / seconds:,.0f}", f"{seconds:.1f}"


def _findings(ratio: float, single: Sequence[float]) -> list[Finding]:
    worst = max(single)
    found = f"{worst:.2f} s at worst of {len(single)}, {statistics.median(single):.2f} s half of them at most"
    return [
        Finding(
            "replay beside the bare producer",
            f"{ratio:.2f} times as many a second",
            f"at least {TARGET_RATIO}",
            ratio >= TARGET_RATIO,
        ),
        Finding("one transaction replayed and confirmed", found, "at most 2 s", worst <= TARGET_SECONDS),
    ]


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
