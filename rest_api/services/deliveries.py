"""Deliveries: what waits in the database is sent on all the time, beside the worker's jobs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine as Database
from sqlalchemy.exc import SQLAlchemyError

from rest_api.backends.event_log.outbox import Outbox
from rest_api.backends.lake import Lake
from rest_api.errors import Refusal
from rest_api.observability import pipeline_events, replay_verdicts
from rest_api.services.ingestion import Ingestion
from rest_api.services.pipeline import Pipeline
from rest_api.services.proofs import Proofs
from rest_api.services.publishing import relay_of
from rest_api.settings import Settings

POLL_SECONDS = 0.1
AGAIN_SECONDS = 1.0
STOP_SECONDS = 3.0
log = structlog.get_logger(__name__)


class Sender(Protocol):
    """Sends on what waits: into the pipeline itself, or to a broker."""

    def deliver(self) -> int:
        """Send on as much as is sent at once, and mark it as sent. Returns how much; 0 where nothing waits.

        Raises Refusal where it cannot be sent now, SQLAlchemyError where the database is away.
        """

    def close(self) -> None:
        """Give back what is held."""


def sender_of(settings: Settings, database: Database, lake: Lake, registry: CollectorRegistry) -> Sender:
    """What sends on in an installation, and counts it in a registry."""
    if settings.event_brokers:
        return relay_of(settings, database, registry)
    pipeline = Pipeline(database, lake, Ingestion(database, lake), pipeline_events(registry))
    return Outbox(database, lake.writing.storage.alone, pipeline.take)


@contextmanager
def delivering(settings: Settings, database: Database, lake: Lake, registry: CollectorRegistry) -> Iterator[None]:
    """What waits is sent on meanwhile. At the end whatever does not end in time is left: it can be done again."""
    stopping = Event()
    sender = sender_of(settings, database, lake, registry)
    deliveries = Loop("deliveries", sender.deliver, sender.close, stopping)
    # A broker that does not answer holds up what is sent, not what is proved.
    proofs = Loop("proofs", Proofs(database, lake, replay_verdicts(registry)).look, _nothing, stopping)
    threads = [Thread(target=each.run, name=each.name, daemon=True) for each in (deliveries, proofs)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(STOP_SECONDS)


def _nothing() -> None:
    """Nothing is held."""


@dataclass(frozen=True)
class Loop:
    """Takes a step after the other until `stopping` is set; what cannot be done now is tried again."""

    name: str
    step: Callable[[], int | None]
    end: Callable[[], None]
    stopping: Event

    def run(self) -> None:
        """Until told to stop."""
        while not self.stopping.is_set():
            self.stopping.wait(self._pause_after_step())
        self.end()

    def _pause_after_step(self) -> float:
        try:
            done = self.step()
        except Refusal as refusal:
            log.warning("it is tried again", of=self.name, reason=refusal.detail)
            return AGAIN_SECONDS
        except SQLAlchemyError as error:
            log.warning("the database does not answer", of=self.name, error=type(error).__name__)
            return AGAIN_SECONDS
        except Exception:
            log.exception("a step broke", of=self.name)
            return AGAIN_SECONDS
        return 0 if done else POLL_SECONDS
