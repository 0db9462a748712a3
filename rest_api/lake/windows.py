"""Where to look first for the first rows of an order: bounds that a few row groups lie within.

A page of the newest rows need not look at all rows. A bound is only a guess: whoever finds a whole page on this side of
it has the right one, since every row beyond it comes later; whoever does not, looks further.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

Group = tuple[int, Any, Any]
EXPECTED_ROWS = (50_000, 1_000_000)
_MEASURED = (int, float, Decimal, datetime)


def bounds(groups: Sequence[Group], start: Any, *, descending: bool) -> Iterator[Any]:
    """Bounds with about so many rows between them and `start` (None: the first row), nearest first.

    A group is its rows and its least and greatest value.
    """
    if any(not isinstance(value, _MEASURED) for _, *ends in groups for value in ends):
        return
    total = sum(rows for rows, _, _ in groups)
    ends = sorted({low if descending else high for _, low, high in groups}, reverse=descending)
    for expected in EXPECTED_ROWS:
        if expected * 4 > total:
            return
        found = next((end for end in ends if _between(groups, start, end, descending=descending) >= expected), None)
        if found is not None and found != ends[-1]:
            yield found


def _between(groups: Sequence[Group], start: Any, end: Any, *, descending: bool) -> float:
    return sum(rows * _share(low, high, start, end, descending=descending) for rows, low, high in groups)


def _share(low: Any, high: Any, start: Any, end: Any, *, descending: bool) -> float:
    """How much of a group's range lies between two values, as if its rows were spread evenly."""
    least, greatest = (end, start) if descending else (start, end)
    inner_low = low if least is None else max(low, least)
    inner_high = high if greatest is None else min(high, greatest)
    if inner_low > inner_high:
        return 0.0
    return 1.0 if low == high else float((inner_high - inner_low) / (high - low))
