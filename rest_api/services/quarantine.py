"""Refused events, kept once each however often they come: payload, reason, and where they came from.

An event is known by its id or by its place in Kafka; one that has neither by its payload.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine as Database

from rest_api.backends.delta import Committed
from rest_api.backends.lake import Lake
from rest_api.backends.typed_rows import RowTypes
from rest_api.backends.writing import Stamp
from rest_api.database import utc_now
from rest_api.errors import Conflict
from rest_api.lake.events import Event
from rest_api.lake.replays import Row
from rest_api.lake.snapshots import Snapshot
from rest_api.query.conditions import And, Comparison, Condition, any_of
from rest_api.services import changes
from rest_api.services.changes import Change, Intent
from rest_api.services.writes import APPEND, stored_rows

PAYLOAD, REASON, EVENT_ID, ORIGIN = "payload", "reason", "event_id", ("topic", "partition", "offset")
Identity = tuple[str, Any, str]
"""By what an event is known: the kind, its value, and the payload, so that nobody takes another event's place."""


@dataclass(frozen=True)
class Refused:
    """An event that is not merged, as it came, and why."""

    event: Event
    payload: str
    reason: str


@dataclass(frozen=True)
class Author:
    """Who sends events."""

    user_id: int | None
    username: str


@dataclass(frozen=True)
class Quarantine:
    """The tables of refused events."""

    database: Database
    lake: Lake

    def keep(self, table: Snapshot, refused: Sequence[Refused], author: Author) -> Change | None:
        """Add those that are not there yet; None where all are. Raises Conflict, Overloaded, Unavailable."""
        types = self.lake.writing.row_types(table.name)
        rows = self._rows(types, refused)
        with self.lake.writing.alone(table.name):
            new = self._unknown(types, table.name, rows)
            return self._append(types, table, new, author) if new else None

    def _rows(self, types: RowTypes, refused: Sequence[Refused]) -> list[Row]:
        """The rows of refused events, as far as the table has columns for them. Raises Conflict."""
        names = {column.name for column in types.columns}
        given = [{name: value for name, value in _row(each).items() if name in names} for each in refused]
        rows = [row for row in types.typed(given) if not isinstance(row, str)]
        if len(rows) < len(refused) or not names >= {PAYLOAD, REASON}:
            raise Conflict("The quarantine does not take refused events: its columns are others")
        return rows

    def _unknown(self, types: RowTypes, name: str, rows: Sequence[Row]) -> list[Row]:
        table = self.lake.catalog.snapshot(name)
        if table is None:
            raise Conflict("The table was replaced meanwhile")
        identities = [_identities(row) for row in rows]
        seen = self._stored(types, table, frozenset().union(*identities))
        new = []
        for row, own in zip(rows, identities, strict=True):
            if not own & seen:
                new.append(row)
            seen |= own
        return new

    def _stored(self, types: RowTypes, table: Snapshot, wanted: frozenset[Identity]) -> frozenset[Identity]:
        """Those of the identities that the table has."""
        rows = stored_rows(self.lake, types, table, any_of(list(_conditions(wanted))))
        return wanted & {identity for row in rows for identity in _all_identities(row)}

    def _append(self, types: RowTypes, table: Snapshot, rows: Sequence[Row], author: Author) -> Change:
        def commit(change: Change) -> Committed:
            return self.lake.writing.append(table.name, file, Stamp(change.metadata))

        intent = Intent(table.name, APPEND, table.identity, author.user_id, author.username, len(rows))
        with self.lake.writing.staging() as folder:
            file = folder / "rows.parquet"
            types.write(rows, file)
            return changes.carry_out(self.database, self.lake.catalog, intent, commit)


def _row(refused: Refused) -> Row:
    origin = refused.event.origin
    return {
        PAYLOAD: refused.payload,
        REASON: refused.reason,
        **(vars(origin) if origin else {}),
        "received_at": utc_now().isoformat(timespec="microseconds"),
        EVENT_ID: refused.event.id,
    }


def _identities(row: Row) -> frozenset[Identity]:
    """By what an event is known when it comes again: by its payload alone only where nothing else is told of it."""
    found = frozenset(_all_identities(row))
    told = frozenset(each for each in found if each[0] != PAYLOAD)
    return told or found


def _all_identities(row: Row) -> Iterator[Identity]:
    place = tuple(row.get(name) for name in ORIGIN)
    yield PAYLOAD, None, row[PAYLOAD]
    if row.get(EVENT_ID) is not None:
        yield EVENT_ID, row[EVENT_ID], row[PAYLOAD]
    if None not in place:
        yield "origin", place, row[PAYLOAD]


def _conditions(wanted: frozenset[Identity]) -> Iterator[Condition]:
    """What is true of every row that has one of the identities, and of others."""
    ids = tuple(value for kind, value, _ in wanted if kind == EVENT_ID)
    payloads = tuple(payload for kind, _, payload in wanted if kind == PAYLOAD)
    places = [value for kind, value, _ in wanted if kind == "origin"]
    yield from (Comparison(name, "in", found) for name, found in ((EVENT_ID, ids), (PAYLOAD, payloads)) if found)
    for topic, partition in sorted({place[:2] for place in places}):
        offsets = tuple(offset for *rest, offset in places if rest == [topic, partition])
        named = {"topic": (topic,), "partition": (partition,), "offset": offsets}
        yield And(tuple(Comparison(name, "in", values) for name, values in named.items()))
