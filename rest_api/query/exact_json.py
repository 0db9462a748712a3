"""JSON as it is written: times in RFC 3339 with `Z`, decimals as numbers, digit for digit."""

from decimal import Decimal
from typing import Any

import orjson


def encode(value: Any) -> bytes:
    """The bytes of a JSON value."""
    return orjson.dumps(value, default=_number, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"{type(value).__name__} is not JSON")
