"""`/analytics`: figures of the transactions that a caller sees, compared with a model in plain Python."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from flask import Flask
from werkzeug.test import TestResponse

from tests.api.lake import TRANSACTIONS, append, give, lake_folder
from tests.conftest import Caller, log_in

END = datetime(2026, 10, 2, tzinfo=UTC)
START = END - timedelta(hours=24)
AGAIN_AT = END + timedelta(hours=3)
VISIBLE = [name for name in TRANSACTIONS.names if name not in ("transaction_id", "replay_id", "original_timestamp")]
Row = dict[str, Any]
Groups = dict[tuple[Any, ...], tuple[Any, ...]]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Figures are made in the lake; one kind of database is enough."""
    return f"sqlite:///{tmp_path}/lakeport.db"


@pytest.fixture
def rows() -> list[Row]:
    """Transactions sent once, and some sent again: with and without their first row, several times, late."""
    return generated(Random(1))


@pytest.fixture
def app(make_app: Callable[..., Flask], rows: list[Row]) -> Flask:
    app = make_app()
    for part in (rows[:100], rows[100:200], rows[200:]):
        append(lake_folder(app) / "transactions", pa.Table.from_pylist(part, TRANSACTIONS))
    return app


def generated(random: Random) -> list[Row]:
    first = [transaction(random, n) for n in range(200)]
    again = [sent_again(random, row, n) for n, row in enumerate(random.choices(first, k=30))]
    unknown = [sent_again(random, transaction(random, 500 + n), 100 + n) for n in range(5)]
    return [*first, *again, *unknown]


