"""The one door of the pipeline: events are checked, the refused ones kept, the others merged by the dataset's key.

Two tables are committed to, the quarantine first, and no transaction spans both. Whoever is killed in between has not
been answered and sends the events again: then the refused ones are known, and the others are merged.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Engine as Database
from sqlalchemy.orm import Session

from rest_api.backends.delta import COMMIT_ATTEMPTS, Committed
from rest_api.backends.lake import Lake
from rest_api.backends.typed_rows import RowTypes
from rest_api.backends.writing import Moved, Stamp
from rest_api.errors import Conflict, FieldError, Invalid, Overloaded
from rest_api.lake.checks import MAX_EVENT_BYTES, OF_SOURCES, Check, checks_of, objections
from rest_api.lake.events import Event, Outcome, quarantine_of
from rest_api.lake.replays import OF_REPLAYS, QUARANTINED, TIMESTAMP, Decision, Row, decide
from rest_api.lake.snapshots import TABLE
from rest_api.query.conditions import And, Comparison, Condition
from rest_api.query.strict_json import loads_exactly
from rest_api.services import changes, verdicts
from rest_api.services.changes import Change, Intent
from rest_api.services.quarantine import Author, Quarantine, Refused
from rest_api.services.verdicts import Finding
from rest_api.services.writes import MERGE, Target, as_it_is, stored_rows

NOT_JSON = "the payload is not JSON"
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Accepted:
    """An event whose row may be merged."""

    event: Event
    row: Row


@dataclass(frozen=True)
class Ingested:
    """What became of events, in their order, and the version of the dataset that was written or looked at."""

    version: int | None
    outcomes: tuple[Outcome, ...]
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]

    def finish(self, session: Session) -> None:
        """End the changes and keep the verdicts of replays, in the session's transaction."""
        for change in self.changes:
            changes.finish(session, change)
        verdicts.record(session, self.findings)


@dataclass(frozen=True)
class _Merged:
    version: int | None
    decisions: Sequence[Decision]
    change: Change | None = None


@dataclass(frozen=True)
class Ingestion:
    """Takes events into tables."""

    database: Database
    lake: Lake

    def ingest(self, target: Target, events: Sequence[Event], author: Author) -> Ingested:
        """Merge events, or keep them in the quarantine; must not run in a transaction that writes (services/changes).

        Raises Conflict for a table without a key, Invalid where events are refused and there is no quarantine,
        Overloaded, Unavailable.
        """
        if not target.key:
            raise Conflict("Events are merged by the dataset's key, and it has none")
        types = self.lake.writing.row_types(target.name)
        judged = _judged(target, types, events)
        kept = self._keep(target, judged, author)
        accepted = [each for each in judged if isinstance(each, Accepted)]
        merged = [self._merge(target, types, run, author) for run in _runs(target, accepted)]
        outcomes = _outcomes(judged, [decision for each in merged for decision in each.decisions])
        done = tuple(change for change in (kept, *(each.change for each in merged)) if change is not None)
        return Ingested(merged[-1].version, outcomes, done, _findings(target, judged, outcomes, merged))

    def _keep(self, target: Target, judged: Sequence[Accepted | Refused], author: Author) -> Change | None:
        refused = [each for each in judged if isinstance(each, Refused)]
        if not refused:
            return None
        table = self.lake.catalog.snapshot(quarantine_of(target.name))
        if table is None or table.kind != TABLE:
            raise _invalid(judged)
        return Quarantine(self.database, self.lake).keep(table, refused, author)

    def _merge(self, target: Target, types: RowTypes, accepted: Sequence[Accepted], author: Author) -> _Merged:
        for _ in range(COMMIT_ATTEMPTS):
            with self.lake.writing.alone(target.name):
                now = as_it_is(self.lake.catalog, target)
                stored = self._stored(now, types, accepted)
                decisions, rows = _decided(now, accepted, stored)
                if not rows:
                    return _Merged(now.snapshot.version, decisions)
                try:
                    change = self._put(now, types, rows, author, is_new=rows.keys().isdisjoint(stored))
                except Moved:
                    continue  # somebody else changed the table: what was decided may not hold any more
                return _Merged(change.committed.version if change.committed else None, decisions, change)
        raise Overloaded("Others change the table all the time; try again", retry_after_seconds=1)

    def _stored(self, target: Target, types: RowTypes, accepted: Sequence[Accepted]) -> dict[Key, Row]:
        if not accepted:
            return {}
        keys = {_key(target, each.row) for each in accepted}
        found = stored_rows(self.lake, types, target.snapshot, _among(target, keys))
        return {_key(target, row): row for row in found}

    def _put(self, target: Target, types: RowTypes, rows: Mapping[Key, Row], author: Author, *, is_new: bool) -> Change:
        """Rows that are all new are appended: nothing that is there is written again."""
        writing, after = self.lake.writing, target.snapshot.version or 0
        key = () if is_new else target.key

        def commit(change: Change) -> Committed:
            return writing.put(target.name, file, key, Stamp(change.metadata), after=after)

        intent = Intent(target.name, MERGE, target.snapshot.identity, author.user_id, author.username, len(rows))
        with writing.staging() as folder:
            file = folder / "rows.parquet"
            types.write(list(rows.values()), file)
            return changes.carry_out(self.database, self.lake.catalog, intent, commit)


