"""The pipeline's beginning where there is no broker: messages of the database are taken into the lake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from prometheus_client import Counter
from sqlalchemy import Engine as Database
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from rest_api.backends.event_log.outbox import Waiting
from rest_api.backends.lake import Lake
from rest_api.database import READ_ONLY
from rest_api.errors import Refusal, Unavailable
from rest_api.lake.events import Event
from rest_api.lake.replays import QUARANTINED, Replay
from rest_api.lake.snapshots import TABLE
from rest_api.models.dataset import Dataset
from rest_api.services import events, verdicts
from rest_api.services.ingestion import Ingestion
from rest_api.services.quarantine import Author
from rest_api.services.replays import EVENT_ID, REPLAY_HASH, REPLAY_ID, REPLAYED_AT
from rest_api.services.verdicts import Finding
from rest_api.services.writes import Target

AUTHOR = Author(None, "pipeline")
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Pipeline:
    """Takes messages as a consumer of their topic would; what it took before changes nothing."""

    database: Database
    lake: Lake
    ingestion: Ingestion
    counter: Counter

    def take(self, messages: Sequence[Waiting]) -> None:
        """Take messages, in their order. What nothing can be made of is given up, so that the others go on.

        Raises Unavailable while the dataset cannot be written, Overloaded, Timeout, SQLAlchemyError.
        """
        for topic in dict.fromkeys(message.topic for message in messages):
            self._take(self._target(topic), [message for message in messages if message.topic == topic])

    def _take(self, target: Target, messages: Sequence[Waiting]) -> None:
        try:
            taken = self.ingestion.ingest(target, [_event(message) for message in messages], AUTHOR)
        except Exception as error:
            if _may_pass(error):
                raise
            self._take_apart(target, messages, error)
            return
        with Session(self.database) as session:
            events.install(session)
            taken.finish(session)
            session.commit()
        for outcome in taken.outcomes:
            self.counter.labels(outcome.name).inc()

    def _take_apart(self, target: Target, messages: Sequence[Waiting], error: Exception) -> None:
        """Halve them, until the one is found that nothing can be made of."""
        if len(messages) == 1:
            return self._give_up(messages[0], error)
        middle = len(messages) // 2
        self._take(target, messages[:middle])
        return self._take(target, messages[middle:])

    def _give_up(self, message: Waiting, error: Exception) -> None:
        """The message is kept as long as one that was sent."""
        self.counter.labels("given_up").inc()
        log.error("message_given_up", message=message.headers.get(EVENT_ID), exc_info=error)
        replay = _replay(message.headers)
        if replay is None:
            return
        reason = error.detail if isinstance(error, Refusal) else "An internal error occurred"
        finding = Finding(replay.id, message.key, replay.hash, QUARANTINED, reason)
        with Session(self.database) as session, session.begin():
            verdicts.record(session, [finding])

    def _target(self, topic: str) -> Target:
        snapshot = self.lake.catalog.snapshot(topic)
        with self.database.connect().execution_options(**READ_ONLY) as connection, Session(connection) as session:
            said = None if snapshot is None else session.get(Dataset, snapshot.identity)
        if snapshot is None or snapshot.kind != TABLE or said is None or not said.key:
            raise Unavailable(f"Messages wait for a table {topic} with a key")
        return Target(snapshot, tuple(said.key), said.time_column)


def _may_pass(error: Exception) -> bool:
    """Whether it lies in the circumstances rather than in what was sent."""
    return isinstance(error, (SQLAlchemyError, OSError)) or (isinstance(error, Refusal) and error.retriable)


def _event(message: Waiting) -> Event:
    return Event(message.value, _replay(message.headers), message.headers.get(EVENT_ID))


def _replay(headers: Mapping[str, str]) -> Replay | None:
    if REPLAY_ID not in headers:
        return None
    at = datetime.fromisoformat(headers[REPLAYED_AT])
    return Replay(headers[REPLAY_ID], headers.get(REPLAY_HASH), at)
