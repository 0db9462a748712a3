"""The Kafka route, seen from base B: what comes through the topic is in the core, once, and the newest wins."""

import json
import re
import signal
import time

import pytest

from integration.envelopes import Message
from tests.gateway.conftest import SAMPLE, replying, upstream
from tests.integration.faulty_proxy import faulty_proxy
from tests.integration.kafka.flows import consuming
from tests.integration.kafka.lanes import Lane, delete, plain, unused_port, upsert
from tests.live import LOCALHOST, call

OWN = re.compile(r'(?:^|,)(?:origin|route)="[^"]*"')
POISON = {
    "not_json": Message(b"p1", b"{"),
    "wrong_schema": plain("p2", {"op": "upsert", "external_id": "p2"}),
    "unknown_operation": plain("p3", {"op": "truncate", "external_id": "p3"}),
    "no_key": Message(None, upsert("p4", 1).value),
    "too_large": upsert("p5", 1, content="x" * 5_000_000),
    "invalid": upsert("p6", 1, title="x" * 201),
}


def samples(port: str) -> dict[tuple[str, str], float]:
    """Values by name and labels of what a consumer tells Prometheus, without those that say which it is."""
    _, text, _ = call("GET", f"http://{LOCALHOST}:{port}/metrics")
    return {(name, OWN.sub("", labels).lstrip(",")): float(value) for name, labels, value in SAMPLE.findall(text)}


def test_changes_come_into_the_core_in_the_order_of_their_keys(lane: Lane) -> None:
    lane.send(*(upsert(key, version) for version in (1, 2) for key in range(50)), delete(7, 3))
    with consuming(lane.environ):
        lane.wait_until_committed()
    assert lane.articles() == {str(key): (2, "title 2") for key in range(50) if key != 7}
    assert lane.letters() == []


@pytest.mark.scenario("delivered_twice", "kafka")
@pytest.mark.scenario("out_of_order", "kafka")
@pytest.mark.scenario("older_after_newer", "kafka")
def test_what_is_late_or_comes_twice_changes_nothing(lane: Lane) -> None:
    port = unused_port()
    lane.start(KAFKA_METRICS_PORT=port)
    lane.send(upsert(1, 5), upsert(1, 4), upsert(1, 5), delete(2, 9), upsert(2, 8), delete(1, 3), plain(3, None))
    lane.send(Message(b"1", None))
    lane.wait_until_committed()
    assert lane.articles() == {"1": (5, "title 5")}
    rows = {labels: value for (name, labels), value in samples(port).items() if name == "lakeport_sync_rows_total"}
    assert rows == {
        'operation="upsert",outcome="created"': 1,
        'operation="upsert",outcome="unchanged"': 1,
        'operation="upsert",outcome="stale"': 2,
        'operation="delete",outcome="deleted"': 1,
        'operation="delete",outcome="stale"': 1,
        'operation="tombstone",outcome="ignored"': 1,
        'operation="unknown",outcome="parked"': 1,
    }


@pytest.mark.scenario("not_json", "kafka")
@pytest.mark.scenario("wrong_schema", "kafka")
@pytest.mark.scenario("unknown_operation", "kafka")
@pytest.mark.scenario("null_key", "kafka")
@pytest.mark.scenario("five_megabytes", "kafka")
@pytest.mark.scenario("poison_among_good", "kafka")
def test_poison_is_parked_with_its_reason_and_place_and_holds_nobody_up(lane: Lane) -> None:
    lane.start()
    lane.send(upsert("first", 1))
    lane.wait_until_committed()
    lane.send(*POISON.values())
    sent = time.monotonic()
    lane.send(upsert("p6", 2), upsert("after", 1))
    lane.wait_for(lambda: "after" in lane.articles())
    delay = time.monotonic() - sent
    lane.wait_until_committed()
    assert lane.articles().keys() == {"first", "p6", "after"}
    letters = {each.reason: each for each in lane.letters()}
    assert letters.keys() == POISON.keys()
    for reason, found in letters.items():
        assert found.message == POISON[reason]
        assert found.partition.topic == lane.topic
        assert found.id == f"{lane.topic}/{found.partition.number}/{found.offset}"
    assert delay < 1


