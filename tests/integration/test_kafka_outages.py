"""The Kafka route while something else is away or slow: the core, base B behind it, the brokers, a token."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event
from unittest.mock import patch

import pytest
from kafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

from integration import core_client, kafka_client
from integration.kafka_client import KafkaAway, Publisher
from integration.kafka_consumer import consume
from tests import live
from tests.gateway.conftest import replying, upstream
from tests.integration.bases import Base, synced, synced_in, times_created
from tests.integration.faulty_proxy import at_batch, faults_of_batches, faulty_proxy
from tests.integration.kafka.flows import Flow, consuming
from tests.integration.kafka.lanes import Lane, upsert
from tests.integration.mortal_postgresql import mortal_postgresql
from tests.live import LOCALHOST
from tests.servers import HOW_TO_GET_POSTGRESQL, find_binaries, free_port

TOKEN_SECONDS = 2
TOUCHED_KEYS = range(50)


@pytest.mark.scenario("core_down_at_start", "kafka")
@pytest.mark.scenario("core_busy", "kafka")
def test_a_consumer_outlives_a_core_that_is_down_and_goes_on_when_it_is_back(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, port = lane.folder / "core", free_port()
    login = {"LAKEPORT_TOKEN": "", "LAKEPORT_USERNAME": "admin", "LAKEPORT_PASSWORD": live.prepare(folder)}
    lane.send(*(upsert(key, 1) for key in range(20)))
    with consuming({**lane.environ, "CORE_URL": f"http://{LOCALHOST}:{port}", **login}):
        with upstream(port) as busy:
            busy.will(replying(503, {"code": "overloaded"}, Connection="close", **{"Retry-After": "1"}))
            # Longer than the session of two seconds: it would be gone from the group if it slept.
            lane.wait_for(lambda: len(busy.received) >= 4)
        assert lane.behind() == 20
        monkeypatch.setattr("tests.live.free_port", lambda: port)
        with live.core(folder) as back:
            lane.wait_until_committed(60)
            assert synced(back, lane.origin).keys() == {str(key) for key in range(20)}


@pytest.mark.scenario("core_down_midway", "kafka")
def test_reading_rests_while_the_core_is_away_and_nothing_is_lost_when_it_is_back(
    lane: Lane, caplog: pytest.LogCaptureFixture
) -> None:
    with faulty_proxy(lane.core.url, 0, 0) as proxy, consuming({**lane.environ, "CORE_URL": proxy.url}):
        lane.send(upsert("first", 1))
        lane.wait_until_committed()
        proxy.outage = range(10**9)
        with caplog.at_level(logging.INFO):
            lane.send(*(upsert(key, version) for version in (1, 2, 3) for key in range(3_000)))
            lane.wait_for(lambda: "reading rests" in caplog.text)
            proxy.outage = range(0)
            lane.wait_until_committed(60)
            assert "reading goes on" in caplog.text
    assert synced(lane.core, lane.origin).keys() == {"first", *map(str, range(3_000))}
    assert set(times_created(lane.core, lane.origin).values()) == {1}
    assert lane.letters() == []


@pytest.mark.scenario("core_slow", "kafka")
def test_an_answer_that_comes_too_late_is_asked_for_again(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_client, "TIMEOUT_SECONDS", (5, 2))
    with faulty_proxy(lane.core.url, 0, 0) as proxy, consuming({**lane.environ, "CORE_URL": proxy.url}):
        proxy.interfere = faults_of_batches("slow")
        lane.send(upsert(1, 1))
        lane.wait_until_committed()
    assert proxy.made == {"slow": 1, "none": 1}
    assert times_created(lane.core, lane.origin) == {"1": 1}


@pytest.mark.scenario("role_too_low", "kafka")
def test_a_user_who_may_not_write_ends_the_consumer_and_parks_nothing(lane: Lane) -> None:
    consumer = lane.start(LAKEPORT_TOKEN=lane.core.add_user("reader"))
    lane.send(upsert(1, 1))
    assert consumer.wait(30) == 7
    assert (lane.behind(), lane.letters()) == (1, [])


@pytest.mark.scenario("core_database_down", "kafka")
@pytest.mark.scenario("token_ends", "kafka")
def test_base_b_killed_and_tokens_that_end_midway_are_outlived(lane: Lane) -> None:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(HOW_TO_GET_POSTGRESQL)
    with ExitStack() as stack:
        mortal = stack.enter_context(mortal_postgresql(binaries))
        url, token_seconds = mortal.make_database(), str(TOKEN_SECONDS)
        folder = lane.folder / "core"
        core = stack.enter_context(live.core(folder, DATABASE_URL=url, ACCESS_TOKEN_SECONDS=token_seconds))
        login = {"LAKEPORT_TOKEN": "", "LAKEPORT_USERNAME": "admin", "LAKEPORT_PASSWORD": core.admin_password}
        with faulty_proxy(core.url, 0, 0) as proxy, consuming({**lane.environ, "CORE_URL": proxy.url, **login}):
            proxy.interfere = at_batch(2, mortal.kill)
            lane.send(*(upsert(key, 1) for key in range(3_000)))
            lane.wait_for(lambda: mortal.is_dead)
            seen, ended_at = len(proxy.calls), time.monotonic() + TOKEN_SECONDS
            lane.wait_for(lambda: len(proxy.calls) > seen + 2 and time.monotonic() > ended_at)
            mortal.start()
            lane.wait_until_committed(60)
        assert sum(path == "/auth/token" for _, path in proxy.calls) > 1
        assert synced_in(url, lane.origin).keys() == set(map(str, range(3_000)))
    assert lane.letters() == []


@pytest.mark.scenario("source_down_midway", "kafka")
def test_reading_that_fails_for_a_while_goes_on_where_it_was(lane: Lane, caplog: pytest.LogCaptureFixture) -> None:
    lane.send(upsert(1, 1))
    with consuming(lane.environ), caplog.at_level(logging.WARNING):
        lane.wait_until_committed()
        with failing_polls(KafkaConnectionError("refused")):
            lane.wait_for(lambda: caplog.text.count("brings nothing at the moment: KafkaConnectionError") > 1)
        lane.send(upsert(2, 1))
        lane.wait_until_committed()
    assert lane.articles().keys() == {"1", "2"}


def test_a_topic_that_may_not_be_read_ends_the_consumer_with_one_sentence(lane: Lane) -> None:
    sentence = f"{lane.topic} cannot be read: TopicAuthorizationFailedError"
    with failing_polls(TopicAuthorizationFailedError()), pytest.raises(KafkaAway, match=sentence) as ended:
        consume(lane.environ, Event())
    assert ended.value.exit_code == 9


@contextmanager
def failing_polls(error: KafkaError) -> Iterator[None]:
    """Have kafka-python raise as it does when a step of its own fails, while the brokers are there."""
    with patch("kafka.KafkaConsumer.poll", side_effect=error):
        yield


def test_a_sender_that_waits_in_vain_says_so_and_sends_again_once_the_broker_answers(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_client, "COMMIT_SECONDS", 0)
    publisher = Publisher(lane.connection, lane.topic)
    publisher.send([upsert(1, 1)])
    assert lane.kafka.process is not None
    lane.kafka.process.send_signal(signal.SIGSTOP)
    try:
        monkeypatch.setattr(kafka_client, "SEND_SECONDS", 0.5)
        with pytest.raises(KafkaAway, match=f"{lane.topic} takes no messages: KafkaTimeoutError"):
            publisher.send([upsert(2, 1)])
    finally:
        lane.kafka.process.send_signal(signal.SIGCONT)
    monkeypatch.undo()
    publisher.send([upsert(3, 1)])
    publisher.close()
    assert lane.behind() in (2, 3)


@pytest.mark.scenario("source_down_at_start", "kafka")
@pytest.mark.scenario("source_down_midway", "kafka")
def test_a_broker_killed_under_producer_and_consumer_is_outlived(lane: Lane, base: Base) -> None:
    flow = Flow(base, lane)
    producer, consumer = flow.started("--watch", "0.1"), lane.start()
    base.fill(TOUCHED_KEYS)
    lane.wait_for(lambda: synced(lane.core, lane.origin) == base.rows())
    lane.kafka.kill()
    try:
        base.execute("update articles set content = 'while it is away' where id < 20")
        base.execute("delete from articles where id > 40")
        late = lane.start()
        lane.wait_for(lambda: "does not answer" in lane.log())
    finally:
        lane.kafka.start()
        assert lane.kafka.is_running()
    lane.wait_for(lambda: synced(lane.core, lane.origin) == base.rows(), 90)
    base.execute("update articles set content = 'again' where id < 5")
    lane.wait_for(lambda: synced(lane.core, lane.origin) == base.rows(), 90)
    assert [each.poll() for each in (producer, consumer, late)] == [None, None, None]
    lane.wait_until_committed(60)
    assert set(times_created(lane.core, lane.origin).values()) == {1}
    assert lane.letters() == []
