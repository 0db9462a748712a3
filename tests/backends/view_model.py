"""What a view means, in plain Python: the model that every engine is held to."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rest_api.lake.grants import Grant, strength
from rest_api.lake.views import raw_shape, read_filter
from rest_api.query.conditions import ColumnType
from tests.query.model import Row, holds

KEY = b"a key that masks values of this lake"


def seen(rows: Sequence[Row], grants: Sequence[Grant], columns: Any) -> list[Row]:
    """The rows that grants admit, with the values that they give."""
    types = {column.name: column.type for column in columns}
    filters = {id(grant): _condition(grant, columns) for grant in grants}
    found = []
    for row in rows:
        admitting = [grant for grant in grants if filters[id(grant)] is None or holds(filters[id(grant)], row) is True]
        if admitting:
            found.append({name: _value(row, name, admitting, grants, types) for name in _visible(grants, types)})
    return found


def _condition(grant: Grant, columns: Any) -> Any:
    return None if grant.filter is None else read_filter(grant.filter, raw_shape("", columns))


def _visible(grants: Sequence[Grant], types: dict[str, ColumnType]) -> list[str]:
    return [name for name in types if any(_gives(grant, name) for grant in grants)]


def _gives(grant: Grant, name: str) -> bool:
    return grant.columns is None or name in grant.columns


def _value(
    row: Row, name: str, admitting: Sequence[Grant], grants: Sequence[Grant], types: dict[str, ColumnType]
) -> Any:
    masks = [grant.masks.get(name) for grant in admitting if _gives(grant, name)]
    if not masks or row[name] is None:
        return None
    mask = min(masks, key=strength)
    if mask == "null":
        return None
    value = masked(row[name], mask)
    kinds = {_kind(each, types[name]) for each in _reachable(name, grants)} - {None}
    return spoken(value) if len(kinds) > 1 else value


def _reachable(name: str, grants: Sequence[Grant]) -> list[str | None]:
    """The masks that some row could show, as far as can be told without looking at rows."""
    tried: set[str | None] = set()
    found: list[str | None] = []
    for mask in sorted({grant.masks.get(name) for grant in grants if _gives(grant, name)}, key=strength):
        if None in tried or tried == {grant.filter for grant in grants}:
            break
        found.append(mask)
        tried |= {grant.filter for grant in grants if _gives(grant, name) and grant.masks.get(name) == mask}
    return found


def _kind(mask: str | None, kind: ColumnType) -> ColumnType | None:
    if mask == "null":
        return None
    return {"hash": ColumnType.TEXT, "last4": ColumnType.TEXT, "year": ColumnType.INTEGER}.get(mask or "", kind)


def masked(value: Any, mask: str | None) -> Any:
    """A value under a mask."""
    if mask is None:
        return value
    if mask == "year":
        return value.year
    text = spoken(value)
    if mask == "last4":
        return text[-4:] if len(text) >= 8 else None
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()[:16]


def spoken(value: Any) -> Any:
    """A value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return None if value is None else str(value)