def test_metrics_tell_watermarks_lag_dead_letters_and_the_last_success(lane: Lane) -> None:
    port = unused_port()
    before = time.time()
    lane.start(KAFKA_METRICS_PORT=port)
    lane.send(upsert(1, 1), POISON["not_json"])
    lane.wait_until_committed()
    told = samples(port)
    assert told[("lakeport_sync_dead_letters_total", 'reason="not_json"')] == 1
    assert told[("lakeport_sync_lag_seconds", "")] == 0
    assert before < told[("lakeport_sync_last_success_timestamp_seconds", "")] < time.time()
    assert told[("lakeport_sync_batch_seconds_count", "")] >= 1
    offsets = [value for (name, _), value in told.items() if name == "lakeport_sync_committed_offset"]
    assert sum(offsets) == 2
    watermarks = [value for (name, _), value in told.items() if name == "lakeport_sync_watermark_timestamp_seconds"]
    assert all(before - 1 < watermark < time.time() for watermark in watermarks)
    _, text, _ = call("GET", f"http://{LOCALHOST}:{port}/metrics")
    assert f'lakeport_sync_lag_seconds{{origin="{lane.origin}",route="kafka"}} 0.0' in text


@pytest.mark.scenario("terminated", "kafka")
def test_sigterm_ends_a_consumer_with_its_commits_made(lane: Lane) -> None:
    consumer = lane.start()
    lane.send(*(upsert(key, 1) for key in range(100)))
    lane.wait_for(lane.articles)
    consumer.send_signal(signal.SIGTERM)
    assert consumer.wait(15) == 0
    committed = lane.behind()
    lane.start()
    lane.wait_until_committed()
    assert len(lane.articles()) == 100
    assert committed == 0, "what was applied was not committed"


@pytest.mark.scenario("rebalance", "kafka")
@pytest.mark.scenario("killed", "kafka")
def test_two_consumers_share_the_topic_and_one_takes_over_when_the_other_is_killed(lane: Lane) -> None:
    first, port = lane.start(), unused_port()
    lane.send(*(upsert(key, 1) for key in range(60)))
    lane.wait_until_committed()
    lane.start(KAFKA_METRICS_PORT=port)

    lane.wait_for(lambda: lane.log().count("reading") == 2)

    def is_shared() -> bool:
        lane.send(*(upsert(key, int(time.time() * 1e6)) for key in range(10)))
        lane.wait_until_committed()
        return samples(port)[("lakeport_sync_batch_seconds_count", "")] > 0

    lane.wait_for(is_shared)
    newest = int(time.time() * 1e6)
    lane.send(*(upsert(key, newest + number) for number in range(20) for key in range(60)))
    first.kill()
    lane.send(*(upsert(key, newest + 20) for key in range(60)))
    lane.wait_until_committed()
    assert lane.articles() == {str(key): (newest + 20, f"title {newest + 20}") for key in range(60)}
    assert lane.letters() == []


@pytest.mark.scenario("core_busy", "kafka")
def test_retry_after_is_obeyed(lane: Lane) -> None:
    times: list[float] = []
    with upstream() as busy:

        def later(handler: object) -> None:
            times.append(time.monotonic())
            replying(429, {"code": "rate_limited"}, **{"Retry-After": "2"})(handler)  # type: ignore[arg-type]

        verdict = {"data": [{"index": 0, "id": 1, "outcome": "created"}], "errors": []}
        busy.will(later, replying(200, verdict))
        lane.send(upsert(1, 1))
        with consuming({**lane.environ, "CORE_URL": busy.url}):
            lane.wait_until_committed()
            done = time.monotonic()
    assert len(times) == 1
    assert done - times[0] >= 2


@pytest.mark.scenario("wrong_schema", "kafka")
def test_an_answer_that_does_not_speak_of_each_row_moves_no_watermark(lane: Lane) -> None:
    silent: dict[str, list[object]] = {"data": [], "errors": []}
    with upstream() as wrong:
        wrong.will(replying(200, silent))
        lane.start(CORE_URL=wrong.url)
        lane.send(upsert(1, 1))
        lane.wait_for(lambda: len(wrong.received) >= 3)
        assert lane.behind() == 1
    assert lane.letters() == []


@pytest.mark.scenario("core_fails", "kafka")
@pytest.mark.scenario("core_cut", "kafka")
@pytest.mark.scenario("core_doubled", "kafka")
def test_a_core_that_fails_cuts_off_and_doubles_a_third_of_the_calls_loses_nothing(lane: Lane) -> None:
    with faulty_proxy(lane.core.url, 0.3, seed=7) as proxy, consuming({**lane.environ, "CORE_URL": proxy.url}):
        for version in range(1, 16):
            lane.send(*(upsert(key, version) for key in range(20)))
            lane.wait_until_committed()
    assert lane.articles() == {str(key): (15, "title 15") for key in range(20)}
    assert proxy.made.total() > proxy.made["none"]
    assert lane.letters() == []


