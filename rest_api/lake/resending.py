"""What is sent of a transaction that is replayed: its row with a fresh time, its first one kept, and corrections."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rest_api.errors import Invalid, unknown
from rest_api.lake.replays import OF_REPLAYS, ORIGINAL_TIMESTAMP, REPLAY_ID, TIMESTAMP, Row, row_hash
from rest_api.lake.views import View
from rest_api.query.conditions import Column, ColumnType
from rest_api.query.values import from_json, wrong

DATASET = TOPIC = "transactions"
KEY = "transaction_id"
DEMANDED = (KEY, *OF_REPLAYS)
"""The columns without which a dataset takes no replays; none of them can be corrected."""


@dataclass(frozen=True)
class Resent:
    """A row on its way. `hash` is that of the row in the lake; None where it comes from the quarantine."""

    transaction_id: str
    hash: str | None
    row: Row
    first_at: Any
    """When it happened; None where nobody knows."""

    def at(self, now: datetime) -> Row:
        """The row as it is sent at a time."""
        sent = {**self.row, TIMESTAMP: now, ORIGINAL_TIMESTAMP: self.first_at or now}
        sent.pop(REPLAY_ID, None)
        return sent


def resend(stored: Row, corrections: Mapping[str, Any]) -> Resent:
    """A row of the lake, sent again."""
    first_at = stored.get(ORIGINAL_TIMESTAMP) or stored[TIMESTAMP]
    return Resent(stored[KEY], row_hash(stored), {**stored, **corrections}, first_at)


def resend_refused(payload: Row, received_at: datetime | None, corrections: Mapping[str, Any]) -> Resent:
    """An event that was refused, as its source sent it; where that gave it no time, it happened when it was received.

    A name that is no column stays: whoever refused it may have learnt of it meanwhile.
    """
    first_at = _time(payload.get(ORIGINAL_TIMESTAMP)) or _time(payload.get(TIMESTAMP)) or received_at
    return Resent(payload[KEY], None, {**payload, **corrections}, first_at)


def check_corrections(view: View, corrections: Mapping[str, Any]) -> None:
    """Raises Invalid for a column that is not seen, one that a replay itself sets, and a value of another type."""
    for name, value in corrections.items():
        if name not in view.by_name:
            raise unknown("column", name, [each for each in view.by_name if each not in DEMANDED])
        if name in DEMANDED:
            raise wrong(f"corrections.{name}", f"{name} cannot be corrected")
        if value is not None:
            _check_value(Column(name, view.by_name[name].type), value)


def _check_value(column: Column, value: Any) -> None:
    try:
        from_json(column, value)
    except Invalid as error:
        raise wrong(f"corrections.{column.name}", error.detail) from error


def _time(value: Any) -> datetime | None:
    try:
        found: datetime = from_json(Column(TIMESTAMP, ColumnType.TIMESTAMP), value)
    except Invalid:
        return None
    return found
