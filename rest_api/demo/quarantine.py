"""Events that failed validation: the raw payload, the reason and the coordinates they came with."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from rest_api.demo.catalogue import make_products
from rest_api.demo.randomness import stream

INVALID = 60
PARTITIONS = 3
FIRST_NUMBER = 90_000_000
Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """One row of `transactions_quarantine`."""

    payload: str
    reason: str
    topic: str
    partition: int
    offset: int
    received_at: datetime
    event_id: str | None = None


def _without(field: str) -> Callable[[Payload], str]:
    return lambda event: json.dumps({name: value for name, value in event.items() if name != field})


def _with(field: str, value: object) -> Callable[[Payload], str]:
    return lambda event: json.dumps({**event, field: value})


# What is wrong, and how such a payload is made of a right one.
FAULTS: tuple[tuple[str, Callable[[Payload], str]], ...] = (
    ("amount: is missing", _without("amount")),
    ("product_id: is missing", _without("product_id")),
    ("currency: 'XBT' is not a known currency", _with("currency", "XBT")),
    ("amount: must not be negative", _with("amount", -25.5)),
    ("amount: 'twelve' is not a number", _with("amount", "twelve")),
    ("user_id: must be a whole number", _with("user_id", "u-17")),
    ("customer_rating: must be from 1 to 5", _with("customer_rating", 11)),
    ("timestamp: is not an RFC 3339 time", _with("timestamp", "yesterday")),
    ("status: 'teleported' is not a known status", _with("status", "teleported")),
    ("the payload is not JSON", lambda event: json.dumps(event)[:-15]),
)


def make_refused(seed: int, until: datetime) -> list[Refused]:
    """60 refused events of the last three days, ascending by time, offsets ascending per partition."""
    random = stream(seed, "quarantine")
    ages = sorted((random.uniform(60, 3 * 86_400) for _ in range(INVALID)), reverse=True)
    offsets = [random.randrange(30_000, 33_000) for _ in range(PARTITIONS)]
    names = [(product.product_id, product.name, product.category) for product in make_products(seed)]
    rows = []
    for number, age in enumerate(ages):
        partition = random.randrange(PARTITIONS)
        offsets[partition] += random.randrange(1, 40)
        received_at = until - timedelta(seconds=age)
        reason, spoil = FAULTS[number % len(FAULTS)]
        event = _make_event(FIRST_NUMBER + number, received_at, random.choice(names), random)
        rows.append(Refused(spoil(event), reason, "transactions", partition, offsets[partition], received_at))
    return rows


def _make_event(number: int, at: datetime, product: tuple[str, str, str], random: Random) -> Payload:
    return {
        "transaction_id": f"tx-{number:08}",
        "timestamp": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "user_id": random.randrange(1, 2_000),
        "user_name": "Jo Doe",
        "transaction_type": "purchase",
        "product_id": product[0],
        "product_name": product[1],
        "product_category": product[2],
        "amount": round(random.uniform(5, 300), 2),
        "currency": "EUR",
        "payment_method": "credit_card",
        "country": "FR",
        "status": "completed",
        "customer_rating": random.randrange(1, 6),
    }
