"""JSON whose numbers keep all their digits, read and written."""

import json
from decimal import Decimal
from typing import Any

import orjson

# With so many places a decimal is written out; of any more, the exponent says it shorter.
MAX_PLACES = 100
_LONGEST_SAFE = 18


def loads(data: bytes) -> Any:
    """The value in JSON that the core has written. Raises ValueError for what is not JSON."""
    return _DECODER.decode(data.decode())


def dumps(value: Any) -> bytes:
    """A value as JSON, decimals as numbers of all their digits. Raises TypeError for what JSON has no form for."""
    return orjson.dumps(value, default=_written)


def number(text: str) -> float | Decimal:
    """The number in a text with a fraction or an exponent: a double where that is written with the same digits."""
    double = float(text)
    return double if repr(double) == text else Decimal(text)


def whole(text: str) -> int | Decimal:
    """The number in a text of digits alone; a decimal beyond 64 bits, where integers end in JSON writers."""
    if len(text) > _LONGEST_SAFE and not -(2**63) <= Decimal(text) < 2**63:
        return Decimal(text)
    return int(text)


def _written(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(_digits(value))
    raise TypeError(f"{type(value).__name__} is not JSON")


def _digits(value: Decimal) -> str:
    places = value.as_tuple().exponent
    return format(value, "f") if isinstance(places, int) and -MAX_PLACES <= places <= 0 else str(value)


_DECODER = json.JSONDecoder(parse_float=number, parse_int=whole)
