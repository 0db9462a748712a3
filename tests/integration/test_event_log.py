"""Events of the core in Kafka's topics: all of them, each key in order, and nothing that is not for everybody."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kafka.relays import (
    TOPICS,
    Publishing,
    event_id,
    make_topics,
    outboxed,
    publishing,
    value,
    wait_for,
)
from tests.integration.kafka.running import Kafka
from tests.servers import free_port

SINCE = "2000-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def published(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publishing]:
    """A core with a worker, and topics for its events."""
    make_topics(kafka, *TOPICS)
    with publishing(kafka, tmp_path_factory.mktemp("published")) as found:
        found.start_worker()
        yield found


def add_message(published: Publishing, topic: str, key: str, body: Any) -> str:
    """The id of a message that waits for the beginning of the pipeline."""
    new_id = secrets.token_hex(16)
    headers = {"event-id": new_id, "replay-id": "r-1", "replayed-at": "2026-11-01T12:00:00Z"}
    published.execute(
        "insert into pipeline_messages (id, topic, key, headers, value, created_at) values (?, ?, ?, ?, ?, ?)",
        *(new_id, topic, key, json.dumps(headers), json.dumps(body), "2026-11-01 12:00:00.000000"),
    )
    return new_id


def is_sent(published: Publishing, message_id: str) -> bool:
    """Whether it was acknowledged."""
    return bool(published.execute("select sent_at from pipeline_messages where id = ?", message_id)[0][0])


def test_events_are_published_as_the_feed_tells_them_under_the_key_of_their_subject(published: Publishing) -> None:
    article_id = published.add_article()
    published.change_article(article_id, "Seas")
    status, _ = published.core.call("DELETE", f"/articles/{article_id}", token=published.token)
    assert status == 204
    published.wait_until_sent()
    key = f"articles/{article_id}".encode()
    records = [each for each in published.records("lakeport.articles") if each.message.key == key]
    told = [each for each in published.events("article.*") if each["subject"].encode() == key]
    assert [value(each) for each in records] == [
        {name: each[name] for name in each if name != "policy"} for each in told
    ]
    assert [event_id(each) for each in records] == [each["id"] for each in told]
    assert [value(each)["type"] for each in records] == ["article.created", "article.updated", "article.deleted"]


def test_what_is_somebodys_own_or_for_administrators_only_is_not_published(published: Publishing) -> None:
    secret = f"u{secrets.token_hex(6)}"
    published.post("/users", {"username": secret, "password": secrets.token_hex(16), "role": "reader"})
    own = published.post("/jobs", {"type": "audit_verification"})["id"]
    published.execute(
        "insert into events (id, type, subject, time, data, audience, owner_id, dataset, identity) "
        "values (?, 'dataset.changed', 'datasets/d', ?, ?, 'admin', 1, 'd', 'i')",
        *(secrets.token_hex(16), "2026-11-01 12:00:00", '{"dataset": "d", "version": 3, "kind": "append", "rows": 7}'),
    )
    wait_for(lambda: published.records("lakeport.datasets") and published.records("lakeport.jobs"))
    published.add_article()
    published.wait_until_sent()
    records = {topic: [value(each) for each in published.records(topic)] for topic in TOPICS}
    assert secret not in json.dumps(records)
    assert [each["data"] for each in records["lakeport.datasets"]] == [
        {"dataset": "d", "version": 3, "kind": None, "rows": None}
    ]
    jobs = [each["data"] for each in records["lakeport.jobs"]]
    assert own not in [each["id"] for each in jobs]
    assert {tuple(each) for each in jobs} == {("id", "type", "state")}


def test_messages_of_the_pipeline_go_to_its_beginning_with_their_headers_and_nowhere_else(
    published: Publishing,
) -> None:
    make_topics(published.kafka, "articles-sync")
    looping = add_message(published, "articles-sync", "7", {"op": "delete", "external_id": "7"})
    sent = add_message(published, "transactions", "tx-1", {"transaction_id": "tx-1", "amount": 12.5})
    wait_for(lambda: is_sent(published, sent))
    (record,) = published.records("transactions")
    assert (record.message.key, value(record)) == (b"tx-1", {"transaction_id": "tx-1", "amount": 12.5})
    assert dict(record.message.headers) == {
        "event-id": sent.encode(),
        "replay-id": b"r-1",
        "replayed-at": b"2026-11-01T12:00:00Z",
    }
    assert not is_sent(published, looping)
    assert published.records("articles-sync") == []


def test_events_are_published_again_from_a_sequence_or_a_time(published: Publishing) -> None:
    first, second = published.add_article(), published.add_article()
    published.wait_until_sent()
    before = published.records("lakeport.articles")
    sequence = next(value(each)["sequence"] for each in before if value(each)["data"]["id"] == second)
    done = published.run("relay", "--from", sequence, "--topic", "lakeport.articles")
    assert done.stdout == f"lakeport.articles: again from {sequence}\n", done.stderr
    wait_for(lambda: len(published.records("lakeport.articles")) > len(before))
    published.wait_until_sent()
    again = [value(each)["data"]["id"] for each in published.records("lakeport.articles")]
    assert (again.count(first), again.count(second)) == (1, 2)
    assert published.run("relay", "--from", SINCE).exit_code == 0
    wait_for(lambda: len(published.records("lakeport.articles")) >= 2 * len(before) + 1)
    assert {event_id(each) for each in published.records("lakeport.articles")} == {event_id(each) for each in before}


def test_a_message_of_the_pipeline_is_published_again_when_its_topic_is_named(published: Publishing) -> None:
    sent = add_message(published, "transactions", "tx-2", {})
    wait_for(lambda: is_sent(published, sent))
    published.run("relay", "--from", "2026-11-01T12:00:00+00:00", "--topic", "transactions")
    wait_for(lambda: [event_id(each) for each in published.records("transactions")].count(sent) == 2)


@pytest.mark.parametrize(
    ("arguments", "url", "said"),
    [
        (("--from", "soon"), None, "--from takes a sequence or a time"),
        (("--from", "1", "--topic", "articles-sync"), None, "nothing is published to articles-sync"),
        (("--from", "1"), "outbox://", "EVENTS_URL names no brokers"),
    ],
)
def test_a_wrong_wish_to_publish_again_is_one_sentence(
    published: Publishing, arguments: tuple[str, ...], url: str | None, said: str
) -> None:
    done = published.run("relay", *arguments, **({"EVENTS_URL": url} if url else {}))
    assert done.exit_code == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_url_that_names_no_broker_is_one_sentence_at_the_start(published: Publishing) -> None:
    done = published.run("check", EVENTS_URL="kafka://broker")
    assert done.exit_code == 2
    assert done.stderr == "setting EVENTS_URL: expected kafka://host:port, several by commas, and nothing after them\n"


def test_the_worker_tells_how_far_each_topic_is(published: Publishing) -> None:
    published.add_article()
    published.wait_until_sent()
    _, text = published.workers[0].get("/metrics")
    told = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("lakeport_relay_"))
    assert float(told['lakeport_relay_lag_seconds{topic="lakeport.articles"}']) == 0
    position = float(told['lakeport_relay_position{topic="lakeport.articles"}'])
    assert position >= int(published.events("article.*")[-1]["sequence"])
    assert float(told['lakeport_relay_published_total{topic="lakeport.articles"}']) > 0
    assert float(told["lakeport_relay_publishing"]) == 1


def test_brokers_may_ask_for_a_certificate_and_a_login(published: Publishing, prepared: Path, tmp_path: Path) -> None:
    secure = {
        "EVENTS_URL": f"kafka://127.0.0.1:{published.kafka.secure}",
        "EVENTS_SECURITY_PROTOCOL": "SASL_SSL",
        "EVENTS_SSL_CAFILE": str(published.kafka.certificate),
        "EVENTS_SASL_MECHANISM": "PLAIN",
        "EVENTS_SASL_USERNAME": "lakeport",
        "EVENTS_SASL_PASSWORD": published.kafka.password,
    }
    with outboxed(published.kafka, prepared, tmp_path, **secure) as other:
        other.add_events([1], 1)
        other.start_worker()
        other.wait_until_sent()
        assert len(other.records("lakeport.articles")) == 1


def test_events_wait_for_brokers_that_are_away(kafka: Kafka, prepared: Path, tmp_path: Path) -> None:
    make_topics(kafka, *TOPICS)
    with outboxed(kafka, prepared, tmp_path, EVENTS_URL=f"kafka://127.0.0.1:{free_port()}") as waiting:
        away = waiting.start_worker()
        waiting.add_events([1], 1)
        failures = 'lakeport_relay_failures_total{reason="KafkaTimeoutError",topic="lakeport.articles"}'
        wait_for(lambda: failures in away.get("/metrics")[1])
        lag = next(x for x in away.get("/metrics")[1].splitlines() if x.startswith("lakeport_relay_lag_seconds"))
        assert 'topic="lakeport.articles"' in lag
        assert float(lag.split()[-1]) > 0
        waiting.environ["EVENTS_URL"] = f"kafka://{kafka.servers[0]}"
        waiting.start_worker()
        away.process.terminate()
        assert away.process.wait(20) == 0
        waiting.wait_until_sent()
        assert [value(each)["data"]["id"] for each in waiting.records("lakeport.articles")] == [1]
