"""Where replays take their rows from: a version of a dataset as somebody sees it, and only what he sees unmasked."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from rest_api.backends.lake import Lake
from rest_api.errors import Conflict, Forbidden, Invalid, NotFound
from rest_api.lake.events import quarantine_of
from rest_api.lake.grants import REPLAY, WRITE
from rest_api.lake.names import is_quarantine
from rest_api.lake.plain_rows import is_all_plain, plain_rows
from rest_api.lake.plans import Plan
from rest_api.lake.replays import TIMESTAMP, Row
from rest_api.lake.resending import DATASET, DEMANDED, KEY, Resent, check_corrections, resend, resend_refused
from rest_api.lake.views import View, view_of
from rest_api.query.conditions import Comparison, Condition, Order, Query, any_of
from rest_api.query.grammar import parse_json
from rest_api.query.strict_json import loads_exactly
from rest_api.services import writes
from rest_api.services.datasets import Asked, Datasets, Opened, telling_of_corruption
from rest_api.services.rights import Reader, grants_of

PAYLOAD, RECEIVED_AT = "payload", "received_at"


@dataclass(frozen=True)
class Wanted:
    """What shall be replayed: one transaction, or all that a filter in JSON leaves (None: all)."""

    transaction_id: str | None = None
    where: Any = None
    corrections: Mapping[str, Any] | None = None

    @property
    def needs_write(self) -> bool:
        """Whether it may change what others rely on, or takes more than one."""
        return self.transaction_id is None or bool(self.corrections)


@dataclass(frozen=True)
class Pin:
    """What was read when a replay was asked for: a version of a dataset, through a view."""

    dataset: str
    identity: str
    version: int
    view: str


@dataclass(frozen=True)
class Source:
    """Rows to be replayed: `plan` has them all, and shows them as they are stored."""

    wanted: Wanted
    opened: Opened
    plan: Plan
    rows: int

    @property
    def is_refused(self) -> bool:
        """Whether it is an event that never got into the dataset."""
        return is_quarantine(self.opened.snapshot.name)

    @property
    def pin(self) -> Pin:
        snapshot = self.opened.snapshot
        return Pin(snapshot.name, snapshot.identity, snapshot.version or 0, self.opened.view.fingerprint)


@dataclass(frozen=True)
class ReplaySources:
    """Finds rows in the lake."""

    datasets: Datasets
    lake: Lake

    def find(self, session: Session, reader: Reader, wanted: Wanted) -> Source:
        """What somebody wants replayed, in its newest version.

        Raises NotFound, Forbidden (`view_too_narrow` where he does not see all of a row), Conflict for a dataset that
        takes no replays, Invalid.
        """
        opened = self._opened(session, reader)
        if wanted.needs_write:
            _require_write(opened)
        with telling_of_corruption(opened.grants):
            if wanted.transaction_id is None:
                return self._many(opened, wanted)
            return self._one(session, reader, opened, wanted)

    def find_again(self, session: Session, reader: Reader, wanted: Wanted, pin: Pin) -> Source:
        """The same later. Raises Forbidden `policy_changed`, NotFound, Gone `version_gone`."""
        opened = self.datasets.open(session, reader, Asked(pin.dataset, REPLAY, version=pin.version))
        source = Source(wanted, opened, _plan(opened, wanted), 0)
        if source.pin != pin:
            raise _changed()
        return source

    def require_still(self, session: Session, reader: Reader, source: Source) -> None:
        """Raises Forbidden, NotFound unless somebody's grants of this moment let him replay what was read."""
        _require_same_view(session, reader, source.opened)
        opened = self.datasets.open(session, reader, Asked(DATASET, REPLAY))
        if source.wanted.needs_write:
            _require_write(opened)
        if source.is_refused and not is_all_plain(opened.snapshot, opened.view):
            raise _changed()

    def require_replayable(self, session: Session, reader: Reader, name: str) -> None:
        """Raises NotFound unless somebody may replay rows of a dataset, as if nothing of it had ever been."""
        try:
            self.datasets.open(session, reader, Asked(name, REPLAY))
        except (NotFound, Forbidden) as error:
            raise NotFound("There is no such replay") from error

    def rows(self, source: Source) -> Iterator[list[Resent]]:
        """What is to be sent, as many at once as the engine gives."""
        corrections = source.wanted.corrections or {}
        with telling_of_corruption(source.opened.grants):
            if source.is_refused:
                found = self._newest_refused(source.plan, source.wanted)
                yield [] if found is None else [resend_refused(*found, corrections)]
                return
            # As whoever merges them reads them: what is hashed must be the same.
            types = self.lake.writing.row_types(DATASET)
            for batch in self._batches(source.plan):
                yield [resend(row, corrections) for row in types.read((batch,))]

    def _opened(self, session: Session, reader: Reader) -> Opened:
        opened = self.datasets.open(session, reader, Asked(DATASET, REPLAY))
        target = writes.target_of(session, opened)
        names = {column.name for column in opened.snapshot.columns}
        if target.key != (KEY,) or not names.issuperset(DEMANDED):
            raise Conflict(f"Replays need a table with the key {KEY} and the columns {', '.join(DEMANDED[1:])}")
        return opened

    def _many(self, opened: Opened, wanted: Wanted) -> Source:
        plan = _plan(opened, wanted)
        return Source(wanted, opened, plan, self._seen(opened, plan))

    def _one(self, session: Session, reader: Reader, opened: Opened, wanted: Wanted) -> Source:
        check_corrections(opened.view, wanted.corrections or {})
        found = self._stored(opened, wanted) or self._refused(session, reader, opened, wanted)
        if found is None:
            raise NotFound("There is no such transaction")
        return found

    def _stored(self, opened: Opened, wanted: Wanted) -> Source | None:
        _require_legible(opened.view, KEY)
        plan = _plan(opened, wanted)
        return Source(wanted, opened, plan, 1) if self._seen(opened, plan) else None

    def _refused(self, session: Session, reader: Reader, opened: Opened, wanted: Wanted) -> Source | None:
        # Whether it is among the rows that he does not see is nothing that a verdict may tell him.
        if not is_all_plain(opened.snapshot, opened.view):
            return None
        try:
            quarantine = self.datasets.open(session, reader, Asked(quarantine_of(DATASET), REPLAY))
        except (NotFound, Forbidden):
            return None
        _require_legible(quarantine.view, PAYLOAD)
        plan = _plan(quarantine, wanted)
        if self._newest_refused(replace(plan, view=quarantine.view), wanted) is None:
            return None
        if plain_rows(quarantine.snapshot, quarantine.view) is None or self._newest_refused(plan, wanted) is None:
            raise _too_narrow()
        return Source(wanted, quarantine, plan, 1)

    def _newest_refused(self, plan: Plan, wanted: Wanted) -> tuple[Row, datetime | None] | None:
        for batch in self._batches(plan):
            for row in batch.to_pylist():
                payload = _payload(row[PAYLOAD])
                if payload is not None and payload.get(KEY) == wanted.transaction_id:
                    return payload, row.get(RECEIVED_AT)
        return None

    def _seen(self, opened: Opened, plan: Plan) -> int:
        """How many of a plan's rows somebody sees. Raises Forbidden where he does not see the whole of each."""
        seen = self._count(replace(plan, view=opened.view))
        if not seen or is_all_plain(opened.snapshot, opened.view):
            return seen
        if plain_rows(opened.snapshot, opened.view) is None or self._count(plan) < seen:
            raise _too_narrow()
        return seen

    def _count(self, plan: Plan) -> int:
        return self.lake.engine(plan).count(plan)

    def _batches(self, plan: Plan) -> Iterator[Any]:
        with closing(self.lake.engine(plan).batches(plan)) as batches:
            yield from batches


