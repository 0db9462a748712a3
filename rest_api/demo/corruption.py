"""Rows that pass validation and are wrong all the same, with labels that say how."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from rest_api.demo.catalogue import COUNTRIES, SHELVES
from rest_api.demo.purchases import Transaction
from rest_api.demo.randomness import stream

CORRUPT = 1_000


@dataclass(frozen=True, slots=True)
class Label:
    """One row of `transactions_labels`: which transaction is corrupt, how, where, and what would be true."""

    transaction_id: str
    corruption: str
    column_name: str
    true_value: str


Corruption = Callable[[Transaction, Random], Transaction]


def _amount_times_100(row: Transaction, _random: Random) -> Transaction:
    return replace(row, amount=row.amount * 100)


def _currency_of_another_country(row: Transaction, random: Random) -> Transaction:
    foreign = sorted({country.currency for country in COUNTRIES} - {row.currency})
    return replace(row, currency=random.choice(foreign))


def _category_of_another_product(row: Transaction, random: Random) -> Transaction:
    others = [category for category, *_ in SHELVES if category != row.product_category]
    return replace(row, product_category=random.choice(others))


def _name_turned_round(row: Transaction, _random: Random) -> Transaction:
    first, last = row.user_name.split(" ", 1)
    return replace(row, user_name=f"{last} {first}")


def _rating_inverted(row: Transaction, _random: Random) -> Transaction:
    return replace(row, customer_rating=6 - (row.customer_rating or 3))


CORRUPTIONS: dict[str, tuple[str, Corruption]] = {
    "amount_times_100": ("amount", _amount_times_100),
    "currency_of_another_country": ("currency", _currency_of_another_country),
    "category_of_another_product": ("product_category", _category_of_another_product),
    "name_turned_round": ("user_name", _name_turned_round),
    "rating_inverted": ("customer_rating", _rating_inverted),
}


def corrupt(rows: list[Transaction], seed: int) -> tuple[list[Transaction], list[Label]]:
    """The rows with 1,000 of them made wrong, and one label for each of these."""
    random = stream(seed, "corruption")
    changed, labels = list(rows), []
    for index in sorted(random.sample(range(len(rows)), CORRUPT)):
        kind = random.choice([name for name in CORRUPTIONS if _is_possible(name, rows[index])])
        column, change = CORRUPTIONS[kind]
        changed[index] = change(rows[index], random)
        labels.append(Label(rows[index].transaction_id, kind, column, str(getattr(rows[index], column))))
    return changed, labels


def _is_possible(kind: str, row: Transaction) -> bool:
    if kind == "rating_inverted":
        return row.customer_rating not in (None, 3)
    # Some people's two names are the same.
    return kind != "name_turned_round" or len(set(row.user_name.split(" ", 1))) == 2