def transaction(random: Random, n: int) -> Row:
    # Every tenth lies on an edge of the window or of a step.
    moment = START + timedelta(seconds=random.randrange(-7_200, 93_600), microseconds=random.randrange(1_000_000))
    edges = (START, START + timedelta(microseconds=1), END, END + timedelta(microseconds=1), START + timedelta(hours=5))
    product = random.randrange(6)
    return {
        "transaction_id": f"t{n}",
        "timestamp": edges[n // 10 % len(edges)] if n % 10 == 0 else moment,
        "user_id": random.choice((1, 2, 3, None)),
        "transaction_type": random.choice(("purchase", "gift", None)),
        "product_id": f"p{product}" if product else None,
        "product_name": f"Product {product}",
        "amount": Decimal(random.randrange(-1_000, 10**12)) / 100,
        "currency": random.choice(("EUR", "GBP", "USD", None)),
        "status": random.choice(("completed", "completed", "pending", "refunded")),
        "country": random.choice(("FR", "DE", None)),
        "original_timestamp": None,
        "replay_id": None,
    }


def sent_again(random: Random, row: Row, n: int) -> Row:
    corrected = {"amount": row["amount"] + 1, "status": random.choice(("completed", "pending"))}
    mark = {"original_timestamp": row["timestamp"], "replay_id": f"r{n}"}
    return row | corrected | mark | {"timestamp": AGAIN_AT + timedelta(seconds=random.randrange(10**6), microseconds=n)}


def counted_once(rows: Iterable[Row]) -> list[Row]:
    """Of each transaction that was sent again the row sent last, at its original time."""
    rows, last = list(rows), {}
    for row in sorted(rows, key=lambda row: row["timestamp"]):
        if row["replay_id"] is not None or row["original_timestamp"] is not None:
            last[row["transaction_id"]] = row | {"timestamp": row["original_timestamp"] or row["timestamp"]}
    return [row for row in rows if row["transaction_id"] not in last] + list(last.values())


def within(rows: Iterable[Row], start: datetime = START, end: datetime = END) -> list[Row]:
    return [row for row in rows if start < row["timestamp"] <= end and row["status"] == "completed"]


def spent(rows: Iterable[Row], key: Callable[[Row], tuple[Any, ...]]) -> Groups:
    amounts: dict[tuple[Any, ...], list[Decimal]] = defaultdict(list)
    for row in rows:
        amounts[key(row)].append(row["amount"])
    return {group: (sum(values, Decimal(0)), len(values)) for group, values in amounts.items()}


def nulls_last(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((value is None, value if value is not None else "") for value in key)


def body(answer: TestResponse) -> Any:
    assert answer.status_code == 200, answer.json
    return json.loads(answer.data, parse_float=Decimal)


def groups(found: Any, *by: str) -> Groups:
    return {tuple(row[name] for name in by): (Decimal(row["amount"]), row["transactions"]) for row in found["data"]}


def url(path: str, **given: Any) -> str:
    at = quote(END.isoformat())
    return f"/analytics/{path}?" + "&".join(f"{n}={v}" for n, v in {"window": "24h", "at": at, **given}.items())


def test_spend_sums_each_currency_exactly_and_counts_a_replayed_row_once(admin: Caller, rows: list[Row]) -> None:
    found = body(admin.get(url("spend")))
    expected = spent(within(counted_once(rows)), lambda row: (row["currency"],))
    assert groups(found, "currency") == expected
    assert [(row["currency"],) for row in found["data"]] == sorted(expected, key=nulls_last)
    assert (found["from"], found["to"]) == ("2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z")
    # The case is not an empty one: without the rule for replays something else would be found.
    assert expected != spent(within(rows), lambda row: (row["currency"],))


@pytest.mark.parametrize(("window", "hours"), [("3600s", 1), ("90m", 1.5), ("2h", 2), ("2d", 48)])
def test_a_window_takes_its_end_and_not_its_beginning(
    admin: Caller, rows: list[Row], window: str, hours: float
) -> None:
    for end in (END, START, START + timedelta(hours=hours), END + timedelta(microseconds=1)):
        found = body(admin.get(url("spend", window=window, at=quote(end.isoformat()))))
        expected = within(counted_once(rows), end - timedelta(hours=hours), end)
        assert groups(found, "currency") == spent(expected, lambda row: (row["currency"],))


def test_a_window_ends_now_unless_it_is_said_otherwise(admin: Caller) -> None:
    found = body(admin.get("/analytics/spend?window=5m"))
    ends_at = datetime.fromisoformat(found["to"])
    assert abs(datetime.now(UTC) - ends_at) < timedelta(minutes=1)
    assert ends_at - datetime.fromisoformat(found["from"]) == timedelta(minutes=5)
    assert found["data"] == []


def test_filters_hold_for_the_row_that_counts(admin: Caller, rows: list[Row]) -> None:
    once = counted_once(rows)
    some = [row for row in within(once) if row["country"] == "FR" and row["amount"] > 100]
    found = body(admin.get(url("spend", country="eq.FR", amount="gt.100")))
    assert groups(found, "currency") == spent(some, lambda row: (row["currency"],))
    pending = [row for row in once if START < row["timestamp"] <= END and row["status"] in ("pending", "completed")]
    found = body(admin.get(url("spend", status="in.(pending,completed)")))
    assert groups(found, "currency") == spent(pending, lambda row: (row["currency"],))
    found = body(admin.get(url("spend", **{"or": "(status.eq.pending,status.eq.completed)"})))
    assert groups(found, "currency") == spent(pending, lambda row: (row["currency"],))


def test_pages_by_user_and_type_hold_every_group_once(admin: Caller, rows: list[Row]) -> None:
    expected = spent(within(counted_once(rows)), lambda row: (row["user_id"], row["transaction_type"], row["currency"]))
    found: list[Any] = []
    path = url("spend-by-user-and-type", limit=7)
    while path:
        page = body(admin.get(path))
        assert len(page["data"]) <= 7
        assert page["to"] == "2026-10-02T00:00:00Z"
        found += page["data"]
        path = page["next_url"]
    by = ("user_id", "transaction_type", "currency")
    assert groups({"data": found}, *by) == expected
    assert [tuple(row[name] for name in by) for row in found] == sorted(expected, key=nulls_last)


def test_a_page_has_20_groups_and_its_window_stays_on_the_next_one(admin: Caller) -> None:
    first = body(admin.get("/analytics/spend-by-user-and-type?window=36500d"))
    assert len(first["data"]) == 20
    assert f"cursor={first['next']}" in first["next_url"]
    second = body(admin.get(f"/analytics/spend-by-user-and-type?window=36500d&cursor={first['next']}"))
    assert (second["from"], second["to"]) == (first["from"], first["to"])
    assert not [row for row in second["data"] if row in first["data"]]


def test_a_cursor_opens_only_for_its_own_question(admin: Caller, app: Flask) -> None:
    path = "/analytics/spend-by-user-and-type"
    cursor = body(admin.get(f"{path}?window=30d&at=2026-10-30&limit=2"))["next"]
    assert admin.get(f"{path}?window=30d&limit=3&cursor={cursor}").status_code == 200
    for query in (
        f"window=31d&cursor={cursor}",
        f"window=30d&at=2026-10-29&cursor={cursor}",
        f"window=30d&country=FR&cursor={cursor}",
        f"window=30d&version=0&cursor={cursor}",
        f"window=30d&cursor={cursor[:-2]}",
    ):
        assert admin.get(f"{path}?{query}").status_code == 400, query
    give(admin, "rita", "transactions")
    assert log_in(app, "rita").get(f"{path}?window=30d&cursor={cursor}").status_code == 400


def test_a_cursor_stays_at_its_version_and_ends_with_the_rights(app: Flask, admin: Caller, rows: list[Row]) -> None:
    path = "/analytics/spend-by-user-and-type?window=36500d&at=2026-10-30"
    grant = give(admin, "rita", "transactions")
    rita = log_in(app, "rita")
    whole = body(rita.get(f"{path}&limit=100"))["data"]
    first = body(rita.get(f"{path}&limit=3"))
    append(lake_folder(app) / "transactions", pa.Table.from_pylist(rows[:50], TRANSACTIONS))
    assert [*first["data"], *body(rita.get(f"{path}&limit=97&cursor={first['next']}"))["data"]] == whole
    give(admin, "rita", "transactions", columns=[*VISIBLE])
    assert admin.delete(f"/grants/{grant['id']}").status_code == 204
    refused = rita.get(f"{path}&cursor={first['next']}")
    assert (refused.status_code, refused.json["code"]) == (409, "policy_changed")


@pytest.mark.parametrize("x", [1, 3, 100])
def test_top_products_are_ordered_by_number_then_id(admin: Caller, rows: list[Row], x: int) -> None:
    bought = Counter(row["product_id"] for row in within(counted_once(rows)) if row["product_id"])
    expected = sorted(bought.items(), key=lambda each: (-each[1], each[0]))[:x]
    found = body(admin.get(url("top-products", x=x)))["data"]
    assert [(row["product_id"], row["bought"]) for row in found] == expected
    assert all(row["product_name"] == f"Product {row['product_id'][1:]}" for row in found)


@pytest.mark.parametrize(("step", "seconds"), [("1h", 3_600), ("7m", 420), ("1d", 86_400)])
def test_a_series_has_steps_aligned_to_their_length(admin: Caller, rows: list[Row], step: str, seconds: int) -> None:
    def key(row: Row) -> tuple[Any, ...]:
        begun = int(row["timestamp"].timestamp()) // seconds * seconds
        return datetime.fromtimestamp(begun, UTC).isoformat().replace("+00:00", "Z"), row["currency"]

    found = body(admin.get(url("spend/series", step=step)))
    expected = spent(within(counted_once(rows)), key)
    assert groups(found, "at", "currency") == expected
    assert [(row["at"], row["currency"]) for row in found["data"]] == sorted(expected, key=nulls_last)


def test_a_series_of_too_many_steps_is_refused(admin: Caller) -> None:
    assert admin.get(url("spend/series", window="1000s", step="1s")).status_code == 200
    refused = admin.get(url("spend/series", window="1001s", step="1s"))
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (400, "step")


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("spend", "", "window"),
        ("spend", "window=5", "window"),
        ("spend", "window=0m", "window"),
        ("spend", "window=-5m", "window"),
        ("spend", "window=5w", "window"),
        ("spend", "window=36501d", "window"),
        ("spend", "window=5m&window=6m", "window"),
        ("spend", "window=5m&at=tomorrow", "at"),
        ("spend", "window=5m&at=0001-01-01", "window"),
        ("spend", "window=5m&limit=5", "limit"),
        ("spend", "window=5m&colour=red", "colour"),
        ("spend", "window=5m&amount=gt.many", "amount"),
        ("spend/series", "window=5m", "step"),
        ("spend/series", "window=5m&step=0s", "step"),
        ("spend-by-user-and-type", "", "window"),
        ("spend-by-user-and-type", "window=5m&limit=0", "limit"),
        ("spend-by-user-and-type", "window=5m&limit=101", "limit"),
        ("top-products", "x=5", "window"),
        ("top-products", "window=5m", "x"),
        ("top-products", "window=5m&x=0", "x"),
        ("top-products", "window=5m&x=101", "x"),
        ("top-products", "window=5m&x=-1", "x"),
    ],
)
def test_what_is_missing_or_wrong_is_named(admin: Caller, path: str, query: str, field: str) -> None:
    refused = admin.get(f"/analytics/{path}?{query}")
    assert refused.status_code == 400, refused.json
    assert [error["field"] for error in refused.json["errors"]] == [field]


