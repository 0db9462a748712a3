"""100,000 transactions as they should be, with planted tastes; nothing in them depends on the clock."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any

from rest_api.demo.catalogue import COUNTRIES, TASTES, Country, Customer, Product, make_customers, make_products
from rest_api.demo.moments import make_moments
from rest_api.demo.randomness import cumulative, stream, zipf

TRANSACTIONS = 100_000
BY_TASTE = 0.6
"""Share of purchases that follow the customer's taste; the others follow what sells everywhere."""
AT_HOME = 0.94
TYPES = ("purchase", "subscription", "gift", "preorder")
STATUSES = ("completed", "pending", "failed", "refunded")
TYPE_WEIGHTS = cumulative((80, 9, 7, 4))
STATUS_WEIGHTS = cumulative((87, 6, 4, 3))
QUANTITY_WEIGHTS = cumulative((80, 14, 6))
LIKED, OTHER = cumulative((2, 3, 10, 35, 50)), cumulative((12, 22, 34, 22, 10))


@dataclass(frozen=True, slots=True)
class Transaction:
    """One row of the dataset `transactions`, columns in their order."""

    transaction_id: str
    timestamp: datetime
    user_id: int
    user_name: str
    transaction_type: str
    product_id: str
    product_name: str
    product_category: str
    amount: Decimal
    currency: str
    payment_method: str
    country: str
    status: str
    customer_rating: int | None
    original_timestamp: datetime | None = None
    replay_id: str | None = None


class Market:
    """Draws who buys, and what: by taste or by fame."""

    def __init__(self, seed: int) -> None:
        self.products = make_products(seed)
        self.customers = make_customers(seed)
        self._random = stream(seed, "market")
        self._zeal = cumulative([customer.zeal for customer in self.customers])
        self._fame = zipf(len(self.products), 0.9)
        self._pleasing = [[p for p in self.products if p.taste == taste] for taste in range(TASTES)]
        self._favour = [zipf(len(pleasing), 0.5) for pleasing in self._pleasing]

    def draw_customer(self) -> Customer:
        """Somebody, the keen ones more often."""
        return self._random.choices(self.customers, cum_weights=self._zeal)[0]

    def draw_product(self, taste: int) -> Product:
        """What somebody of that taste buys."""
        if self._random.random() < BY_TASTE:
            return self._random.choices(self._pleasing[taste], cum_weights=self._favour[taste])[0]
        return self._random.choices(self.products, cum_weights=self._fame)[0]


def make_transactions(seed: int, until: datetime, step: Callable[[int], Any]) -> list[Transaction]:
    """All rows by time, as they should be; `step` hears how many were made since it last did."""
    market, random = Market(seed), stream(seed, "transactions")
    rows = []
    for number, moment in enumerate(make_moments(seed, until, TRANSACTIONS), start=1):
        rows.append(_make_row(number, moment, market, random))
        if number % 2_000 == 0:
            step(2_000)
    return rows


def _make_row(number: int, moment: datetime, market: Market, random: Random) -> Transaction:
    customer = market.draw_customer()
    product = market.draw_product(customer.taste)
    country = customer.home if random.random() < AT_HOME else random.choice(COUNTRIES)
    status = random.choices(STATUSES, cum_weights=STATUS_WEIGHTS)[0]
    return Transaction(
        transaction_id=f"tx-{number:08}",
        timestamp=moment,
        user_id=customer.user_id,
        user_name=customer.name,
        transaction_type=random.choices(TYPES, cum_weights=TYPE_WEIGHTS)[0],
        product_id=product.product_id,
        product_name=product.name,
        product_category=product.category,
        amount=_amount(product, country, random),
        currency=country.currency,
        payment_method=random.choice(country.methods),
        country=country.code,
        status=status,
        customer_rating=_rating(status, random, is_liked=customer.taste == product.taste),
    )


def _amount(product: Product, country: Country, random: Random) -> Decimal:
    quantity = random.choices((1, 2, 3), cum_weights=QUANTITY_WEIGHTS)[0]
    price = product.euros * country.per_euro * random.uniform(0.9, 1.1) * quantity
    return Decimal(max(1, round(price * 100))).scaleb(-2)


def _rating(status: str, random: Random, *, is_liked: bool) -> int | None:
    # The draws are made whatever the status, so that one row never shifts the numbers of the next.
    chance, stars = random.random(), random.choices((1, 2, 3, 4, 5), cum_weights=LIKED if is_liked else OTHER)[0]
    return stars if status == "completed" and chance < 0.65 else None


def in_chunks(rows: list[Transaction], sizes: tuple[int, ...]) -> Iterator[list[Transaction]]:
    """The rows cut into consecutive pieces of those sizes."""
    begin = 0
    for size in sizes:
        yield rows[begin : begin + size]
        begin += size
