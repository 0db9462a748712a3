"""Values as text or JSON, read as the type of their column."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rest_api.errors import FieldError, Invalid
from rest_api.query.conditions import MAX_CHARACTERS, Column, ColumnType

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = re.compile(r"[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TEXTUAL = (ColumnType.TEXT, ColumnType.TIMESTAMP, ColumnType.NUMBER)


def from_text(column: Column, text: str) -> Any:
    """A value written in a URL. Raises Invalid saying what the column takes."""
    try:
        return _READERS[column.type](text)
    except (ValueError, OverflowError) as error:
        raise wrong_value(column, _EXPECTED[column.type]) from error


def from_json(column: Column, value: Any) -> Any:
    """A value written in JSON; decimals may be texts, to keep every digit. Raises Invalid."""
    kind = column.type
    if kind is ColumnType.BOOLEAN and isinstance(value, bool):
        return value
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if (kind is ColumnType.INTEGER and is_whole) or (kind in _TEXTUAL and isinstance(value, str)):
        return from_text(column, str(value))
    if kind is ColumnType.NUMBER and (is_whole or isinstance(value, float)):
        return from_text(column, repr(value))
    raise wrong_value(column, _EXPECTED[kind])


def wrong_value(column: Column, why: str) -> Invalid:
    """The refusal of what a column cannot be compared with."""
    return wrong(column.name, f"{column.name} {why}")


def wrong(field: str, detail: str) -> Invalid:
    """The refusal of one parameter or member."""
    return Invalid(detail, errors=[FieldError(field, detail)])


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not MIN_INTEGER <= int(text) <= MAX_INTEGER:
        raise ValueError
    return int(text)


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return Decimal(text)


def _text(text: str) -> str:
    if len(text) > MAX_CHARACTERS or _UNSTORABLE.search(text):
        raise ValueError
    return text


def _timestamp(text: str) -> datetime:
    date, clock = text[:10], text[10:]
    if not _DATE.fullmatch(date) or (clock and not _CLOCK.fullmatch(clock)):
        raise ValueError
    return datetime.fromisoformat(f"{date}{clock.upper() or 'T00:00:00Z'}").astimezone(UTC)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _nothing(_text: str) -> Any:
    raise ValueError


_READERS: dict[ColumnType, Callable[[str], Any]] = {
    ColumnType.INTEGER: _integer,
    ColumnType.NUMBER: _number,
    ColumnType.TEXT: _text,
    ColumnType.TIMESTAMP: _timestamp,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.JSON: _nothing,
    ColumnType.ANY: _text,
}
_EXPECTED = {
    ColumnType.INTEGER: "takes a whole number of at most 64 bits",
    ColumnType.NUMBER: "takes a number such as 12.5",
    ColumnType.TEXT: f"takes a text of at most {MAX_CHARACTERS:,} characters, without NUL",
    ColumnType.TIMESTAMP: "takes a time such as 2026-11-01T12:00:00Z (+ is written %2B), or a date (midnight UTC)",
    ColumnType.BOOLEAN: "takes true or false",
    ColumnType.JSON: "takes is.null only",
    ColumnType.ANY: f"takes a text of at most {MAX_CHARACTERS:,} characters, without NUL",
}
