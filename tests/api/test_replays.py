"""Replays over HTTP: what is sent again, what becomes of it, and what is told of that."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from flask import Flask
from sqlalchemy import Engine, text

from rest_api.database import create_engine_for
from rest_api.demo.transactions import SCHEMA
from rest_api.tasks import all_tasks
from tests.api.lake import lake_folder, transactions
from tests.api.replaying import ROWS, TABLE, Hand, Row, asked, row_of, verdicts, with_transactions
from tests.conftest import Caller, log_in

ONCE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What has nothing to do with the database is tried on one."""
REPLAYED = {"timestamp", "original_timestamp", "replay_id"}
WINDOW = "window=3650d&status=in.(completed,pending,failed)"
FIGURES = (
    f"/analytics/spend?{WINDOW}",
    f"/analytics/spend-by-user-and-type?{WINDOW}",
    f"/analytics/top-products?{WINDOW}&x=5",
    "/analytics/spend/series?window=2d&step=1h&at=2026-10-02T06:00:00Z",
)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app()
    return with_transactions(app, log_in(app, "root"))


@pytest.fixture
def engine(app: Flask, database_url: str) -> Iterator[Engine]:
    engine = create_engine_for(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def hand(app: Flask, engine: Engine) -> Hand:
    return Hand(app, engine)


def everything(caller: Caller) -> dict[str, Row]:
    """All transactions by their ids."""
    page, found = caller.get(f"{TABLE}/rows").json, []
    while True:
        found += page["data"]
        if page["next_url"] is None:
            return {row["transaction_id"]: row for row in found}
        page = caller.get(page["next_url"]).json


def figures(caller: Caller) -> list[Any]:
    return [caller.get(path).json["data"] for path in FIGURES]


def steady(rows: dict[str, Row]) -> dict[str, Row]:
    """What a replay does not change of rows."""
    return {key: {name: row[name] for name in row if name not in REPLAYED} for key, row in rows.items()}


def events_of(caller: Caller, replay: str, parameters: str = "") -> list[tuple[str, str, str | None]]:
    told = caller.get(f"/replays/{replay}/events?{parameters}").json["data"]
    return [(each["transaction_id"], each["verdict"], each["reason"]) for each in told]


def body_of(answer: Any, status: int) -> Row:
    assert answer.status_code == status, answer.json
    return dict(answer.json)


def test_one_transaction_is_sent_again_and_found_in_the_lake(admin: Caller, hand: Hand) -> None:
    before = row_of(admin, "t0003")
    answer = admin.post("/transactions/t0003/replay")
    assert body_of(answer, 202).keys() == {"job_id", "replay_id"}
    replay = asked(answer)
    assert verdicts(admin, replay) == {"pending": 1}
    hand.work()
    assert verdicts(admin, replay) == {"matched": 1}
    assert admin.get(answer.headers["Location"]).json["state"] == "succeeded"
    after = row_of(admin, "t0003")
    assert after["timestamp"] > before["timestamp"]
    first, now = before["timestamp"], after["timestamp"]
    assert after == {**before, "timestamp": now, "original_timestamp": first, "replay_id": replay}


def test_all_history_goes_through_again_and_a_second_run_moves_no_figure(admin: Caller, hand: Hand) -> None:
    rows, told = everything(admin), figures(admin)
    first = asked(admin.post("/transactions/replay"))
    hand.work()
    once = everything(admin)
    second = asked(admin.post("/transactions/replay", {}))
    hand.work()
    twice = everything(admin)
    assert verdicts(admin, first) == verdicts(admin, second) == {"matched": ROWS}
    assert figures(admin) == told
    assert steady(twice) == steady(once) == steady(rows)
    assert {row["replay_id"] for row in twice.values()} == {second}
    assert all(twice[key]["timestamp"] > once[key]["timestamp"] > rows[key]["timestamp"] for key in rows)
    kept = {key: row["timestamp"] for key, row in rows.items()}
    assert {key: row["original_timestamp"] for key, row in twice.items()} == kept


def test_a_filter_says_which_transactions_are_sent(admin: Caller, hand: Hand) -> None:
    rows = everything(admin)
    replay = asked(admin.post("/transactions/replay", {"where": {"country": {"eq": "FR"}, "user_id": {"lt": 5}}}))
    hand.work()
    wanted = {key for key, row in rows.items() if row["country"] == "FR" and row["user_id"] < 5}
    assert 0 < len(wanted) < ROWS
    assert verdicts(admin, replay) == {"matched": len(wanted)}
    assert {key for key, row in everything(admin).items() if row["replay_id"] == replay} == wanted
    nothing = asked(admin.post("/transactions/replay", {"where": {"user_id": {"gt": 1000}}}))
    hand.work()
    assert verdicts(admin, nothing) == {}
    assert admin.get(f"/replays/{nothing}").json["settled_at"] is not None


@ONCE
def test_a_message_bears_the_row_as_it_was_read_and_says_that_it_is_a_replay(
    admin: Caller, hand: Hand, engine: Engine
) -> None:
    before = row_of(admin, "t0003")
    replay = asked(admin.post("/transactions/t0003/replay"))
    hand.run_jobs()
    with engine.connect() as connection:
        [message] = connection.execute(text("select topic, key, headers, value, sent_at from pipeline_messages")).all()
        [(kept,)] = connection.execute(text("select hash from replay_events")).all()
    headers, value = (hand.app.json.loads(each) for each in (message.headers, message.value))
    assert (message.topic, message.key, message.sent_at) == ("transactions", "t0003", None)
    assert headers == {
        "event-id": headers["event-id"],
        "replay-id": replay,
        "replayed-at": value["timestamp"],
        "replay-hash": kept,
    }
    assert value["original_timestamp"] == before["timestamp"]
    assert {name: value[name] for name in value if name not in REPLAYED} == steady({"": before})[""]


def test_corrections_are_made_on_the_way(admin: Caller, hand: Hand) -> None:
    before = row_of(admin, "t0007")
    corrections = {"amount": 12.34, "status": "completed", "customer_rating": None}
    replay = asked(admin.post("/transactions/t0007/replay", {"corrections": corrections}))
    hand.work()
    assert verdicts(admin, replay) == {"matched": 1}
    assert steady({"": row_of(admin, "t0007")}) == steady({"": {**before, **corrections}})
    assert admin.get(f"/replays/{replay}").json["corrections"] == corrections


@ONCE
def test_corrections_of_what_is_unknown_or_not_to_be_corrected_are_refused(admin: Caller) -> None:
    refused: dict[str, tuple[Any, str, str | None]] = {
        "amuont": (1, "amuont", "amount"),
        "transaction_id": ("t1", "corrections.transaction_id", None),
        "timestamp": ("2026-01-01T00:00:00Z", "corrections.timestamp", None),
        "original_timestamp": (None, "corrections.original_timestamp", None),
        "replay_id": ("x", "corrections.replay_id", None),
        "amount": ("twelve", "corrections.amount", None),
        "customer_rating": (1.5, "corrections.customer_rating", None),
    }
    for column, (value, field, near) in refused.items():
        told = body_of(admin.post("/transactions/t0003/replay", {"corrections": {column: value}}), 400)
        assert (told["code"], told["errors"][0]["field"], told.get("did_you_mean")) == ("invalid", field, near)
    assert admin.get("/replays").json["data"] == []


@ONCE
def test_bodies_that_say_something_else_are_refused(admin: Caller) -> None:
    def code(path: str, body: Any) -> tuple[int, str]:
        told = body_of(admin.post(path, body), 400)
        return 400, str(told.get("did_you_mean", told["code"]))

    assert code("/transactions/t0003/replay", {"correction": {}}) == (400, "corrections")
    assert code("/transactions/t0003/replay", {"corrections": []}) == (400, "invalid")
    assert code("/transactions/t0003/replay", {"where": {}}) == (400, "invalid")
    assert code("/transactions/replay", {"corrections": {}}) == (400, "invalid")
    assert code("/transactions/replay", {"where": {"contry": {"eq": "FR"}}}) == (400, "country")
    assert code("/transactions/replay", {"where": {"country": {"equals": "FR"}}}) == (400, "invalid")
    assert code("/transactions/replay", []) == (400, "invalid")
    assert admin.post("/transactions/replay", data=b"x", content_type="text/plain").status_code == 415


@ONCE
def test_a_transaction_that_is_nowhere_is_not_found(admin: Caller) -> None:
    # The payload of q3 is not JSON: nobody knows what it would be.
    for name in ("nothing", "t000", "T0003", "t0003%00", "%2e%2e", "*", "'", "t" * 5_000, "q3"):
        assert body_of(admin.post(f"/transactions/{name}/replay"), 404)["code"] == "not_found", name


def test_an_event_of_the_quarantine_is_sent_again_with_what_is_right(admin: Caller, hand: Hand) -> None:
    refused = asked(admin.post("/transactions/q1/replay"))
    hand.work()
    assert events_of(admin, refused) == [("q1", "dead_lettered", "amount: is missing")]
    replay = asked(admin.post("/transactions/q1/replay", {"corrections": {"amount": 12.5}}))
    hand.work()
    assert verdicts(admin, replay) == {"matched": 1}
    row = row_of(admin, "q1")
    # Of an event that was refused twice it was the newer one.
    assert (row["amount"], row["status"], row["replay_id"]) == (12.5, "completed", replay)
    assert row["original_timestamp"] == "2026-10-02T16:00:00.000040Z"
    assert verdicts(admin, refused) == {"dead_lettered": 1}


@ONCE
def test_an_event_without_a_time_has_happened_when_it_was_received(admin: Caller, hand: Hand) -> None:
    replay = asked(admin.post("/transactions/q2/replay"))
    hand.work()
    assert verdicts(admin, replay) == {"matched": 1}
    assert row_of(admin, "q2")["original_timestamp"] == "2027-01-09T00:00:02Z"


def test_a_row_that_has_changed_meanwhile_stays_and_the_replay_has_diverged(admin: Caller, hand: Hand) -> None:
    replay = asked(admin.post("/transactions/replay", {"where": {"transaction_id": {"in": ["t0003", "t0004"]}}}))
    hand.run_jobs()
    newer = {**row_of(admin, "t0003"), "amount": 999.0, "timestamp": "2026-11-20T00:00:00Z"}
    event = {name: value for name, value in newer.items() if name not in ("replay_id", "original_timestamp")}
    assert admin.post(f"{TABLE}/rows", {"events": [{"row": event}]}).status_code == 201
    hand.deliver()
    hand.prove()
    assert verdicts(admin, replay) == {"matched": 1, "diverged": 1}
    assert events_of(admin, replay, "verdict=diverged") == [("t0003", "diverged", "the row was changed meanwhile")]
    assert row_of(admin, "t0003") == newer


def test_what_was_sent_long_ago_and_is_not_in_the_lake_is_missing(admin: Caller, hand: Hand, engine: Engine) -> None:
    replay = asked(admin.post("/transactions/replay"))
    hand.run_jobs()
    impatient = replace(hand, missing_after=timedelta(0))
    impatient.prove()
    assert verdicts(admin, replay) == {"pending": ROWS}  # a message that waits may come
    with engine.begin() as connection:
        connection.execute(text("update pipeline_messages set sent_at = created_at where key < 't0010'"))
    impatient.prove()
    assert verdicts(admin, replay) == {"missing": 10, "pending": ROWS - 10}
    with engine.begin() as connection:
        connection.execute(text("update pipeline_messages set sent_at = null"))
    hand.deliver()
    hand.prove()
    assert verdicts(admin, replay) == {"matched": ROWS}  # better late than never


def test_a_replay_that_is_overtaken_by_another_has_matched_all_the_same(admin: Caller, hand: Hand) -> None:
    first = asked(admin.post("/transactions/replay"))
    hand.run_jobs()
    hand.deliver()
    second = asked(admin.post("/transactions/replay"))
    hand.work()
    assert verdicts(admin, first) == verdicts(admin, second) == {"matched": ROWS}


def test_verdicts_are_listed_page_by_page(admin: Caller, hand: Hand) -> None:
    replay = asked(admin.post("/transactions/replay"))
    hand.work()
    page, found = admin.get(f"/replays/{replay}/events?verdict=matched&limit=7&count=exact").json, []
    assert page["count"] == ROWS
    while True:
        found += [each["transaction_id"] for each in page["data"]]
        if page["next_url"] is None:
            break
        page = admin.get(page["next_url"]).json
    assert found == [f"t{number:04}" for number in range(ROWS)]
    assert admin.get(f"/replays/{replay}/events?verdict=in.(missing,diverged)").json["data"] == []


@ONCE
def test_a_call_under_a_key_is_one_replay(admin: Caller, hand: Hand) -> None:
    key = {"Idempotency-Key": "once"}
    first, again = (admin.post("/transactions/replay", {}, headers=key) for _ in range(2))
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    other = admin.post("/transactions/replay", {"where": {"user_id": {"eq": 1}}}, headers=key)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert len(admin.get("/replays").json["data"]) == 1
    assert len(admin.get("/jobs?type=replay").json["data"]) == 1


def test_of_two_calls_under_a_key_at_once_the_second_is_told_so(admin: Caller, engine: Engine) -> None:
    key = {"Idempotency-Key": "once"}
    asked(admin.post("/transactions/replay", {}, headers=key))
    with engine.begin() as connection:  # as it is until the first one has committed
        connection.execute(text("delete from idempotency_keys"))
    second = admin.post("/transactions/replay", {}, headers=key)
    assert body_of(second, 409)["code"] == "idempotency_in_progress"
    assert len(admin.get("/jobs?type=replay").json["data"]) == 1
    with engine.begin() as connection:
        connection.execute(text("update replays set created_at = :at"), {"at": _long_ago(connection, 2)})
    asked(admin.post("/transactions/replay", {}, headers=key))


@ONCE
def test_the_audit_tells_whose_rows_were_taken(admin: Caller) -> None:
    asked(admin.post("/transactions/replay", {"where": {"user_id": {"eq": 1}}}))
    asked(admin.post("/transactions/q1/replay"))
    of_one, of_many = admin.get("/audit?path=like./transactions*&select=dataset,columns,rows,status").json["data"]
    assert (of_many["dataset"], of_many["rows"], of_many["status"]) == ("transactions", 4, 202)
    assert of_many["columns"][:3] == ["transaction_id", "timestamp", "user_id"]
    assert (of_one["dataset"], of_one["rows"]) == ("transactions_quarantine", 1)
    assert "payload" in of_one["columns"]


def test_a_replay_that_is_cancelled_counts_what_it_has_sent(admin: Caller, hand: Hand) -> None:
    answer = admin.post("/transactions/replay")
    replay = asked(answer)
    assert admin.delete(answer.headers["Location"]).status_code == 202
    hand.work()
    assert verdicts(admin, replay) == {}
    told = admin.get(f"/replays/{replay}").json
    assert (told["total"], told["settled_at"] is not None) == (0, True)


@ONCE
def test_only_a_table_with_its_key_and_the_columns_of_replays_takes_them(admin: Caller) -> None:
    assert admin.put(TABLE, {"key": []}).status_code == 200
    answer = admin.post("/transactions/t0003/replay")
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert admin.post("/transactions/replay").status_code == 409


@ONCE
def test_values_of_other_types_come_through_as_they_are(hand: Hand) -> None:
    app = hand.app
    folder, more = lake_folder(app) / "transactions", [("day", pa.date32()), ("seal", pa.binary()), ("ok", pa.bool_())]
    schema = pa.schema([*SCHEMA, *more, ("ratio", pa.float64())])
    given = {**transactions()[40], "day": date(2026, 1, 2), "seal": b"\x00\xff", "ok": True, "ratio": 0.1}
    write_deltalake(folder, pa.Table.from_pylist([given], schema), mode="append", schema_mode="merge")
    replay = asked(log_in(app, "root").post("/transactions/t0040/replay"))
    hand.work()
    assert verdicts(log_in(app, "root"), replay) == {"matched": 1}
    [row] = [each for each in DeltaTable(folder).to_pyarrow_table().to_pylist() if each["transaction_id"] == "t0040"]
    assert {name: row[name] for name in row if name not in REPLAYED} == {
        name: given[name] for name in given if name not in REPLAYED
    }


@ONCE
def test_nobody_asks_for_the_job_by_itself(admin: Caller) -> None:
    answer = admin.post("/jobs", {"type": "replay", "arguments": {"replay_id": "x"}})
    assert (answer.status_code, answer.json["code"]) == (400, "invalid")


def test_messages_and_replays_are_kept_for_a_while(admin: Caller, hand: Hand, engine: Engine) -> None:
    replay = asked(admin.post("/transactions/replay"))
    hand.work()
    ages = {"sent_at = :at where key < 't0010'": 8, "sent_at = null, created_at = :at where key = 't0029'": 99}
    with engine.begin() as connection:
        for change, days in ages.items():
            at = _long_ago(connection, days)
            connection.execute(text(f"update pipeline_messages set {change}"), {"at": at})
    purged = _purge(admin, hand)
    assert (purged["pipeline_messages"], purged["replays"]) == (10, 0)
    with engine.begin() as connection:
        connection.execute(text("update replays set created_at = :at"), {"at": _long_ago(connection, 31)})
    assert _purge(admin, hand)["replays"] == 1
    assert admin.get(f"/replays/{replay}").status_code == 404
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from replay_events")).scalar_one() == 0


def _long_ago(connection: Any, days: int) -> Any:
    at = datetime.now(UTC) - timedelta(days=days)
    return at if connection.dialect.name == "postgresql" else at.replace(tzinfo=None).isoformat(" ")


def _purge(admin: Caller, hand: Hand) -> dict[str, int]:
    answer = admin.post("/jobs", {"type": "purge"})
    assert "purge" in all_tasks(hand.settings)
    hand.run_jobs()
    deleted: dict[str, int] = admin.get(answer.headers["Location"]).json["result"]["deleted"]
    return deleted
