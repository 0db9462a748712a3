"""Rules for events, by the dataset that they are for, beside the types of its columns.

A rule holds where the table has the column. It says what is wrong with a value, or nothing.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rest_api.lake.currencies import CURRENCIES
from rest_api.lake.replays import ORIGINAL_TIMESTAMP, REPLAY_ID, Row

MAX_EVENT_BYTES = 256 * 1024
SHOWN_CHARACTERS = 40
STATUSES = frozenset(("completed", "pending", "failed", "refunded"))
MISSING = "is missing"


@dataclass(frozen=True)
class Check:
    """A rule for the values of a column."""

    column: str
    objection: Callable[[Any], str | None]


def given(column: str) -> Check:
    """Neither null nor an empty text."""
    return Check(column, lambda value: MISSING if value is None or value == "" else None)


def one_of(column: str, known: Collection[str], noun: str) -> Check:
    """Null, or one of the known ones."""
    return Check(
        column, lambda value: None if value is None or value in known else f"{shown(value)} is not a known {noun}"
    )


def not_negative(column: str) -> Check:
    """Null, zero or more."""
    return Check(column, lambda value: "must not be negative" if value is not None and value < 0 else None)


def within(column: str, low: int, high: int) -> Check:
    """Null, or from `low` to `high`."""
    return Check(
        column, lambda value: None if value is None or low <= value <= high else f"must be from {low} to {high}"
    )


def left_to_replays(column: str) -> Check:
    """Null, unless the event is a replay."""
    return Check(column, lambda value: None if value is None else "is given by replays only")


CHECKS: Mapping[str, tuple[Check, ...]] = {
    "transactions": (
        given("transaction_id"),
        given("timestamp"),
        given("user_id"),
        given("product_id"),
        given("amount"),
        not_negative("amount"),
        given("currency"),
        one_of("currency", CURRENCIES, "currency"),
        given("status"),
        one_of("status", STATUSES, "status"),
        within("customer_rating", 1, 5),
    ),
}
OF_SOURCES = (left_to_replays(ORIGINAL_TIMESTAMP), left_to_replays(REPLAY_ID))
"""What holds for every dataset's events, but not for replays."""


def checks_of(name: str, columns: Collection[str], key: Sequence[str]) -> tuple[Check, ...]:
    """The rules for a table's events; values of its key are always given."""
    wanted = (*map(given, key), *CHECKS.get(name, ()))
    return tuple(each for each in wanted if each.column in columns)


def objections(row: Row, checks: Sequence[Check]) -> Iterator[str]:
    """What is wrong with a row, such as `amount: must not be negative`; a column is named once."""
    named = set()
    for check in checks:
        said = None if check.column in named else check.objection(row.get(check.column))
        if said is not None:
            named.add(check.column)
            yield f"{check.column}: {said}"


def shown(value: Any) -> str:
    """A value in a reason, cut where it is long."""
    written = repr(str(value))
    return written if len(written) <= SHOWN_CHARACTERS else f"{written[:SHOWN_CHARACTERS]}…'"
