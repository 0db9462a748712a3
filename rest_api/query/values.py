"""Values as text or JSON, read as the type of their column."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from rest_api.errors import FieldError, Invalid
from rest_api.query.conditions import Column, ColumnType

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1
MAX_TEXT_CHARACTERS = 10_000
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2}))?")


def from_text(column: Column, text: str) -> Any:
    """A value written in a URL. Raises Invalid saying what the column takes."""
    try:
        return _FROM_TEXT[column.type](text)
    except (ValueError, InvalidOperation, OverflowError) as error:
        raise wrong_value(column, str(error)) from error


def from_json(column: Column, value: Any) -> Any:
    """A value written in JSON. Raises Invalid saying what the column takes."""
    if column.type is ColumnType.BOOLEAN and isinstance(value, bool):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if column.type in (ColumnType.INTEGER, ColumnType.NUMBER) and is_number:
        return from_text(column, repr(value))
    if column.type in (ColumnType.TEXT, ColumnType.TIMESTAMP) and isinstance(value, str):
        return from_text(column, value)
    raise wrong_value(column, f"takes a {column.type.value}")


def wrong_value(column: Column, why: str) -> Invalid:
    """The refusal of a value that the column cannot have."""
    detail = f"{column.name} {why}"
    return Invalid(detail, errors=[FieldError(column.name, detail)])


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not MIN_INTEGER <= int(text) <= MAX_INTEGER:
        raise ValueError("takes a whole number of at most 64 bits")
    return int(text)


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError("takes a number such as 12.5")
    return Decimal(text)


def _text(text: str) -> str:
    if "\x00" in text or "\ufffd" in text:
        raise ValueError("takes a text without NUL and in valid UTF-8")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ValueError(f"takes a text of at most {MAX_TEXT_CHARACTERS:,} characters")
    return text


def _timestamp(text: str) -> datetime:
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError("takes a time such as 2026-11-01T12:00:00Z, or a date (midnight UTC)")
    if len(text) == len("2026-11-01"):
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("takes true or false")
    return text == "true"


def _nothing(_text: str) -> Any:
    raise ValueError("takes is.null only")


_FROM_TEXT: dict[ColumnType, Callable[[str], Any]] = {
    ColumnType.INTEGER: _integer,
    ColumnType.NUMBER: _number,
    ColumnType.TEXT: _text,
    ColumnType.TIMESTAMP: _timestamp,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.JSON: _nothing,
}
