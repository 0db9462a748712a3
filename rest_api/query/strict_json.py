"""JSON read strictly: what one reader may take for this and another for that is refused."""

import json
import math
import re
from collections import Counter
from decimal import Decimal
from typing import Any, NoReturn

from rest_api.errors import Invalid

MAX_DEPTH = 64
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_MAX_DIGITS = 20
_MAX_CHARACTERS, _MAX_EXPONENT = 400, 400
# Possessive, and the last quote optional: an unfinished string is read once, not from each of its quotes.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SUSPICIOUS_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def loads(data: bytes) -> Any:
    """The value in `data`.

    Raises Invalid for what is not JSON in UTF-8, a key given twice, NaN or Infinity, an integer beyond 64 bits, a
    number beyond a double, more than 64 levels, NUL characters and lone surrogates.
    """
    return _read(data, _DECODER)


def loads_exactly(data: bytes) -> Any:
    """As `loads`, with every number that has a fraction or an exponent as a Decimal of all its digits."""
    return _read(data, _EXACT_DECODER)


def _read(data: bytes, decoder: json.JSONDecoder) -> Any:
    _check_depth(data)
    try:
        value = decoder.decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Invalid("The body is not valid UTF-8") from error
    except json.JSONDecodeError as error:
        raise Invalid(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise _too_deep() from error
    # The parser refuses a bare NUL, the decoding a bare surrogate; only escapes can bring them in.
    if _SUSPICIOUS_ESCAPE.search(data):
        _check_texts(value)
    return value


def _check_depth(data: bytes) -> None:
    """Raises Invalid for well-formed JSON nested too deep; what is not well-formed is left to the parser.

    Each round takes the innermost level away, so that the work is done by a few searches over the bytes.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRING.sub(b"", data).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        left = brackets.replace(b"[]", b"")
        if len(left) == len(brackets):
            return
        brackets = left
    if brackets:
        raise _too_deep()


def _too_deep() -> Invalid:
    return Invalid(f"The body is nested more than {MAX_DEPTH} levels deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise Invalid(f"The key {_first_repeated(pairs)[:100]!r} is given twice")
    return value


def _first_repeated(pairs: list[tuple[str, Any]]) -> str:
    counts = Counter(name for name, _ in pairs)
    return next(name for name, count in counts.items() if count > 1)


def _constant(name: str) -> NoReturn:
    raise Invalid(f"{name} is not a JSON value")


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS or not _MIN_INTEGER <= (value := int(text)) <= _MAX_INTEGER:
        raise Invalid("An integer has at most 64 bits")
    return value


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Invalid("A number is beyond what a double can hold")
    return value


def _decimal(text: str) -> Decimal:
    _float(text)
    value = Decimal(text) if len(text) <= _MAX_CHARACTERS else None
    # Arrow does not survive what is written as 1e-999999999.
    if value is None or abs(value.adjusted()) > _MAX_EXPONENT:
        raise Invalid("A number is beyond what a double can hold")
    return value


def _check_texts(value: Any) -> None:
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, str) and _UNSTORABLE.search(inner):
            raise Invalid("A text holds a NUL character or half a surrogate pair")
        if isinstance(inner, dict):
            waiting += [*inner, *inner.values()]
        elif isinstance(inner, list):
            waiting += inner


_DECODER, _EXACT_DECODER = (
    json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=parse_float)
    for parse_float in (_float, _decimal)
)
