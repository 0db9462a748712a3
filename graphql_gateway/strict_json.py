"""JSON read strictly: what one reader may take for this and another for that is refused."""

import json
from typing import Any, NoReturn

import orjson

from graphql_gateway.errors import Malformed, TooLarge
from graphql_gateway.exact_json import number

MAX_DEPTH = 64
# A megabyte of empty lists is half a second of work; a thousand rows of twenty columns are within this.
MAX_VALUES = 30_000
MAX_INTEGER_CHARACTERS = 20


def loads(data: bytes, what: str) -> Any:
    """The value in `data`; `what` names it in the refusal.

    Raises Malformed for what is not JSON in UTF-8, half a surrogate pair, NaN and Infinity, a key given twice, an
    integer beyond 64 bits and more than 64 levels; TooLarge for more than 30,000 values.
    """
    if _has_too_many_values(data):
        raise TooLarge(f"{what} has more than {MAX_VALUES} values")
    try:
        # The strict grammar is orjson's; it alone refuses lone surrogates, but it takes the last of repeated keys.
        orjson.loads(data)
        value = _DECODER.decode(data.decode())
    except orjson.JSONDecodeError as error:
        raise Malformed(f"{what} is not JSON: {error.msg}") from error
    except (_Refused, RecursionError) as error:
        raise Malformed(f"{what} {str(error) if isinstance(error, _Refused) else _TOO_DEEP}") from error
    if _is_too_deep(value):
        raise Malformed(f"{what} {_TOO_DEEP}")
    return value


class _Refused(Exception):
    """JSON that is well-formed, yet refused."""


_TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _Refused("has an object with the same key twice")
    return value


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_CHARACTERS or not -(2**63) <= (value := int(text)) < 2**63:
        raise _Refused("has an integer of more than 64 bits")
    return value


def _constant(_name: str) -> NoReturn:
    raise _Refused("has a number that is not JSON")


def _has_too_many_values(data: bytes) -> bool:
    """Whether there are more values than are worth reading, told without reading them."""
    if _values(data) <= MAX_VALUES:
        return False
    pieces = data.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"', MAX_VALUES * 4)
    return len(pieces) > MAX_VALUES * 4 or _values(b"".join(pieces[::2])) > MAX_VALUES


def _values(data: bytes) -> int:
    """About how many values there are in JSON without texts; more where there are texts."""
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for each in level for inner in _inner(each)]
        if not level:
            return False
    return True


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=number, parse_int=_integer, parse_constant=_constant)
