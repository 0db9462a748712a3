"""Figures: sums and counts of the transactions that the caller sees."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.gateway.conftest import GraphQL
from tests.gateway.lake import LiveLake

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def spending(lake: LiveLake) -> GraphQL:
    """The administrator, where there are transactions."""
    amounts = ["0.10", "0.20", "12345678901234567.01", "5.00", "7.00"]
    lake.write(
        "transactions",
        pa.table(
            {
                "transaction_id": [f"t{number}" for number in range(5)],
                "timestamp": pa.array(
                    [NOW - timedelta(hours=number) for number in range(5)], pa.timestamp("us", "UTC")
                ),
                "user_id": [1, 1, 2, 2, 3],
                "transaction_type": ["purchase", "refund", "purchase", "purchase", "purchase"],
                "status": ["completed", "completed", "completed", "completed", "failed"],
                "product_id": ["p1", "p2", "p1", "p1", "p9"],
                "product_name": ["Tea", "Cup", "Tea", "Tea", "Pot"],
                "currency": ["EUR", "EUR", "EUR", "CHF", "EUR"],
                "amount": pa.array([Decimal(each) for each in amounts], pa.decimal128(38, 2)),
                "country": ["FR", "FR", "DE", "DE", "FR"],
            }
        ),
    )
    return lake.admin()


@pytest.fixture(scope="module")
def nell(lake: LiveLake) -> GraphQL:
    """Who sees payments, and no transactions."""
    return lake.user("nell", {"dataset": "payments"})


def test_figures_are_sums_digit_for_digit(spending: GraphQL) -> None:
    window = 'window: "1d", at: "2026-11-01T12:00:00Z"'
    _, text, _ = spending.post(
        {"query": f"{{ spend({window}) {{ from to groups {{ currency amount transactions }} }} }}"}
    )
    assert '{"currency":"EUR","amount":12345678901234567.31,"transactions":3}' in text
    told = json.loads(text)["data"]["spend"]
    assert (told["from"], told["to"]) == ("2026-10-31T12:00:00Z", "2026-11-01T12:00:00Z")
    assert told["groups"][0] == {"currency": "CHF", "amount": 5.0, "transactions": 1}
    points = spending.result(
        f'{{ spendSeries({window}, step: "1h", where: {{country: {{eq: "FR"}}}}) {{ points {{ at amount }} }} }}'
    )
    assert points == {
        "points": [{"at": "2026-11-01T11:00:00Z", "amount": 0.2}, {"at": "2026-11-01T12:00:00Z", "amount": 0.1}]
    }
    products = spending.result(f"{{ topProducts({window}, x: 1) {{ products {{ productId productName bought }} }} }}")
    assert products == {"products": [{"productId": "p1", "productName": "Tea", "bought": 3}]}


def test_figures_by_user_come_by_pages_of_one_window(spending: GraphQL) -> None:
    document = """query ($after: String) {
      spendByUserAndType(window: "1d", at: "2026-11-01T12:00:00Z", first: 2, after: $after) {
        from to nodes { userId transactionType currency transactions } pageInfo { hasNextPage endCursor }
      }
    }"""
    page = spending.result(document)
    assert page["to"] == "2026-11-01T12:00:00Z"
    rest = spending.result(document, after=page["pageInfo"]["endCursor"])
    assert rest["from"] == page["from"]
    assert [(each["userId"], each["transactionType"], each["currency"]) for each in page["nodes"] + rest["nodes"]] == [
        (1, "purchase", "EUR"),
        (1, "refund", "EUR"),
        (2, "purchase", "CHF"),
        (2, "purchase", "EUR"),
    ]


def test_figures_take_the_conditions_of_lists(spending: GraphQL) -> None:
    document = """query ($where: JSON) {
      spend(window: "1d", at: "2026-11-01T12:00:00Z", where: $where) { groups { currency amount } }
    }"""
    for where, amounts in (
        ({"status": {"eq": "failed"}}, [7.0]),
        ({"or": [{"amount": {"lt": 0.15}}, {"user_id": {"in": [9]}}]}, [0.1]),
        ({"not": {"currency": {"in": ["EUR", "x,y)"]}}}, [5.0]),
        ({"product_name": {"like": 'T"),or(*'}}, []),
        ({"country": {"is": None}}, []),
    ):
        groups = spending.result(document, where=where)["groups"]
        assert [each["amount"] for each in groups] == amounts, where


@pytest.mark.parametrize(
    "where",
    [
        1,
        [],
        {"window": {"eq": "9d"}},
        {"at": {"eq": "x"}},
        {"x": {"eq": 1}},
        {"or": {}},
        {"or": []},
        {"or": [1]},
        {"or": [{}]},
        {"amount": {}},
        {"amount": 1},
        {"amount": {"eq": [1]}},
        {"amount": {"eq": None}},
        {"amount": {"in": 1}},
        {"amount": {"is": 1.50}},
        {"amount": {"not": {"near": 1}}},
        {"or": [{"amount.gt.1,amount": {"eq": 1}}]},
        {"nope": {"eq": 1}},
        {"not": []},
    ],
)
def test_conditions_that_are_none_are_refused(spending: GraphQL, where: Any) -> None:
    document = 'query ($where: JSON) { spend(window: "1d", where: $where) { groups { amount } } }'
    answer = spending.run(document, where=where)
    assert (answer["data"], answer["errors"][0]["extensions"]["code"]) == ({"spend": None}, "INVALID")


def test_figures_of_what_is_hidden_are_not_there(spending: GraphQL, nell: GraphQL) -> None:
    answer = nell.run('{ spend(window: "1d") { groups { amount } } payments(first: 1) { nodes { id } } }')
    assert answer["data"] == {"spend": None, "payments": {"nodes": [{"id": 0}]}}
    assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    assert spending.error('{ spend(window: "ever") { from } }')["extensions"]["code"] == "INVALID"
    assert spending.error('{ topProducts(window: "1d", x: 101) { from } }')["extensions"]["code"] == "INVALID"
