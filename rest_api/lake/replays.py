"""Events of the pipeline against what a table has: which of them are merged into it, and as which row.

The time of an event is that of its row; a replay gives a row a fresh one and keeps the first as `original_timestamp`,
which remains the event's own. So a replay never makes what came from the source look newer than it is.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson

TIMESTAMP, ORIGINAL_TIMESTAMP, REPLAY_ID = OF_REPLAYS = ("timestamp", "original_timestamp", "replay_id")
"""The columns that a replay changes; a table without them takes none."""
APPLIED, UNCHANGED, DIVERGED, QUARANTINED = OUTCOMES = ("applied", "unchanged", "diverged", "quarantined")
HASH_BYTES = 16
Row = Mapping[str, Any]
"""A row's values by column, as they are read: times with a zone, decimals, null as None."""


@dataclass(frozen=True)
class Replay:
    """What makes an event a replay: `hash` is that of the row it was made of, None where the lake had no such row."""

    id: str
    hash: str | None
    replayed_at: datetime


@dataclass(frozen=True)
class Decision:
    """What is to become of an event: its outcome and, where it is applied, the row to be stored."""

    outcome: str
    row: Row | None = None
    reason: str | None = None


def row_hash(row: Row) -> str:
    """32 hex digits that say what a row is, whichever replays it went through.

    The first half of SHA-256 over JSON in UTF-8 with sorted names and without spaces; what a replay changes and nulls
    are left out, numbers are written without trailing zeros, times in UTC with six decimals.
    """
    values = {name: _canonical(row[name]) for name in row if name not in OF_REPLAYS and row[name] is not None}
    written = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(written).digest()[:HASH_BYTES].hex()


def decide(stored: Row | None, row: Row, replay: Replay | None, time_column: str | None) -> Decision:
    """What becomes of an event whose key has the row `stored`; `time_column` tells which of two is newer."""
    if replay is not None:
        return _of_replay(stored, row, replay)
    if stored is None:
        return Decision(APPLIED, row)
    return _of_event(stored, row, time_column)


def _of_event(stored: Row, row: Row, time_column: str | None) -> Decision:
    """The newer one wins; of the same time the later one to come, unless the stored one went through a replay."""
    ours, theirs = _own_time(stored, time_column), _own_time(row, time_column)
    if ours is not None and theirs is not None and ours != theirs:
        return Decision(APPLIED, row) if theirs > ours else Decision(UNCHANGED, reason="a newer one is there")
    is_kept = stored.get(REPLAY_ID) is not None or row_hash(stored) == row_hash(row)
    return Decision(UNCHANGED) if is_kept else Decision(APPLIED, row)


def _of_replay(stored: Row | None, row: Row, replay: Replay) -> Decision:
    if stored is None:
        if replay.hash is None:
            return Decision(APPLIED, _replayed(row, row, replay))
        return Decision(DIVERGED, reason="the row is gone")
    now = row_hash(stored)
    if stored.get(REPLAY_ID) == replay.id or (_is_superseded(stored, replay) and now == row_hash(row)):
        return Decision(UNCHANGED)
    if replay.hash is None:
        return Decision(DIVERGED, reason="there is such a row meanwhile")
    if now != replay.hash or _is_superseded(stored, replay):
        return Decision(DIVERGED, reason="the row was changed meanwhile")
    return Decision(APPLIED, _replayed(row, stored, replay))


def _is_superseded(stored: Row, replay: Replay) -> bool:
    """Whether a later replay came before this one."""
    at = stored[TIMESTAMP]
    return stored.get(REPLAY_ID) is not None and at is not None and at >= replay.replayed_at


def _replayed(row: Row, first: Row, replay: Replay) -> Row:
    original = first.get(ORIGINAL_TIMESTAMP) or first[TIMESTAMP]
    return {**row, TIMESTAMP: replay.replayed_at, ORIGINAL_TIMESTAMP: original, REPLAY_ID: replay.id}


def _own_time(row: Row, time_column: str | None) -> datetime | None:
    """When an event happened, as its source says."""
    return None if time_column is None else row.get(ORIGINAL_TIMESTAMP) or row.get(time_column)


def _canonical(value: Any) -> Any:
    """A value as JSON that is the same however the number or time was read."""
    written = _WRITTEN.get(type(value))
    return value if written is None else written(value)


def _object(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _canonical(inner) for name, inner in value.items()}


def _array(value: Sequence[Any]) -> list[Any]:
    return [_canonical(inner) for inner in value]


def _moment(value: datetime) -> str:
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")


def _decimal(value: Decimal) -> str:
    if not value:
        return "0"
    written = format(value, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def _float(value: float) -> str:
    return _decimal(Decimal(repr(value)))


_WRITTEN: Mapping[type, Callable[[Any], Any]] = {
    dict: _object,
    list: _array,
    tuple: _array,
    int: str,
    float: _float,
    Decimal: _decimal,
    datetime: _moment,
    date: date.isoformat,
    bytes: bytes.hex,
}