def test_figures_are_those_of_the_rows_that_the_caller_sees(app: Flask, admin: Caller, rows: list[Row]) -> None:
    give(admin, "rita", "transactions", filter="country=FR")
    seen = [row for row in rows if row["country"] == "FR"]
    found = body(log_in(app, "rita").get(url("spend")))
    assert groups(found, "currency") == spent(within(counted_once(seen)), lambda row: (row["currency"],))


def test_who_does_not_see_what_was_replayed_counts_the_rows_he_sees(app: Flask, admin: Caller, rows: list[Row]) -> None:
    give(admin, "rita", "transactions", columns=VISIBLE)
    everything = {"window": "30d", "at": "2026-10-30"}
    expected = within(rows, datetime(2026, 9, 30, tzinfo=UTC), datetime(2026, 10, 30, tzinfo=UTC))
    found = body(log_in(app, "rita").get(url("spend", **everything)))
    assert groups(found, "currency") == spent(expected, lambda row: (row["currency"],))


@pytest.mark.parametrize(
    ("masks", "is_once"),
    [
        ({"transaction_id": "hash", "replay_id": "hash"}, True),
        ({"transaction_id": "last4"}, False),
        ({"replay_id": "null"}, False),
        ({"original_timestamp": "year"}, False),
    ],
)
def test_a_mask_that_tells_transactions_apart_lets_them_count_once(
    app: Flask, admin: Caller, rows: list[Row], masks: dict[str, str], is_once: bool
) -> None:
    give(admin, "rita", "transactions", masks=masks)
    found = body(log_in(app, "rita").get(url("spend")))
    counted = counted_once(rows) if is_once else rows
    assert groups(found, "currency") == spent(within(counted), lambda row: (row["currency"],))


