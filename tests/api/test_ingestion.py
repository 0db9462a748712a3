"""Events of the pipeline: what is merged, what is kept in the quarantine, and that nothing is doubled or lost."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from flask import Flask
from werkzeug.test import TestResponse

from rest_api.backends.writing import Writing
from rest_api.demo.quarantine import FAULTS
from rest_api.demo.transactions import QUARANTINE, SCHEMA
from rest_api.lake.checks import MAX_EVENT_BYTES
from rest_api.lake.replays import row_hash
from tests.api.lake import append, give, lake_folder
from tests.conftest import Caller, log_in

# What has nothing to do with the database is tried on one.
ONCE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PATH = "/data/datasets/transactions/rows"
T0, T1, T2, T3 = (f"2026-11-01T12:0{minute}:00Z" for minute in range(4))
Row = dict[str, Any]


def purchase(number: int = 1, **more: Any) -> Row:
    """A right event; `more` are other values."""
    return {
        "transaction_id": f"tx-{number:04}",
        "timestamp": T0,
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


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app()
    append(lake_folder(app) / "transactions", SCHEMA.empty_table())
    append(lake_folder(app) / "transactions_quarantine", QUARANTINE.empty_table())
    said = {"key": ["transaction_id"], "time_column": "timestamp"}
    assert log_in(app, "root").put("/data/datasets/transactions", said).status_code == 200
    return app


@pytest.fixture
def root(app: Flask) -> Caller:
    return log_in(app, "root")


def send(caller: Caller, *events: Row) -> TestResponse:
    return caller.post(PATH, {"events": list(events)})


def outcomes(answer: TestResponse) -> list[str]:
    assert answer.status_code == 201, answer.json
    return [each["outcome"] for each in answer.json["outcomes"]]


def stored(app: Flask, name: str = "transactions") -> list[Row]:
    """The rows of a table in the order of their ids."""
    found = DeltaTable(lake_folder(app) / name).to_pyarrow_table().to_pylist()
    return sorted(found, key=lambda row: row.get("transaction_id") or "")


def quarantined(app: Flask) -> list[Row]:
    return stored(app, "transactions_quarantine")


def at(offset: int, partition: int = 0) -> Row:
    return {"topic": "transactions", "partition": partition, "offset": offset}


def replay(row_id: str, hash_: str | None, when: str = T2) -> Row:
    return {"id": row_id, "hash": hash_, "replayed_at": when}


def test_events_are_merged_and_refused_ones_kept_with_where_they_came_from(app: Flask, root: Caller) -> None:
    events: list[Row] = [
        {"row": purchase(1), "source": at(7)},
        {"row": purchase(2, amount=-1), "source": at(8)},
        {"raw": "not json", "source": at(3, 1), "id": "e-3"},
        {"raw": json.dumps(purchase(4)), "source": at(4, 1)},
    ]
    answer = send(root, *events)
    assert answer.json == {
        "dataset": "transactions",
        "version": 1,
        "rows": 2,
        "outcomes": [
            {"outcome": "applied", "reason": None},
            {"outcome": "quarantined", "reason": "amount: must not be negative"},
            {"outcome": "quarantined", "reason": "the payload is not JSON"},
            {"outcome": "applied", "reason": None},
        ],
    }
    assert [(row["transaction_id"], row["amount"]) for row in stored(app)] == [
        ("tx-0001", Decimal("25.50")),
        ("tx-0004", Decimal("25.50")),
    ]
    negative, text = quarantined(app)
    assert json.loads(negative.pop("payload")) == purchase(2, amount=-1)
    assert negative.pop("received_at").tzinfo is not None
    assert negative == {"reason": "amount: must not be negative", **at(8), "event_id": None}
    assert (text["payload"], text["offset"], text["partition"], text["event_id"]) == ("not json", 3, 1, "e-3")


@ONCE
def test_both_changes_are_told_and_audited(root: Caller) -> None:
    send(root, {"row": purchase()}, {"raw": "?"})
    told = [each["data"] for each in root.get("/events?type=dataset.changed").json["data"]]
    assert told == [
        {"dataset": "transactions_quarantine", "version": 1, "kind": "append", "rows": 1},
        {"dataset": "transactions", "version": 1, "kind": "merge", "rows": 1},
    ]
    [entry] = root.get(f"/audit?path={PATH}&method=POST&select=dataset,rows,status").json["data"]
    assert entry == {"dataset": "transactions", "rows": 1, "status": 201}


def without(name: str) -> str:
    return json.dumps({each: value for each, value in purchase().items() if each != name})


BAD: dict[str, tuple[str, str]] = {
    **{f"of the demo: {reason}": (spoil(purchase()), reason) for reason, spoil in FAULTS},
    "nothing": ("", "the payload is not JSON"),
    "a number": ("5", "the payload is not a JSON object"),
    "a list": ("[]", "the payload is not a JSON object"),
    "NaN": ('{"amount": NaN}', "the payload is not JSON"),
    "a name twice": ('{"amount": 1, "amount": 2}', "the payload: The key 'amount' is given twice"),
    "a NUL": ('{"user_name": "\\u0000"}', "the payload: A text holds a NUL character or half a surrogate pair"),
    "too deep": ("[" * 100 + "]" * 100, "the payload: The body is nested more than 64 levels deep"),
    "a huge integer": ('{"user_id": 1e400}', "the payload: A number is beyond what a double can hold"),
    "an endless fraction": (
        json.dumps(purchase()).replace("25.5", "1e-999999999"),
        "the payload: A number is beyond what a double can hold",
    ),
    "too large": (json.dumps(purchase(user_name="x" * MAX_EVENT_BYTES)), "the payload is larger than 256 KiB"),
    "an unknown column": (json.dumps(purchase(colour="red")), "'colour' is not a column"),
    "no id": (without("transaction_id"), "transaction_id: is missing"),
    "an empty id": (json.dumps(purchase(transaction_id="")), "transaction_id: is missing"),
    "an id that is a number": (json.dumps(purchase(transaction_id=1)), "transaction_id: must be a text"),
    "no time": (without("timestamp"), "timestamp: is missing"),
    "a day": (json.dumps(purchase(timestamp="2026-11-01")), "timestamp: is not an RFC 3339 time"),
    "a time without a zone": (
        json.dumps(purchase(timestamp="2026-11-01T12:00:00")),
        "timestamp: is not an RFC 3339 time",
    ),
    "no such day": (json.dumps(purchase(timestamp="2026-02-30T12:00:00Z")), "timestamp: is not an RFC 3339 time"),
    "no user": (without("user_id"), "user_id: is missing"),
    "a user with a fraction": (json.dumps(purchase(user_id=1.5)), "user_id: must be a whole number"),
    "a user that is true": (json.dumps(purchase(user_id=True)), "user_id: must be a whole number"),
    "no currency": (without("currency"), "currency: is missing"),
    "a currency in small letters": (json.dumps(purchase(currency="eur")), "currency: 'eur' is not a known currency"),
    "no status": (without("status"), "status: is missing"),
    "too many decimals": (
        json.dumps(purchase(amount=1.005)),
        "amount: must have at most 2 decimals, 18 digits in all",
    ),
    "too much money": (
        json.dumps(purchase()).replace("25.5", "12345678901234567.5"),
        "amount: must have at most 2 decimals, 18 digits in all",
    ),
    "no rating, but zero": (json.dumps(purchase(customer_rating=0)), "customer_rating: must be from 1 to 5"),
    "a rating beyond 32 bits": (json.dumps(purchase(customer_rating=2**40)), "customer_rating: is beyond int32"),
    "what replays give": (json.dumps(purchase(replay_id="mine")), "replay_id: is given by replays only"),
    "another first time": (
        json.dumps(purchase(original_timestamp=T0)),
        "original_timestamp: is given by replays only",
    ),
    "several": (
        json.dumps(purchase(user_id="x", amount="y")),
        "user_id: must be a whole number; amount: 'y' is not a number",
    ),
}


@ONCE
def test_every_kind_of_bad_event_is_kept_as_it_came_among_good_ones(app: Flask, root: Caller) -> None:
    """All in one call, so that none spoils another."""
    events = [
        each for number, (raw, _) in enumerate(BAD.values()) for each in ({"raw": raw}, {"row": purchase(number)})
    ]
    told = send(root, *events).json["outcomes"]
    found = dict(zip(BAD, (each["reason"] for each in told[::2]), strict=True))
    assert found == {case: reason for case, (_, reason) in BAD.items()}
    assert {each["outcome"] for each in told[1::2]} == {"applied"}
    assert {(row["payload"], row["reason"]) for row in quarantined(app)} == set(BAD.values())
    assert len(stored(app)) == len(BAD)


@ONCE
def test_a_value_that_is_long_is_cut_in_the_reason(root: Caller) -> None:
    [told] = send(root, {"row": purchase(status="x" * 5_000)}).json["outcomes"]
    assert len(told["reason"]) < 100


@ONCE
def test_numbers_are_kept_digit_for_digit(app: Flask, root: Caller) -> None:
    right = json.dumps(purchase(1)).replace("25.5", "1234567890123456.70")
    wrong = json.dumps(purchase(2)).replace("25.5", "-1234567890123456.70")
    body = f'{{"events": [{{"row": {right}}}, {{"row": {wrong}}}]}}'
    assert outcomes(root.post(PATH, data=body, content_type="application/json")) == ["applied", "quarantined"]
    assert stored(app)[0]["amount"] == Decimal("1234567890123456.70")
    assert "-1234567890123456.70" in quarantined(app)[0]["payload"]


MALFORMED: dict[str, Any] = {
    "none": {"events": []},
    "no list": {"events": {}},
    "no object": {"events": [1]},
    "rows too": {"events": [{"row": {}}], "rows": [{}]},
    "another mode": {"events": [{"row": {}}], "mode": "append"},
    "a source of all": {"events": [{"row": {}}], "source": at(1)},
    "neither row nor text": {"events": [{"id": "e"}]},
    "both": {"events": [{"row": {}, "raw": "{}"}]},
    "a row of another kind": {"events": [{"row": "{}"}]},
    "a text of another kind": {"events": [{"raw": {}}]},
    "an unknown member": {"events": [{"row": {}, "key": "k"}]},
    "a negative offset": {"events": [{"row": {}, "source": at(-1)}]},
    "a replay without a hash": {"events": [{"row": {}, "replay": {"id": "r", "replayed_at": T0}}]},
    "another hash": {"events": [{"row": {}, "replay": replay("r", "x")}]},
    "a replay at no time": {"events": [{"row": {}, "replay": replay("r", None, "now")}]},
    "a replay without a zone": {"events": [{"row": {}, "replay": replay("r", None, "2026-11-01T12:00:00")}]},
    "too many": {"events": [{"raw": ""}] * 10_001},
}


@ONCE
def test_a_malformed_call_is_refused_and_keeps_nothing(app: Flask, root: Caller) -> None:
    for case, body in MALFORMED.items():
        answer = root.post(PATH, body)
        assert (answer.status_code, answer.json["code"]) == (400, "invalid"), case
        assert all(error["field"].startswith(("events", "rows", "mode", "source")) for error in answer.json["errors"])
    assert (stored(app), quarantined(app)) == ([], [])


def test_what_is_sent_again_changes_nothing(app: Flask, root: Caller) -> None:
    events: list[Row] = [
        {"row": purchase(1), "source": at(1)},
        {"raw": "?", "source": at(2)},
        {"raw": "?", "source": at(3)},
        {"raw": "!", "id": "e-1"},
        {"raw": "!", "id": "e-2"},
        {"raw": "…"},
        {"raw": "…"},
    ]
    assert outcomes(send(root, *events)) == ["applied", *["quarantined"] * 6]
    again = send(root, *events)
    assert outcomes(again) == ["unchanged", *["quarantined"] * 6]
    assert again.json["version"] == 1
    assert sorted(row["payload"] for row in quarantined(app)) == ["!", "!", "?", "?", "…"]
    assert root.get("/data/datasets/transactions_quarantine").json["version"] == 1


@ONCE
def test_an_event_is_known_by_its_id_wherever_it_stands_now(app: Flask, root: Caller) -> None:
    for offset in (1, 2):
        send(root, {"raw": "?", "id": "e-1", "source": at(offset)})
    assert [row["offset"] for row in quarantined(app)] == [1]


@ONCE
def test_nobody_takes_the_place_of_another_event(app: Flask, root: Caller) -> None:
    for payload in ("mine", "theirs"):
        send(root, {"raw": payload, "id": "e-1", "source": at(1)})
    assert sorted(row["payload"] for row in quarantined(app)) == ["mine", "theirs"]


def test_who_may_only_write_is_not_told_what_was_there(app: Flask, root: Caller) -> None:
    give(root, "rita", "transactions", "write")
    rita = log_in(app, "rita")
    events: list[Row] = [
        {"row": purchase(1)},
        {"row": purchase(1)},
        {"raw": "?"},
        {"row": purchase(2), "replay": replay("r", "0" * 32)},
    ]
    first, again = (send(rita, *events) for _ in range(2))
    assert first.json == again.json
    assert first.json == {
        "dataset": "transactions",
        "version": None,
        "rows": 3,
        "outcomes": [
            {"outcome": "accepted", "reason": None},
            {"outcome": "accepted", "reason": None},
            {"outcome": "quarantined", "reason": "the payload is not JSON"},
            {"outcome": "accepted", "reason": None},
        ],
    }
    assert len(quarantined(app)) == 1
    assert rita.get("/data/datasets/transactions_quarantine/rows").status_code == 404
    give(root, "rita", "transactions", "read")
    assert outcomes(send(rita, *events)) == ["unchanged", "unchanged", "quarantined", "diverged"]


@ONCE
def test_a_part_of_the_rows_tells_no_more(app: Flask, root: Caller) -> None:
    give(root, "rita", "transactions", "write")
    give(root, "rita", "transactions", "read", filter="country=eq.DE")
    assert outcomes(send(log_in(app, "rita"), {"row": purchase()})) == ["accepted"]


@ONCE
def test_who_may_not_write_keeps_nothing(app: Flask, root: Caller) -> None:
    rita = log_in(app, "rita")
    assert send(rita, {"raw": "?"}).status_code == 404
    give(root, "rita", "transactions")
    assert send(rita, {"raw": "?"}).status_code == 403
    assert quarantined(app) == []


@ONCE
def test_without_a_quarantine_all_is_refused(app: Flask, root: Caller) -> None:
    append(lake_folder(app) / "plain", pa.table({"id": [1]}))
    root.put("/data/datasets/plain", {"key": ["id"]})
    answer = root.post("/data/datasets/plain/rows", {"events": [{"row": {"id": 2}}, {"row": {"id": "x"}}]})
    assert (answer.status_code, answer.json["code"]) == (400, "invalid")
    assert answer.json["errors"] == [{"field": "events.1", "detail": "id: must be a whole number"}]
    assert len(stored(app, "plain")) == 1


@ONCE
def test_without_a_key_there_is_nothing_to_merge_by(app: Flask, root: Caller) -> None:
    append(lake_folder(app) / "plain", pa.table({"id": [1]}))
    answer = root.post("/data/datasets/plain/rows", {"events": [{"row": {"id": 2}}]})
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")


@ONCE
def test_a_key_of_two_columns_names_a_row(app: Flask, root: Caller) -> None:
    append(lake_folder(app) / "plain", pa.table({"a": [1, 1], "b": ["x", "y"], "v": [1, 1]}))
    root.put("/data/datasets/plain", {"key": ["a", "b"]})
    events = [{"row": {"a": 1, "b": "x", "v": 2}}, {"row": {"a": 1, "b": "y", "v": 1}}, {"row": {"a": 2, "b": "y"}}]
    assert outcomes(root.post("/data/datasets/plain/rows", {"events": events})) == ["applied", "unchanged", "applied"]
    found = sorted((row["a"], row["b"], row["v"]) for row in stored(app, "plain") if row["v"])
    assert (found, len(stored(app, "plain"))) == ([(1, "x", 2), (1, "y", 1)], 3)


KEYS: dict[str, tuple[Any, list[Any]]] = {
    "whole": (pa.int8(), [1, -2]),
    "fraction": (pa.float64(), [0.1, 2]),
    "single": (pa.float32(), [0.1, 2.5]),
    "money": (pa.decimal128(18, 2), [1.5, "2.50"]),
    "day": (pa.date32(), ["2026-11-01", "1970-01-01"]),
    "time": (pa.timestamp("us", "UTC"), ["2026-11-01T12:00:00.000001Z", "2026-11-01T14:00:00+02:00"]),
    "time_without_zone": (pa.timestamp("us"), ["2026-11-01T12:00:00", "1970-01-01T00:00:00"]),
    "truth": (pa.bool_(), [True, False]),
    "bytes": (pa.binary(), ["AP8=", ""]),
    "text": (pa.string(), ["é", "'; --"]),
}


@ONCE
def test_a_key_of_any_type_names_its_row(app: Flask, root: Caller) -> None:
    found: dict[str, list[str]] = {}
    for name, (type_, values) in KEYS.items():
        append(lake_folder(app) / name, pa.schema([("id", type_), ("v", pa.list_(pa.int64()))]).empty_table())
        root.put(f"/data/datasets/{name}", {"key": ["id"]})
        for v in ([1], [1], [2]):
            events = [{"row": {"id": value, "v": v}} for value in values]
            found.setdefault(name, []).extend(outcomes(root.post(f"/data/datasets/{name}/rows", {"events": events})))
    assert found == {name: [told for told in ("applied", "unchanged", "applied") for _ in range(2)] for name in KEYS}
    assert {name: len(stored(app, name)) for name in KEYS} == dict.fromkeys(KEYS, 2)


@ONCE
def test_the_newer_event_wins_in_whatever_order_they_come(app: Flask, root: Caller) -> None:
    assert outcomes(send(root, {"row": purchase(timestamp=T1, amount=2)})) == ["applied"]
    assert send(root, {"row": purchase(timestamp=T0, amount=1)}).json["outcomes"] == [
        {"outcome": "unchanged", "reason": "a newer one is there"}
    ]
    assert outcomes(send(root, {"row": purchase(timestamp=T1, amount=3)})) == ["applied"]
    events = [{"row": purchase(timestamp=when, amount=amount)} for when, amount in ((T3, 5), (T2, 4), (T3, 5))]
    assert outcomes(send(root, *events)) == ["applied", "unchanged", "unchanged"]
    assert [row["amount"] for row in stored(app)] == [5]


def test_a_replay_changes_its_times_and_nothing_else(app: Flask, root: Caller) -> None:
    send(root, {"row": purchase(1)}, {"row": purchase(2)})
    before = stored(app)
    again = {"row": purchase(1), "replay": replay("r-1", row_hash(before[0]))}
    assert outcomes(send(root, again)) == ["applied"]
    row, other = stored(app)
    assert other == before[1]
    assert (moment(row, "timestamp"), moment(row, "original_timestamp"), row["replay_id"]) == (T2, T0, "r-1")
    assert row_hash(row) == row_hash(before[0])
    later = {"row": purchase(1), "replay": replay("r-2", row_hash(before[0]), T3)}
    assert outcomes(send(root, again, later, again, later)) == ["unchanged", "applied", "unchanged", "unchanged"]
    row, _ = stored(app)
    assert (moment(row, "timestamp"), moment(row, "original_timestamp"), row["replay_id"]) == (T3, T0, "r-2")


@ONCE
def test_a_replay_brings_corrections(app: Flask, root: Caller) -> None:
    send(root, {"row": purchase(amount=2550)})
    again = {"row": purchase(amount=25.5), "replay": replay("r-1", row_hash(stored(app)[0]))}
    assert outcomes(send(root, again, again, {"row": purchase(amount=2550)})) == ["applied", "unchanged", "unchanged"]
    assert [row["amount"] for row in stored(app)] == [Decimal("25.50")]


@ONCE
def test_a_replay_of_a_row_that_changed_is_told_so_and_loses_nothing(app: Flask, root: Caller) -> None:
    send(root, {"row": purchase()})
    read = row_hash(stored(app)[0])
    send(root, {"row": purchase(timestamp=T1, status="refunded")})
    now = stored(app)
    answer = send(root, {"row": purchase(), "replay": replay("r-1", read)})
    assert answer.json["outcomes"] == [{"outcome": "diverged", "reason": "the row was changed meanwhile"}]
    gone = send(root, {"row": purchase(2), "replay": replay("r-1", read)})
    assert gone.json["outcomes"] == [{"outcome": "diverged", "reason": "the row is gone"}]
    assert stored(app) == now


@ONCE
def test_a_mended_event_comes_out_of_the_quarantine_once(app: Flask, root: Caller) -> None:
    mended = {"row": purchase(), "replay": replay("r-1", None)}
    assert outcomes(send(root, mended)) == ["applied"]
    assert outcomes(send(root, mended)) == ["unchanged"]
    taken = {"row": purchase(amount=1), "replay": replay("r-2", None)}
    assert send(root, taken).json["outcomes"] == [{"outcome": "diverged", "reason": "there is such a row meanwhile"}]
    [row] = stored(app)
    assert (row["amount"], moment(row, "original_timestamp"), moment(row, "timestamp")) == (Decimal("25.50"), T0, T2)


@ONCE
def test_what_the_source_says_later_comes_after_a_replay(app: Flask, root: Caller) -> None:
    """Though the replay has the later timestamp: it only sent again what had happened before."""
    send(root, {"row": purchase(status="pending")})
    again = {"row": purchase(status="pending"), "replay": replay("r-1", row_hash(stored(app)[0]), T3)}
    send(root, again)
    settled = {"row": purchase(timestamp=T1, status="completed")}
    assert outcomes(send(root, settled)) == ["applied"]
    assert outcomes(send(root, again)) == ["diverged"]
    assert [(row["status"], moment(row, "timestamp")) for row in stored(app)] == [("completed", T1)]


@ONCE
def test_a_replay_that_breaks_a_rule_is_kept_with_the_others(app: Flask, root: Caller) -> None:
    send(root, {"row": purchase()})
    read = row_hash(stored(app)[0])
    assert outcomes(send(root, {"row": purchase(amount=-1), "replay": replay("r-1", read)})) == ["quarantined"]
    assert [row["amount"] for row in stored(app)] == [Decimal("25.50")]


def test_two_writers_at_once_double_and_lose_nothing(app: Flask, root: Caller) -> None:
    callers = [log_in(app, "root") for _ in range(4)]
    batch = [{"row": purchase(number)} for number in range(20)] + [{"raw": "?", "source": at(n)} for n in range(5)]
    with ThreadPoolExecutor(4) as pool:
        told = [outcomes(answer) for answer in pool.map(lambda caller: send(caller, *batch), callers)]
    assert sorted(each.count("applied") for each in told) == [0, 0, 0, 20]
    assert [row["transaction_id"] for row in stored(app)] == [f"tx-{number:04}" for number in range(20)]
    assert len(quarantined(app)) == 5


def test_the_same_replay_and_a_newer_event_at_once_leave_the_newer_one(app: Flask, root: Caller) -> None:
    send(root, *({"row": purchase(number)} for number in range(6)))
    hashes = [row_hash(row) for row in stored(app)]
    replays = [{"row": purchase(n), "replay": replay("r-1", hashes[n])} for n in range(6)]
    newer = [{"row": purchase(n, timestamp=T1, amount=n)} for n in range(6)]
    sent = [(log_in(app, "root"), events) for events in (replays, newer, replays, newer)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda each: send(each[0], *each[1]), sent))
    assert {answer.status_code for answer in answers} == {201}
    assert [row["amount"] for row in stored(app)] == list(range(6))


@ONCE
@pytest.mark.parametrize("is_known", [False, True], ids=["appended", "merged"])
def test_what_another_writer_commits_in_between_is_seen(
    app: Flask, root: Caller, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    """One that knows nothing of our locks commits a newer row between our look and our commit."""
    if is_known:
        send(root, {"row": purchase(amount=1)})
    put, newer = Writing.put, {**purchase(timestamp=T3, amount=9), "timestamp": time(T3), "amount": Decimal(9)}

    def overtaken(*given: Any, **more: Any) -> Any:
        monkeypatch.setattr(Writing, "put", put)
        table = DeltaTable(lake_folder(app) / "transactions")
        table.delete()
        append(lake_folder(app) / "transactions", pa.Table.from_pylist([newer], SCHEMA))
        return put(*given, **more)

    monkeypatch.setattr(Writing, "put", overtaken)
    answer = send(root, {"row": purchase(timestamp=T1, amount=2)})
    assert answer.json["outcomes"] == [{"outcome": "unchanged", "reason": "a newer one is there"}]
    assert [row["amount"] for row in stored(app)] == [9]
    assert len(root.get("/events?type=dataset.changed").json["data"]) == is_known


@ONCE
def test_a_commit_in_the_midst_of_ours_is_seen_too(app: Flask, root: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from rest_api.backends import writing

    real, newer = writing._append, {**purchase(), "timestamp": time(T3), "amount": Decimal(9)}

    def overtaken(*given: Any) -> None:
        monkeypatch.setattr(writing, "_append", real)
        append(lake_folder(app) / "transactions", pa.Table.from_pylist([newer], SCHEMA))
        real(*given)

    monkeypatch.setattr(writing, "_append", overtaken)
    assert outcomes(send(root, {"row": purchase(timestamp=T1)})) == ["unchanged"]
    assert [row["amount"] for row in stored(app)] == [9]


@ONCE
def test_a_quarantine_of_other_columns_takes_no_events(app: Flask, root: Caller) -> None:
    append(lake_folder(app) / "odd", pa.table({"id": [1]}))
    append(lake_folder(app) / "odd_quarantine", pa.table({"payload": [1], "reason": ["x"]}))
    root.put("/data/datasets/odd", {"key": ["id"]})
    answer = root.post("/data/datasets/odd/rows", {"events": [{"raw": "?"}]})
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")


@ONCE
def test_a_repeated_call_under_a_key_is_answered_the_same(root: Caller) -> None:
    key = {"headers": {"Idempotency-Key": "k1"}}
    first, again = (root.post(PATH, {"events": [{"row": purchase()}, {"raw": "?"}]}, **key) for _ in range(2))
    assert first.json == again.json
    assert again.headers["Idempotent-Replayed"] == "true"


def moment(row: Row, column: str) -> str:
    written: str = row[column].isoformat().replace("+00:00", "Z")
    return written


def time(text: str) -> datetime:
    return datetime.fromisoformat(text)