@pytest.mark.scenario("wrong_password", "kafka")
def test_a_refused_login_stops_the_consumer_with_one_sentence(lane: Lane) -> None:
    consumer = lane.start(LAKEPORT_TOKEN="", LAKEPORT_USERNAME="nobody", LAKEPORT_PASSWORD="wrong-password-of-nobody")
    lane.send(upsert(1, 1))
    assert consumer.wait(20) == 7
    assert "Traceback" not in lane.log()
    assert "wrong-password-of-nobody" not in lane.log()
    assert lane.behind() == 1


def test_tls_and_a_login_are_used_as_set(lane: Lane) -> None:
    lane.send(upsert(1, 1), POISON["not_json"])
    with consuming({**lane.environ, **lane.kafka.login, "KAFKA_SASL_PASSWORD": lane.kafka.password}):
        lane.wait_until_committed()
    assert lane.articles().keys() == {"1"}
    assert len(lane.letters()) == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [("KAFKA_BOOTSTRAP_SERVERS", "no port"), ("KAFKA_TOPIC", "a b"), ("KAFKA_SECURITY_PROTOCOL", "TELNET")],
)
def test_a_wrong_setting_ends_the_start_with_its_name(lane: Lane, setting: str, value: str) -> None:
    lane.environ[setting] = value
    found = lane.run("integration.kafka_consumer")
    assert found.returncode == 2
    assert setting in found.stderr
    assert "Traceback" not in found.stderr


def test_dead_letters_are_listed_inspected_replayed_and_dropped(lane: Lane) -> None:
    lane.start()
    lane.send(upsert(1, 1, title="x" * 201, origin=lane.origin), POISON["not_json"])
    lane.wait_until_committed()
    listed = lane.run("integration.dead_letters", "list")
    refused, poison = sorted(lane.letters(), key=lambda each: each.reason)
    assert {line.split()[0] for line in listed.stdout.splitlines()} == {refused.id, poison.id}
    told = json.loads(lane.run("integration.dead_letters", "inspect", poison.id).stdout)
    assert (told["value"], told["key"], told["reason"]) == ("{", "p1", "not_json")
    assert lane.run("integration.dead_letters", "drop", poison.id).returncode == 0
    assert [each.id for each in lane.letters()] == [refused.id]
    assert lane.run("integration.dead_letters", "replay", "--all").stdout == "1 dead letters replayed\n"
    lane.wait_until_committed()
    # It is no better now, so it is parked again: from its new place.
    (again,) = lane.letters()
    assert again.id != refused.id
    assert again.message == refused.message
    assert lane.run("integration.dead_letters", "replay", refused.id).returncode == 2


def test_a_replayed_letter_is_applied_unless_something_newer_came(lane: Lane) -> None:
    lane.environ["KAFKA_MESSAGE_BYTES"] = "1024"
    narrow = lane.start()
    lane.send(upsert(1, 1, content="x" * 2_000), upsert(2, 1, content="x" * 2_000), upsert(2, 2))
    lane.wait_until_committed()
    assert lane.articles() == {"2": (2, "title 2")}
    narrow.send_signal(signal.SIGTERM)
    assert narrow.wait(15) == 0
    lane.environ["KAFKA_MESSAGE_BYTES"] = "4096"
    lane.start()
    assert lane.run("integration.dead_letters", "replay", "--reason", "too_large").returncode == 0
    lane.wait_until_committed()
    assert lane.articles() == {"1": (1, "title 1"), "2": (2, "title 2")}
    assert lane.letters() == []


@pytest.mark.scenario("rebalance", "kafka")
def test_a_rebalance_in_the_middle_of_a_backlog_loses_nothing(lane: Lane) -> None:
    lane.start()
    other = lane.start()
    lane.wait_for(lambda: lane.log().count("reading") == 2)
    lane.send(*(upsert(key, 1) for key in range(6_000)))
    lane.wait_for(lane.articles)
    # It leaves the group at once, so the one that stays is given the topic anew.
    other.send_signal(signal.SIGTERM)
    lane.wait_until_committed(60)
    assert len(lane.articles()) == 6_000
    assert lane.letters() == []
