"""Which files cannot hold a row that a condition is true of, by the ranges that the log gives of their columns."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rest_api.lake.snapshots import DataFile
from rest_api.lake.views import View
from rest_api.query.conditions import And, Comparison, Condition, Or

Numbered = tuple[int, DataFile]
# A log writes numbers as floating ones: of a float32 seven digits are sure, of a decimal fifteen.
_FLOAT_SLACK, _DECIMAL_SLACK = 1e-6, Decimal("1e-14")


def relevant(files: Sequence[DataFile], view: View, where: Condition | None) -> list[Numbered]:
    """The files, with their places, that may hold rows of the view where `where` holds."""
    plain = frozenset(column.name for column in view.columns if column.is_plain)
    stored = frozenset(name for file in files for name in (*file.ranges, *file.partition))
    return [
        (place, file)
        for place, file in enumerate(files)
        if _may_hold(view.admission, file, stored) and _may_hold(where, file, plain)
    ]


def _may_hold(condition: Condition | None, file: DataFile, known: frozenset[str]) -> bool:
    if isinstance(condition, And):
        return all(_may_hold(member, file, known) for member in condition.conditions)
    if isinstance(condition, Or):
        return any(_may_hold(member, file, known) for member in condition.conditions)
    if not isinstance(condition, Comparison) or condition.column not in known:
        return True
    ends = _ends(file, condition.column)
    if ends is None:
        return True
    try:
        return _overlaps(condition, *ends)
    except TypeError:
        return True


def _ends(file: DataFile, column: str) -> tuple[Any, Any] | None:
    if column in file.partition:
        value = file.partition[column]
        return None if value is None else _widened(value, value)
    found = file.ranges.get(column)
    return None if found is None else _widened(*found)


def _widened(low: Any, high: Any) -> tuple[Any, Any]:
    """Ends that no value lies beyond. NaN is greater than all numbers, and no log tells of it."""
    if isinstance(low, float):
        return low - abs(low) * _FLOAT_SLACK, math.inf
    if isinstance(low, Decimal):
        return low - abs(low) * _DECIMAL_SLACK, high + abs(high) * _DECIMAL_SLACK
    return low, high


def _overlaps(comparison: Comparison, low: Any, high: Any) -> bool:
    op, value = comparison.op, comparison.value
    if op == "eq":
        return bool(low <= value <= high)
    if op == "in":
        return any(low <= each <= high for each in value)
    if op in ("gt", "gte"):
        return bool(high >= value)
    return bool(low <= value) if op in ("lt", "lte") else True