def _require_same_view(session: Session, reader: Reader, opened: Opened) -> None:
    snapshot = opened.snapshot
    covering = [grant for grant in grants_of(session, reader) if grant.covers(snapshot.name, snapshot.identity)]
    view = view_of(snapshot, [grant for grant in covering if grant.gives(REPLAY)])
    if view is None or view.fingerprint != opened.view.fingerprint:
        raise _changed()


def _plan(opened: Opened, wanted: Wanted) -> Plan:
    """Where the view has no plain rows there is nothing to show, and nobody was let come as far."""
    view = plain_rows(opened.snapshot, opened.view) or opened.view
    return Plan(opened.snapshot, view, _query(opened, wanted))


def _query(opened: Opened, wanted: Wanted) -> Query:
    if wanted.transaction_id is None:
        asked = parse_json({} if wanted.where is None else {"where": wanted.where}, opened.view.shape)
        return opened.view.everything(asked.where)
    if is_quarantine(opened.snapshot.name):
        return _newest_first(opened.view, RECEIVED_AT, _like(wanted.transaction_id))
    return _newest_first(opened.view, TIMESTAMP, Comparison(KEY, "eq", wanted.transaction_id))


def _newest_first(view: View, time: str, where: Condition) -> Query:
    times = [Order(time, descending=True)] if time in view.by_name else []
    return Query(where=where, order=(*times, *(Order(column.name, descending=True) for column in view.key)))


def _like(transaction_id: str) -> Condition:
    """What holds of payloads with an id, however its JSON is written; others that it holds of are passed over."""
    written = dict.fromkeys((json.dumps(transaction_id)[1:-1], json.dumps(transaction_id, ensure_ascii=False)[1:-1]))
    return any_of([Comparison(PAYLOAD, "like", f"*{each}*") for each in written])


def _payload(text: Any) -> dict[str, Any] | None:
    try:
        found = loads_exactly(text.encode()) if isinstance(text, str) else None
    except (Invalid, UnicodeEncodeError):
        return None
    return found if isinstance(found, dict) else None


def _require_legible(view: View, name: str) -> None:
    """A column that nobody's grants let him read in any row tells nothing of whether a row is there."""
    column = view.by_name.get(name)
    if column is None or column.alternatives[0].mask is not None:
        raise _too_narrow()


def _require_write(opened: Opened) -> None:
    if WRITE not in opened.privileges:
        raise Forbidden("Corrections, and replays of more than one transaction, need the privilege write as well")


def _too_narrow() -> Forbidden:
    return Forbidden("A replay needs every column of the row, unmasked", code="view_too_narrow")


def _changed() -> Forbidden:
    return Forbidden("Your rights have changed since the replay was asked for", code="policy_changed")