def _judged(target: Target, types: RowTypes, events: Sequence[Event]) -> list[Accepted | Refused]:
    names = frozenset(column.name for column in types.columns)
    checks = checks_of(target.name, names, target.key)
    read = [_read(event) for event in events]
    rows = iter(types.typed([each for each in read if not isinstance(each, str)]))
    found = (each if isinstance(each, str) else next(rows) for each in read)
    return [_judgement(event, each, checks) for event, each in zip(events, found, strict=True)]


def _judgement(event: Event, found: Row | str, checks: Sequence[Check]) -> Accepted | Refused:
    if isinstance(found, str):
        return Refused(event, _payload(event), found)
    wrong = "; ".join(objections(found, checks if event.replay else (*checks, *OF_SOURCES)))
    return Refused(event, _payload(event), wrong) if wrong else Accepted(event, found)


def _read(event: Event) -> Mapping[str, Any] | str:
    """The row of an event, or why it has none."""
    if len(_payload(event).encode()) > MAX_EVENT_BYTES:
        return f"the payload is larger than {MAX_EVENT_BYTES // 1024} KiB"
    if not isinstance(event.value, str):
        return event.value
    try:
        value = loads_exactly(event.value.encode())
    except Invalid as error:
        return NOT_JSON if "JSON" in error.detail else f"the payload: {error.detail}"
    return value if isinstance(value, dict) else "the payload is not a JSON object"


def _payload(event: Event) -> str:
    if isinstance(event.value, str):
        return event.value
    return orjson.dumps(event.value, default=lambda number: orjson.Fragment(str(number))).decode()


def _runs(target: Target, accepted: Sequence[Accepted]) -> list[list[Accepted]]:
    """Events by commits: after a replay of a key comes nothing of that key, so that some version has its row."""
    runs: list[list[Accepted]] = [[]]
    replayed: set[Key] = set()
    for each in accepted:
        key = _key(target, each.row)
        if key in replayed:
            runs.append([])
            replayed.clear()
        runs[-1].append(each)
        if each.event.replay is not None:
            replayed.add(key)
    return runs


def _decided(
    target: Target, accepted: Sequence[Accepted], stored: Mapping[Key, Row]
) -> tuple[list[Decision], dict[Key, Row]]:
    """What becomes of each event, one after the other, and the rows to be written in the end."""
    now, changed, decisions = dict(stored), {}, []
    for each in accepted:
        key = _key(target, each.row)
        decision = decide(now.get(key), each.row, each.event.replay, _time_column(target))
        if decision.row is not None:
            now[key] = changed[key] = decision.row
        decisions.append(decision)
    return decisions, changed


def _time_column(target: Target) -> str | None:
    names = {column.name for column in target.snapshot.columns}
    return TIMESTAMP if names.issuperset(OF_REPLAYS) else target.time_column


def _key(target: Target, row: Row) -> Key:
    return tuple(row[column] for column in target.key)


def _among(target: Target, keys: set[Key]) -> Condition:
    """What is true of every row that has one of the keys; of a key of several columns, of others too."""
    columns = [Comparison(name, "in", tuple({_spoken(key[at]) for key in keys})) for at, name in enumerate(target.key)]
    return columns[0] if len(columns) == 1 else And(tuple(columns))


def _spoken(value: Any) -> Any:
    """A value as conditions have it."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _outcomes(judged: Sequence[Accepted | Refused], decisions: Sequence[Decision]) -> tuple[Outcome, ...]:
    decided = iter(decisions)
    return tuple(
        Outcome(QUARANTINED, each.reason) if isinstance(each, Refused) else _outcome(next(decided)) for each in judged
    )


def _outcome(decision: Decision) -> Outcome:
    return Outcome(decision.outcome, decision.reason)


def _findings(
    target: Target, judged: Sequence[Accepted | Refused], outcomes: Sequence[Outcome], merged: Sequence[_Merged]
) -> tuple[Finding, ...]:
    versions = iter([each.version for each in merged for _ in each.decisions])
    found = []
    for each, outcome in zip(judged, outcomes, strict=True):
        version = next(versions) if isinstance(each, Accepted) else None
        replay = each.event.replay
        if replay is not None:
            found.append(Finding(replay.id, _named(target, each), replay.hash, outcome.name, outcome.reason, version))
    return tuple(found)


def _named(target: Target, judged: Accepted | Refused) -> str:
    """The key of a replayed event, in words."""
    row = judged.row if isinstance(judged, Accepted) else _read(judged.event)
    return "" if isinstance(row, str) else ",".join(str(row.get(column)) for column in target.key)


def _invalid(judged: Sequence[Accepted | Refused]) -> Invalid:
    errors = [
        FieldError(f"events.{number}", each.reason) for number, each in enumerate(judged) if isinstance(each, Refused)
    ]
    return Invalid(f"{errors[0].field}: {errors[0].detail}", errors=errors[:100])
