"""JSON read strictly: what one reader may take for this and another for that is refused."""

import json
import re
from typing import Any, NoReturn

from rest_api.errors import Invalid

MAX_DEPTH = 64
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = re.compile(rb"[^\[\]{}]+")
_UNWANTED = re.compile(r"[\x00\ud800-\udfff]")
_UNWANTED_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def loads(data: bytes) -> Any:
    """The value in `data`.

    Raises Invalid for invalid UTF-8, a key given twice, NaN or Infinity, an integer beyond 64 bits, more than
    64 levels, NUL characters and lone surrogates.
    """
    _check_depth(data)
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer
        )
    except UnicodeDecodeError as error:
        raise Invalid("The body is not valid UTF-8") from error
    except json.JSONDecodeError as error:
        raise Invalid(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    # Raw NULs are refused by the parser; only an escape can bring one in.
    if _UNWANTED_ESCAPE.search(data):
        _check_texts(value)
    return value


def _check_depth(data: bytes) -> None:
    depth = 0
    for bracket in _NOT_BRACKETS.sub(b"", _STRINGS.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise Invalid(f"The body is nested more than {MAX_DEPTH} levels deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Invalid(f"The key {twice[:100]!r} is given twice")
    return value


def _constant(name: str) -> NoReturn:
    raise Invalid(f"{name} is not a JSON value")


def _integer(text: str) -> int:
    if len(text) > 20 or not _MIN_INTEGER <= int(text) <= _MAX_INTEGER:
        raise Invalid("An integer has at most 64 bits")
    return int(text)


def _check_texts(value: Any) -> None:
    if isinstance(value, str) and _UNWANTED.search(value):
        raise Invalid("A text holds a NUL character or half a surrogate pair")
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_texts(name)
            _check_texts(inner)
    if isinstance(value, list):
        for inner in value:
            _check_texts(inner)
