"""Verdicts proved from the lake: a replayed transaction has matched when its row there has the replay's id."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta

from prometheus_client import Counter
from sqlalchemy import Engine as Database
from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import Session

from rest_api.backends.lake import Lake
from rest_api.database import READ_ONLY, utc_now
from rest_api.errors import Gone, NotFound
from rest_api.lake.plans import Plan
from rest_api.lake.replays import REPLAY_ID, row_hash
from rest_api.lake.resending import DATASET, KEY
from rest_api.lake.snapshots import Snapshot
from rest_api.lake.views import view_of
from rest_api.models.job import UNFINISHED, Job
from rest_api.models.pipeline_message import PipelineMessage
from rest_api.models.replay import MATCHED, MISSING, PENDING, Replay, ReplayEvent
from rest_api.query.conditions import And, Comparison, Not
from rest_api.services import replays
from rest_api.services.rights import OF_ADMINISTRATORS
from rest_api.services.writes import stored_rows

MISSING_AFTER = timedelta(minutes=10)
"""How long after a message was sent the lake may have nothing of it yet."""
LOOKED_AT = timedelta(days=7)
"""How long after its beginning a replay is looked at, if not everything of it was found out before."""
MOST_ALIKE = 1_000
LEAST_SECONDS, MOST_SECONDS = 0.2, 60.0
SHARE_OF_AGE, SHARE_OF_WORK = 20, 4
"""A replay is looked at the less often the older it is, and the longer a look takes."""


@dataclass(frozen=True)
class Proofs:
    """Looks at replays that are not settled. What it finds is kept, so that it holds whatever becomes of the row."""

    database: Database
    lake: Lake
    counter: Counter
    missing_after: timedelta = MISSING_AFTER
    due_at: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """Look at every replay that is due. Raises Refusal, SQLAlchemyError."""
        unsettled = self._unsettled()
        for replay in unsettled:
            if self.due_at.get(replay.id, 0) <= time.monotonic():
                self._look_at(replay)
        for forgotten in self.due_at.keys() - {replay.id for replay in unsettled}:
            del self.due_at[forgotten]

    def prove(self, replay: Replay) -> None:
        """Find out what can be known of a replay now."""
        snapshot = self.lake.catalog.snapshot(DATASET)
        if snapshot is not None:
            self._match(replay, snapshot)
            for version in self._overtaken(replay, snapshot):
                self._match_in(replay, version)
            self._match_alike(replay, snapshot)
        self._miss(replay)
        self._settle(replay)

    def _look_at(self, replay: Replay) -> None:
        begun_at = time.monotonic()
        self.prove(replay)
        ended_at = time.monotonic()
        age = (utc_now() - replay.created_at).total_seconds()
        wanted = max(LEAST_SECONDS, age / SHARE_OF_AGE, (ended_at - begun_at) * SHARE_OF_WORK)
        self.due_at[replay.id] = ended_at + min(wanted, MOST_SECONDS)

    def _unsettled(self) -> list[Replay]:
        is_open = (Replay.settled_at.is_(None), Replay.created_at > utc_now() - LOOKED_AT)
        with self._reading() as session:
            return list(session.scalars(select(Replay).where(*is_open).order_by(Replay.created_at)))

    def _match(self, replay: Replay, snapshot: Snapshot) -> None:
        for ids in self._replayed(snapshot, replay.id):
            self._keep(replay, ids)

    def _overtaken(self, replay: Replay, snapshot: Snapshot) -> list[int]:
        """Versions that had rows which something newer has changed since, before they were looked at."""
        left = select(ReplayEvent.version).where(ReplayEvent.replay_id == replay.id, ReplayEvent.verdict == PENDING)
        with self._reading() as session:
            found = session.scalars(left.where(ReplayEvent.version.is_not(None)).distinct()).all()
        return [version for version in found if version is not None and version < (snapshot.version or 0)]

    def _match_in(self, replay: Replay, version: int) -> None:
        try:
            snapshot = self.lake.catalog.snapshot(DATASET, version)
        except (Gone, NotFound):
            return
        if snapshot is not None:
            self._match(replay, snapshot)

    def _match_alike(self, replay: Replay, snapshot: Snapshot) -> None:
        """Those that a later replay of the very same row came before, when it was redelivered."""
        hashes = {} if replay.corrections else self._unproved(replay)
        if hashes:
            where = And((Comparison(KEY, "in", tuple(hashes)), Not(Comparison(REPLAY_ID, "is", None))))
            rows = stored_rows(self.lake, self.lake.writing.row_types(snapshot.name), snapshot, where)
            self._keep(replay, [row[KEY] for row in rows if row_hash(row) == hashes[row[KEY]]])

    def _unproved(self, replay: Replay) -> dict[str, str]:
        """The hashes of some of which it was said that they are in the lake."""
        said = (ReplayEvent.version.is_not(None), ReplayEvent.hash.is_not(None))
        left = (ReplayEvent.replay_id == replay.id, ReplayEvent.verdict == PENDING, *said)
        with self._reading() as session:
            found = session.execute(select(ReplayEvent.transaction_id, ReplayEvent.hash).where(*left).limit(MOST_ALIKE))
            return {transaction_id: found_hash for transaction_id, found_hash in found if found_hash is not None}

    def _keep(self, replay: Replay, ids: Sequence[str]) -> None:
        having = (ReplayEvent.replay_id == replay.id, ReplayEvent.transaction_id.in_(ids))
        proved = update(ReplayEvent).where(*having, ReplayEvent.verdict != MATCHED)
        if ids:
            with self.database.begin() as connection:
                connection.execute(proved.values(verdict=MATCHED, reason=None))

    def _miss(self, replay: Replay) -> None:
        before = utc_now() - self.missing_after
        if replay.created_at > before:
            return
        may_come = or_(PipelineMessage.sent_at.is_(None), PipelineMessage.sent_at > before)
        is_coming = exists().where(PipelineMessage.id == ReplayEvent.event_id, may_come)
        left = (ReplayEvent.replay_id == replay.id, ReplayEvent.verdict == PENDING, ~is_coming)
        with self.database.begin() as connection:
            missed = connection.execute(update(ReplayEvent).where(*left).values(verdict=MISSING)).rowcount
        self.counter.labels(MISSING).inc(missed)

    def _settle(self, replay: Replay) -> None:
        is_left = exists().where(ReplayEvent.replay_id == replay.id, ReplayEvent.verdict.in_((PENDING, MISSING)))
        is_running = exists().where(Job.id == replay.job_id, Job.state.in_(UNFINISHED))
        with self._reading() as session:
            if session.scalar(select(or_(is_left, is_running))):
                return
            found = replays.count(session, replay).verdicts
        with self.database.begin() as connection:
            connection.execute(update(Replay).where(Replay.id == replay.id).values(settled_at=utc_now()))
        for verdict, number in found.items():
            self.counter.labels(verdict).inc(number)

    def _replayed(self, snapshot: Snapshot, replay_id: str) -> Iterator[list[str]]:
        """The transactions whose rows have a replay's id."""
        view = view_of(snapshot, [OF_ADMINISTRATORS])
        if view is None or REPLAY_ID not in view.by_name or KEY not in view.by_name:
            return
        query = view.everything(Comparison(REPLAY_ID, "eq", replay_id)).selecting((KEY,))
        plan = Plan(snapshot, view, query)
        with closing(self.lake.engine(plan).batches(plan)) as batches:
            for batch in batches:
                yield batch.column(0).to_pylist()

    def _reading(self) -> Session:
        return Session(self.database.execution_options(**READ_ONLY), expire_on_commit=False)
