"""Base A over Kafka into base B: `integration.kafka_producer` captures, the topic keeps, the consumer applies."""

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from integration.envelopes import Message
from integration.sent_events import Sent, SentEvents
from tests.integration.bases import Base, synced
from tests.integration.kafka.flows import Flow
from tests.integration.kafka.lanes import Lane, plain

FlowFrom = Callable[[Base], Flow]
ROWS = range(1, 1_501)


@pytest.mark.scenario("insert", "kafka")
@pytest.mark.scenario("update", "kafka")
@pytest.mark.scenario("delete", "kafka")
@pytest.mark.scenario("delete_and_recreate", "kafka")
@pytest.mark.scenario("update_then_delete", "kafka")
def test_changes_deletes_and_keys_created_again_arrive(flow_from: FlowFrom, any_base: Base) -> None:
    flow = flow_from(any_base)
    any_base.fill(range(20))
    assert flow.capture().told == f"{flow.lane.origin}: 20 rows read: 20 published\n"
    assert flow.carried() == any_base.rows()
    any_base.execute("update articles set content = 'second' where id in (3, 4)")
    any_base.execute("delete from articles where id in (4, 5, 6)")
    any_base.fill(range(6, 7), "again")
    any_base.fill(range(30, 31))
    assert flow.capture().code == 0
    assert flow.carried() == any_base.rows()
    assert flow.carried()["6"] == ("Title 6", "again é 6")
    assert flow.lane.letters() == []


@pytest.mark.scenario("unchanged", "kafka")
@pytest.mark.scenario("empty_source", "kafka")
@pytest.mark.parametrize("envelope", ["cloudevents", "plain"])
def test_what_did_not_change_is_not_sent_again(flow: Flow, base: Base, envelope: str) -> None:
    assert flow.capture("--envelope", envelope).told.endswith(": 0 rows read\n")
    base.fill(range(10))
    flow.capture("--envelope", envelope)
    base.execute("update articles set content = 'second' where id = 3")
    # All are within the overlap and read again.
    assert flow.capture("--envelope", envelope).told.endswith("10 rows read: 9 known, 1 published\n")
    assert flow.sent() == 11
    assert flow.capture("--envelope", envelope, "--from-start").told.endswith("10 rows read: 10 published\n")
    assert flow.carried() == base.rows()
    assert flow.lane.letters() == []


@pytest.mark.scenario("equal_timestamps", "kafka")
@pytest.mark.scenario("many_pages", "kafka")
@pytest.mark.scenario("mass_delete", "kafka")
def test_rows_of_the_same_time_are_all_captured_and_a_source_that_is_emptied_is_followed(
    flow: Flow, base: Base
) -> None:
    rows = [{"id": n} for n in ROWS]
    base.execute(
        "insert into articles (id, title, content, updated_at) values (:id, 'T', 'c', '2026-05-05 05:05:05.5')", *rows
    )
    flow.capture()
    assert flow.carried() == base.rows()
    base.execute("delete from articles where id > 3")
    flow.capture()
    assert flow.carried() == base.rows()
    # Nothing tells of these: they may have been moved, or the base is a wrong one.
    base.execute("delete from articles")
    base.execute("delete from article_tombstones")
    assert flow.capture().code == 0
    assert flow.carried().keys() == {"1", "2", "3"}


@pytest.mark.scenario("late_commit", "kafka")
@pytest.mark.scenario("clock_skew", "kafka")
@pytest.mark.scenario("late_beyond_overlap", "kafka")
def test_what_comes_late_within_the_overlap_arrives_and_what_comes_later_by_the_next_reconcile(
    flow_from: FlowFrom, any_base: Base
) -> None:
    flow = flow_from(any_base)
    any_base.fill(range(5))
    flow.capture()
    for key, seconds in ((77, 200), (78, -120), (79, 1_000)):
        row = f"values ({key}, 'late', 'c', {any_base.ago(seconds)})"
        any_base.execute(f"insert into articles (id, title, content, updated_at) {row}")
    flow.capture()
    # A clock that is ahead shall not hide what is written after by a right one.
    any_base.fill(range(90, 91))
    flow.capture()
    assert any_base.rows().keys() - flow.carried().keys() == {"79"}
    assert flow.reconcile().code == 0
    assert flow.carried() == any_base.rows()