def test_masked_values_are_grouped_as_they_are_seen(app: Flask, admin: Caller, rows: list[Row]) -> None:
    give(admin, "rita", "transactions", masks={"user_id": "hash", "amount": "null"})
    found = body(log_in(app, "rita").get(url("spend-by-user-and-type", limit=100)))["data"]
    expected = spent(within(counted_once(rows)), lambda row: (row["user_id"], row["transaction_type"], row["currency"]))
    assert sorted(row["transactions"] for row in found) == sorted(count for _, count in expected.values())
    assert {row["amount"] for row in found} == {None}
    assert {len(row["user_id"]) for row in found if row["user_id"]} == {16}


@pytest.mark.parametrize(
    ("path", "lacking"),
    [
        ("spend", "timestamp"),
        ("spend", "status"),
        ("spend", "amount"),
        ("spend", "currency"),
        ("spend-by-user-and-type", "user_id"),
        ("top-products", "product_name"),
    ],
)
def test_a_hidden_column_is_an_unknown_one(app: Flask, admin: Caller, path: str, lacking: str) -> None:
    give(admin, "rita", "transactions", columns=[name for name in TRANSACTIONS.names if name != lacking])
    refused = log_in(app, "rita").get(url(path, **({"x": 3} if path == "top-products" else {})))
    assert refused.status_code == 400
    assert refused.json["errors"][0]["field"] == lacking
    assert refused.json["detail"].startswith("Unknown column")


