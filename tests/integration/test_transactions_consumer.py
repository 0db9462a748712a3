"""The transactions pipeline over Kafka: each event is in the lake once, or in the quarantine with its place."""

import os
import random
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake

from integration.envelopes import Message
from rest_api.demo.transactions import QUARANTINE, SCHEMA
from tests.integration.kafka.deadly import TRANSACTIONS, named
from tests.integration.kafka.lanes import Lane, plain, unused_port
from tests.integration.kafka.relays import TOPICS, Publishing, make_topics, publishing, wait_for
from tests.integration.kafka.running import Kafka
from tests.live import LOCALHOST, call

CONSUMER = ("-m", "integration.transactions_consumer")
DEADLY = str(Path(__file__).parent / "kafka" / "deadly.py")
IS_FULL = os.environ.get("LAKEPORT_FULL") == "1"
CHANCE = random.Random(os.environ.get("LAKEPORT_SEED", "1"))
ALL_KILLS = [(point, nth) for point in named(TRANSACTIONS) for nth in (1, 2)]
KILLS = ALL_KILLS if IS_FULL else sorted(CHANCE.sample(ALL_KILLS, 2))
REPLAYED_AT = "2026-11-20T12:00:00Z"
Row = dict[str, Any]


@dataclass(frozen=True)
class Pipeline:
    """A lane of the tests that ends in a lake of its own."""

    lane: Lane
    published: Publishing

    def start(self, *program: str, **more: str) -> Any:
        """Start a consumer."""
        return self.lane.start(*(program or CONSUMER), **more)

    def rows(self) -> dict[str, Row]:
        """What the lake has of this lane, by transaction; none is doubled."""
        mine = [row for row in self._table("transactions") if row["transaction_id"].startswith(self.lane.origin)]
        found = {row["transaction_id"].removeprefix(self.lane.origin): row for row in mine}
        assert len(mine) == len(found), "a transaction is doubled"
        return found

    def refused(self) -> list[Row]:
        """What of this lane is in the quarantine."""
        return [row for row in self._table("transactions_quarantine") if row["topic"] == self.lane.topic]

    def _table(self, name: str) -> list[Row]:
        found: list[Row] = DeltaTable(self.published.folder / "lake" / name).to_pyarrow_table().to_pylist()
        return found

    def purchase(self, name: str, **more: Any) -> Message:
        """A right event; `more` are other values."""
        row = {
            "transaction_id": self.lane.origin + name,
            "timestamp": "2026-11-01T12:00:00Z",
            "user_id": 17,
            "user_name": "Jo Doe",
            "transaction_type": "purchase",
            "product_id": "p-001",
            "product_name": "Kettle",
            "product_category": "kitchen",
            "amount": 25.5,
            "currency": "EUR",
            "payment_method": "card",
            "country": "FR",
            "status": "completed",
            "customer_rating": 4,
            **more,
        }
        return plain(row["transaction_id"], row, ("event-id", secrets.token_hex(16).encode()))


@pytest.fixture(scope="module")
def published(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publishing]:
    """A core with a lake that takes transactions, and a worker that publishes its events."""
    make_topics(kafka, *TOPICS)
    folder = tmp_path_factory.mktemp("pipeline")
    for name, schema in (("transactions", SCHEMA), ("transactions_quarantine", QUARANTINE)):
        write_deltalake(folder / "lake" / name, schema.empty_table())
    with publishing(kafka, folder) as found:
        said = {"key": ["transaction_id"], "time_column": "timestamp"}
        assert found.core.call("PUT", "/data/datasets/transactions", said, found.token)[0] == 200
        found.start_worker()
        yield found


@pytest.fixture(scope="module")
def login(published: Publishing) -> dict[str, str]:
    """The consumer's own editor, who may write transactions and nothing else."""
    name, password = f"pipeline_{secrets.token_hex(4)}", secrets.token_hex(16)
    published.post("/users", {"username": name, "password": password, "role": "editor"})
    published.post("/grants", {"principal": name, "dataset": "transactions", "privileges": ["write"]})
    return {"LAKEPORT_USERNAME": name, "LAKEPORT_PASSWORD": password, "LAKEPORT_TOKEN": ""}


@pytest.fixture
def pipeline(kafka: Kafka, published: Publishing, login: dict[str, str], tmp_path: Path) -> Iterator[Pipeline]:
    """A lane to the lake."""
    lane = Lane(kafka, published.core, "", f"t{secrets.token_hex(4)}-", tmp_path)
    lane.environ |= login
    yield Pipeline(lane, published)
    lane.end()