@pytest.mark.scenario("other_names", "kafka")
@pytest.mark.scenario("new_column", "kafka")
@pytest.mark.scenario("no_time", "kafka")
def test_other_names_are_mapped_new_columns_are_passed_over_and_rows_without_a_time_wait_for_a_reconcile(
    flow: Flow, base: Base, tmp_path: Path
) -> None:
    base.execute("create table notes (nr integer primary key, head text, body text, changed text)")
    base.execute("insert into notes values (1, 'Head', 'Body', '2026-01-01T10:00:00Z'), (2, 'H', 'B', null)")
    mapping = tmp_path / "map.toml"
    mapping.write_text(
        "[articles]\ntable = 'notes'\nid = 'nr'\ntitle = 'head'\ncontent = 'body'\nupdated_at = 'changed'\n"
    )
    flow.lane.environ["KAFKA_MAPPING"] = str(mapping)
    assert flow.capture().code == 0
    base.execute("alter table notes add column colour text")
    base.execute("insert into notes values (3, 'New', 'Body', '2026-01-01T10:00:01Z', 'red')")
    assert flow.capture().code == 0
    assert flow.carried() == {"1": ("Head", "Body"), "3": ("New", "Body")}
    flow.reconcile("--mapping", str(mapping))
    # Without a time it has no version either, so it is parked there too, and told.
    assert "2: " in flow.reconcile("--mapping", str(mapping)).told


@pytest.mark.scenario("schema_change", "kafka")
def test_a_column_that_goes_stops_the_capture_until_it_is_back(flow: Flow, base: Base) -> None:
    producer = flow.started("--watch", "0.1")
    base.fill(range(3))
    flow.lane.wait_for(lambda: "3 published" in flow.lane.log())
    base.execute("alter table articles rename column content to body")
    flow.lane.wait_for(lambda: "no such column" in flow.lane.log())
    assert flow.capture("--state", "other.db").code == 2
    base.execute("alter table articles rename column body to content")
    base.fill(range(3, 5))
    flow.lane.wait_for(lambda: "2 published" in flow.lane.log())
    assert flow.carried() == base.rows()
    assert producer.poll() is None


@pytest.mark.scenario("refused_row", "kafka")
@pytest.mark.scenario("mended_row", "kafka")
@pytest.mark.scenario("strange_text", "kafka")
@pytest.mark.scenario("no_version", "kafka")
def test_rows_that_the_core_refuses_are_dead_letters_until_they_are_mended(flow: Flow, base: Base) -> None:
    strange = ["emoji 🦆", '"quoted" \'; drop table articles; --', "a\u0000b", "\u202eright to left", "x" * 201]
    base.execute(
        "insert into articles (id, title, content) values (:id, :title, :title)",
        *({"id": key, "title": title} for key, title in enumerate(strange)),
    )
    base.execute("update articles set row_version = -9223372036854775808 where id = 1")
    flow.lane.send(plain("s", {"op": "upsert", "external_id": "s", "external_version": 1 << 70, "title": "T"}))
    lone = b'{"op": "upsert", "external_id": "l", "external_version": 1, "title": "\\ud800", "content": ""}'
    flow.lane.send(Message(b"l", lone))
    assert flow.capture().code == 0
    assert flow.carried() == {key: row for key, row in base.rows().items() if key not in ("2", "4")}
    assert {each.message.key for each in flow.lane.letters()} == {b"2", b"4", b"s", b"l"}
    base.execute("update articles set title = 'mended', content = 'mended' where id in (2, 4)")
    flow.capture()
    assert flow.carried() == base.rows()


def test_what_one_topic_has_is_sent_to_another(tmp_path: Path) -> None:
    sent = Sent("1", "event", False, 10**15)
    one, other = (SentEvents(tmp_path / "state.db", topic, timedelta(seconds=9)) for topic in ("one", "other"))
    with closing(one), closing(other):
        one.remember([sent])
        assert (one.last(["1"]), other.last(["1"])) == ({"1": "event"}, {})
        # What no window reads again is forgotten, so that the file stays small.
        one.remember([replace(sent, external_id="2", at_us=10**15 + 9_000_001)])
        assert one.last(["1", "2"]) == {"2": "event"}


@pytest.mark.scenario("five_megabytes", "kafka")
def test_a_row_that_the_topic_does_not_take_is_parked_and_the_others_go_on(flow: Flow, base: Base) -> None:
    base.fill(range(3))
    base.execute("insert into articles (id, title, content) values (5, 'T', :content)", {"content": "x" * 5_000_000})
    base.execute("insert into articles (id, title, content) values (9, 'T', :content)", {"content": "x" * 9_000_000})
    ran = flow.capture()
    assert (ran.code, "4 published" in ran.told, "  9: the topic takes no message" in ran.told) == (3, True, True)
    assert flow.carried().keys() == {"0", "1", "2"}
    assert [each.reason for each in flow.lane.letters()] == ["too_large"]
    base.execute("update articles set content = 'shorter' where id > 3")
    assert flow.capture().code == 0
    assert flow.carried() == base.rows()


