"""Shops that are made up: what they sell at this moment, and what comes wrong out of their tills."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

Event = dict[str, Any]


class Product(NamedTuple):
    """Something sold, and its price in euros."""

    id: str
    name: str
    category: str
    euros: float


class Market(NamedTuple):
    """A country, its currency, and what a euro is there."""

    country: str
    currency: str
    per_euro: float


PRODUCTS = (
    Product("s-001", "Garlic Press", "kitchen", 14.5),
    Product("s-002", "Bread Knife", "kitchen", 32.0),
    Product("s-003", "Field Notebook", "stationery", 6.9),
    Product("s-004", "Head Torch", "outdoor", 41.0),
    Product("s-005", "Picnic Blanket", "outdoor", 28.0),
    Product("s-006", "Watering Can", "garden", 19.5),
    Product("s-007", "Desk Lamp", "electronics", 57.0),
    Product("s-008", "Jigsaw of a Thousand Pieces", "toys", 17.0),
)
MARKETS = (
    Market("FR", "EUR", 1.0),
    Market("DE", "EUR", 1.0),
    Market("GB", "GBP", 0.86),
    Market("US", "USD", 1.09),
    Market("CH", "CHF", 0.95),
    Market("SE", "SEK", 11.4),
)
BUYERS = ("Ada Byron", "Bo Ek", "Chloé Petit", "Dev Rao", "Ewa Nowak", "Femi Ade", "Gil Roca", "Hana Sato")
METHODS = ("credit_card", "paypal", "mobile_wallet")


def _without(name: str) -> Callable[[Event], str]:
    return lambda event: json.dumps({each: value for each, value in event.items() if each != name})


def _with(name: str, value: object) -> Callable[[Event], str]:
    return lambda event: json.dumps({**event, name: value})


FAULTS: tuple[Callable[[Event], str], ...] = (
    _without("amount"),
    _without("product_id"),
    _with("currency", "XBT"),
    _with("amount", -9.99),
    _with("amount", "a lot"),
    _with("user_id", "u-1"),
    _with("customer_rating", 11),
    _with("timestamp", "just now"),
    _with("status", "vanished"),
    _with("till", 7),
    lambda event: json.dumps(event)[:-9],
)
"""What a till may get wrong."""


@dataclass(frozen=True)
class Sale:
    """A message of a till: its key, its text, and by which it is known when it comes again."""

    key: str
    text: str
    event_id: str


class Shops:
    """Sells at random, the same from the same seed; transactions are numbered within a run, in order."""

    def __init__(self, seed: int, run: str, corrupt: float) -> None:
        """`corrupt` is the share of messages that are wrong."""
        self._random = Random(seed)
        self._run = run
        self._corrupt = corrupt
        self._sold = 0

    def sell(self, at: datetime) -> Sale:
        """One more sale."""
        random = self._random
        self._sold += 1
        event = self._event(f"{self._run}-{self._sold:07}", at)
        fault, is_corrupt = random.choice(FAULTS), random.random() < self._corrupt
        text = fault(event) if is_corrupt else json.dumps(event)
        return Sale(str(event["transaction_id"]), text, UUID(int=random.getrandbits(128), version=4).hex)

    def _event(self, transaction_id: str, at: datetime) -> Event:
        random = self._random
        product, market = random.choice(PRODUCTS), random.choice(MARKETS)
        buyer = random.randrange(len(BUYERS))
        return {
            "transaction_id": transaction_id,
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "user_id": 900_001 + buyer,
            "user_name": BUYERS[buyer],
            "transaction_type": "purchase",
            "product_id": product.id,
            "product_name": product.name,
            "product_category": product.category,
            "amount": round(product.euros * market.per_euro * random.choice((1, 1, 1, 2, 3)), 2),
            "currency": market.currency,
            "payment_method": random.choice(METHODS),
            "country": market.country,
            "status": "completed",
            "customer_rating": random.choice((None, 3, 4, 5)),
        }
