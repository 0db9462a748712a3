"""JSON as it is written: times in RFC 3339 with `Z`, decimals as numbers, digit for digit, bytes in Base64."""

import base64
from decimal import Decimal
from typing import Any

import orjson


def encode(value: Any) -> bytes:
    """The bytes of a JSON value."""
    return orjson.dumps(value, default=_written, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def _written(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} is not JSON")