@pytest.mark.scenario("local_edit", "kafka")
@pytest.mark.scenario("other_origin", "kafka")
def test_a_local_edit_gives_way_to_the_next_change_and_articles_of_another_origin_stay(flow: Flow, base: Base) -> None:
    base.fill(range(3))
    core, token, origin = flow.lane.core, flow.lane.token, flow.lane.origin
    theirs = {"op": "upsert", "origin": f"{origin}x", "external_id": "1", "external_version": 1 << 40}
    core.call("POST", "/articles/batch", {"operations": [{**theirs, "title": "Theirs", "content": "c"}]}, token)
    flow.capture()
    assert flow.carried() == base.rows()
    path = f"/articles?origin=eq.{origin}&external_id=eq.1"
    number = core.call("GET", path, token=token)[1]["data"][0]["id"]
    assert core.call("PATCH", f"/articles/{number}", {"content": "edited here"}, token)[0] == 200
    flow.capture()
    assert flow.carried()["1"] == ("Title 1", "edited here")
    base.execute("update articles set content = 'changed there' where id = 1")
    base.execute("delete from articles where id = 2")
    flow.capture()
    assert flow.carried() == base.rows()
    assert synced(core, f"{origin}x") == {"1": ("Theirs", "c")}


@pytest.mark.scenario("two_copies", "kafka")
@pytest.mark.scenario("terminated", "kafka")
def test_a_second_copy_is_told_that_one_is_running_and_sigterm_ends_that_one(flow: Flow, base: Base) -> None:
    base.fill(ROWS)
    first = flow.started("--watch", "30")
    flow.lane.wait_for(lambda: "1,500 published" in flow.lane.log())
    second = flow.capture()
    assert (second.code, "Another copy is running" in second.told) == (8, True)
    first.terminate()
    assert first.wait(10) == -signal.SIGTERM
    assert flow.capture().told.endswith("1,500 rows read: 1,500 known\n")
    assert flow.sent() == 1_500
    assert flow.carried() == base.rows()


@pytest.mark.scenario("full_disk", "kafka")
def test_a_state_without_room_stops_the_capture_with_a_sentence_and_the_next_goes_on(flow: Flow, base: Base) -> None:
    base.fill(ROWS)
    command = ["prlimit", "--fsize=60000", sys.executable, "-m", "integration.kafka_producer", *flow.arguments]
    ran = subprocess.run(command, env=flow.environ, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, "cannot be written" in ran.stderr) == (2, True), ran.stderr
    assert "Traceback" not in ran.stderr
    assert flow.capture().code == 0
    assert flow.carried() == base.rows()


@pytest.mark.parametrize(
    ("arguments", "env", "code", "sentence"),
    [
        (["--source", "postgresql://a:secret@h/x"], {}, 2, "Everybody on this machine sees a password"),
        ([], {"KAFKA_TOPIC": "a b"}, 2, "KAFKA_TOPIC"),
        ([], {"LAKEPORT_SOURCE": "postgresql://a:secret@127.0.0.1:1/x"}, 5, "Base A cannot be read"),
        (["--envelope", "avro"], {}, 2, "'avro' is not one of"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_and_a_code(
    lane: Lane, base: Base, arguments: list[str], env: dict[str, str], code: int, sentence: str
) -> None:
    base.fill(range(1))
    ran = Flow(base, lane).capture(*arguments, **env)
    assert (ran.code, sentence in ran.told) == (code, True), ran.told
    assert not {"secret", "Traceback"} & set(ran.told.replace("'", " ").split())


@pytest.mark.scenario("wrong_password", "kafka")
def test_no_broker_and_a_wrong_password_of_kafka_end_a_capture_and_have_a_consumer_wait(lane: Lane, base: Base) -> None:
    base.fill(range(1))
    flow, secure = Flow(base, lane), lane.kafka.login
    away = flow.started(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    wrong = flow.started("--state", "other.db", **secure, KAFKA_SASL_PASSWORD="not-the-password")
    consumer = lane.start(**secure, KAFKA_SASL_PASSWORD="not-the-password")
    assert (away.wait(60), wrong.wait(60)) == (9, 9)
    lane.wait_for(lambda: lane.log().count("refuses the protocol, the certificate or the login") >= 3)
    assert consumer.poll() is None
    consumer.send_signal(signal.SIGTERM)
    assert consumer.wait(30) == 0
    assert "not-the-password" not in lane.log()
    assert flow.capture(**secure, KAFKA_SASL_PASSWORD=lane.kafka.password).code == 0
    assert flow.sent() == 1