def test_a_status_that_is_hidden_cannot_be_filtered_either(app: Flask, admin: Caller) -> None:
    give(admin, "rita", "transactions", columns=[name for name in TRANSACTIONS.names if name != "status"])
    assert log_in(app, "rita").get(url("spend", status="neq.x")).status_code == 400


@pytest.mark.parametrize("mask", [{"amount": "hash"}, {"timestamp": "year"}])
def test_what_a_mask_makes_of_a_column_may_be_nothing_to_sum(app: Flask, admin: Caller, mask: dict[str, str]) -> None:
    give(admin, "rita", "transactions", masks=mask)
    refused = log_in(app, "rita").get(url("spend"))
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (400, *mask)


@pytest.mark.parametrize("path", ["spend", "spend/series", "spend-by-user-and-type", "top-products"])
def test_hidden_transactions_are_absent_ones(make_app: Callable[..., Flask], path: str) -> None:
    query = f"/analytics/{path}?window=5m&step=1m&x=1".replace("&step=1m", "&step=1m" * (path == "spend/series"))
    query = query.replace("&x=1", "&x=1" * (path == "top-products"))
    answers = []
    for is_there in (False, True):
        app = make_app()
        if is_there:
            append(lake_folder(app) / "transactions", pa.Table.from_pylist([], TRANSACTIONS))
        answer = log_in(app, "rita").get(query, headers={"X-Request-ID": "same"})
        answers.append((answer.status_code, answer.json))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


def test_a_figure_is_recorded_with_what_it_was_made_of(admin: Caller) -> None:
    found = body(admin.get(url("top-products", x=2, country="FR")))
    entry = admin.get("/audit?path=/analytics/top-products").json["data"][0]
    assert (entry["dataset"], entry["rows"]) == ("transactions", len(found["data"]))
    used = ["transaction_id", "timestamp", "product_id", "product_name", "country", "status"]
    assert entry["columns"] == [*used, "original_timestamp", "replay_id"]


def test_an_earlier_version_has_its_own_figures(admin: Caller, rows: list[Row]) -> None:
    expected = spent(within(counted_once(rows[:100])), lambda row: (row["currency"],))
    assert groups(body(admin.get(url("spend", version=0))), "currency") == expected


@pytest.mark.parametrize("kind", ["table", "files"])
def test_figures_are_made_of_whatever_the_transactions_are_stored_as(make_app: Callable[..., Flask], kind: str) -> None:
    app = make_app()
    folder = lake_folder(app) / "transactions"
    folder.mkdir(parents=True)
    stored = pa.table(
        {
            "timestamp": pa.array([START.replace(tzinfo=None, hour=hour) for hour in (12, 13)], pa.timestamp("us")),
            "amount": [0.5, 0.25],
            "currency": ["EUR", "EUR"],
            "status": ["completed", "completed"],
        }
    )
    if kind == "table":
        write_deltalake(folder, stored)
    else:
        pq.write_table(stored, folder / "part.parquet")
    found = body(log_in(app, "root").get(url("spend")))
    assert found["data"] == [{"currency": "EUR", "amount": Decimal("0.75"), "transactions": 2}]


@pytest.mark.parametrize("seed", range(2, 8))
def test_many_files_are_looked_at_for_what_was_sent_again(make_app: Callable[..., Flask], seed: int) -> None:
    app, rows = make_app(), generated(Random(seed))
    folder = lake_folder(app) / "transactions"
    folder.mkdir(parents=True)
    for n in range(0, len(rows), 20):
        pq.write_table(pa.Table.from_pylist(rows[n : n + 20], TRANSACTIONS), folder / f"part-{n:03}.parquet")
    found = body(log_in(app, "root").get(url("spend", country="not.is.null")))
    expected = [row for row in within(counted_once(rows)) if row["country"]]
    assert groups(found, "currency") == spent(expected, lambda row: (row["currency"],))
