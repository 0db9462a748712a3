"""The event log without a broker: the database's own messages, taken in by this process, one at a time."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields

from sqlalchemy import Engine, select, update

from rest_api.database import READ_ONLY, utc_now
from rest_api.models.pipeline_message import PipelineMessage

MOST_MESSAGES = 5_000
LOCK = "/_pipeline"


@dataclass(frozen=True)
class Waiting:
    """A message that waits, as a consumer of its topic would read it."""

    sequence: int
    topic: str
    key: str
    headers: Mapping[str, str]
    value: str


@dataclass(frozen=True)
class Outbox:
    """Hands messages to `take` and marks them as sent when that returns.

    Whoever is killed in between hands them over again, so that `take` must know what it took before. `alone` keeps all
    but one process away, for as long as that one lives.
    """

    engine: Engine
    alone: Callable[[str], AbstractContextManager[None]]
    take: Callable[[Sequence[Waiting]], None]

    def deliver(self) -> int:
        if not self._unsent(1):
            return 0
        with self.alone(LOCK):
            messages = self._unsent(MOST_MESSAGES)
            if messages:
                self.take(messages)
                self._mark(messages)
        return len(messages)

    def close(self) -> None:
        """Nothing is held."""

    def _unsent(self, most: int) -> list[Waiting]:
        columns = [getattr(PipelineMessage, field.name) for field in fields(Waiting)]
        waiting = select(*columns).where(PipelineMessage.sent_at.is_(None)).order_by(PipelineMessage.sequence)
        with self.engine.connect().execution_options(**READ_ONLY) as connection:
            return [Waiting(*row) for row in connection.execute(waiting.limit(most))]

    def _mark(self, messages: Sequence[Waiting]) -> None:
        sent = update(PipelineMessage).where(PipelineMessage.sequence.in_([each.sequence for each in messages]))
        with self.engine.begin() as connection:
            connection.execute(sent.values(sent_at=utc_now()))