def test_events_are_merged_and_corrupted_ones_kept_with_their_place(pipeline: Pipeline) -> None:
    port, lane = unused_port(), pipeline.lane
    pipeline.start(KAFKA_METRICS_PORT=port, KAFKA_MESSAGE_BYTES="20000")
    good = pipeline.purchase("1", amount=12.25)
    lane.send(good, pipeline.purchase("2", amount=-1), Message(b"3", b'{"transaction_id": '), good)
    lane.send(Message(b"4", b"\xff\x00"), Message(b"5", None), Message(b"6", b"x" * 20_001), pipeline.purchase("7"))
    lane.wait_until_committed()
    assert {name: row["amount"] for name, row in pipeline.rows().items()} == {
        "1": Decimal("12.25"),
        "7": Decimal("25.5"),
    }
    refused = sorted(pipeline.refused(), key=lambda row: str(row["payload"]))
    assert len(refused) == 3, lane.letters()
    assert {(row["partition"], row["offset"]) for row in refused} <= {(p, o) for p in range(2) for o in range(9)}
    assert [row["payload"] for row in refused if "JSON" in row["reason"]] == ["\\xff\\x00", '{"transaction_id": ']
    (letter,) = lane.letters()
    assert (letter.reason, letter.message.key) == ("too_large", b"6")
    _, text, _ = call("GET", f"http://{LOCALHOST}:{port}/metrics")
    own = f'origin="{lane.topic}"'
    assert f'lakeport_sync_rows_total{{operation="event",{own},outcome="quarantined",route="transactions"}} 3.0' in text
    assert f'lakeport_sync_rows_total{{operation="event",{own},outcome="accepted",route="transactions"}} 3.0' in text


def test_a_replay_that_nothing_can_be_made_of_is_a_dead_letter_and_holds_nobody_up(pipeline: Pipeline) -> None:
    good = pipeline.purchase("1")
    bad = Message(good.key, good.value, (("replay-id", b"r"), ("replayed-at", b"soon")))
    pipeline.lane.send(bad, *(pipeline.purchase(f"{number}") for number in range(2, 9)))
    pipeline.start()
    pipeline.lane.wait_until_committed()
    assert pipeline.rows().keys() == {str(number) for number in range(2, 9)}
    (letter,) = pipeline.lane.letters()
    assert (letter.reason, letter.message) == ("invalid", bad)


def send_history(pipeline: Pipeline, first: int) -> None:
    """Twenty events, one that is no JSON, and one that the consumer does not read."""
    pipeline.lane.send(*(pipeline.purchase(str(number)) for number in range(first, first + 20)))
    pipeline.lane.send(Message(b"bad", b"%d no JSON" % first), Message(b"long", b"x" * 20_001))


@pytest.mark.parametrize(("point", "nth"), KILLS)
def test_a_consumer_killed_at_a_named_point_loses_and_doubles_nothing(pipeline: Pipeline, point: str, nth: int) -> None:
    lane = pipeline.lane
    send_history(pipeline, 0)
    deadly = pipeline.start(DEADLY, "transactions", point, str(nth), KAFKA_MESSAGE_BYTES="20000")
    if nth > 1:
        lane.wait_for(lambda: lane.behind() < 22 or deadly.poll() is not None)
        send_history(pipeline, 20)
    assert deadly.wait(60) == -signal.SIGKILL
    pipeline.start(KAFKA_MESSAGE_BYTES="20000")
    lane.wait_until_committed()
    assert pipeline.rows().keys() == {str(number) for number in range(20 * nth)}
    payloads = sorted(row["payload"] for row in pipeline.refused())
    assert payloads == [f"{first} no JSON" for first in range(0, 20 * nth, 20)]
    assert len(lane.letters()) == nth


def test_a_replay_comes_through_the_topic_into_the_lake_and_is_proved(pipeline: Pipeline) -> None:
    lane, published = pipeline.lane, pipeline.published
    event = pipeline.purchase("1")
    lane.send(event)
    pipeline.start()
    lane.wait_until_committed()
    before = pipeline.rows()["1"]
    topic = {"KAFKA_TOPIC": "transactions", "KAFKA_DEAD_LETTER_TOPIC": lane.dead_letter_topic}
    pipeline.start(**topic, KAFKA_GROUP=f"{lane.origin}replays")
    asked = published.post(f"/transactions/{before['transaction_id']}/replay", {})

    def verdicts() -> Any:
        return published.core.call("GET", f"/replays/{asked['replay_id']}", token=published.token)[1]["verdicts"]

    wait_for(lambda: verdicts()["matched"] == 1)
    after = pipeline.rows()["1"]
    assert after["replay_id"] == asked["replay_id"]
    assert after["original_timestamp"] == before["timestamp"] < after["timestamp"]
    changed = {"timestamp", "original_timestamp", "replay_id"}
    assert {name: after[name] for name in after if name not in changed} == {
        name: before[name] for name in before if name not in changed
    }
    published.run("relay", "--from", "2026-01-01", "--topic", "transactions")
    wait_for(lambda: lane.log().count("reading") == 2)
    assert pipeline.rows()["1"] == after
