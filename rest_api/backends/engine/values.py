"""Values as an engine's parameters, each of the stored type that it is compared with."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

DECIMAL_DIGITS = 38


def converted(value: Any, stored: str) -> Any:
    """The value to bind. Times of columns without a zone are UTC; decimals too long for SQL become floats."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if "tz=" in stored else value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, Decimal):
        is_exact = stored.startswith("decimal") and _digits(value) <= DECIMAL_DIGITS
        return value if is_exact else float(value)
    return value


def _digits(value: Decimal) -> int:
    _, digits, exponent = value.as_tuple()
    return max(len(digits) + max(int(exponent), 0), -min(int(exponent), 0))
