"""Deliveries: what waits in the database is sent on all the time, beside the worker's jobs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Protocol

import structlog
from sqlalchemy import Engine as Database
from sqlalchemy.exc import SQLAlchemyError

from rest_api.backends.event_log.outbox import Outbox
from rest_api.backends.lake import Lake
from rest_api.errors import Refusal
from rest_api.services.ingestion import Ingestion
from rest_api.services.pipeline import Pipeline
from rest_api.services.proofs import Proofs
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


def sender_of(settings: Settings, database: Database, lake: Lake) -> Sender:  # noqa: ARG001
    """What sends on in an installation."""
    pipeline = Pipeline(database, lake, Ingestion(database, lake))
    return Outbox(database, lake.writing.storage.alone, pipeline.take)


@contextmanager
def delivering(settings: Settings, database: Database, lake: Lake) -> Iterator[None]:
    """What waits is sent on meanwhile. At the end whatever does not end in time is left: it can be done again."""
    stopping = Event()
    deliveries = Deliveries(sender_of(settings, database, lake), Proofs(database, lake), stopping)
    thread = Thread(target=deliveries.run, name="deliveries", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(STOP_SECONDS)


@dataclass(frozen=True)
class Deliveries:
    """Sends on, and looks for what became of it, until `stopping` is set; what cannot be done now is tried again."""

    sender: Sender
    proofs: Proofs
    stopping: Event

    def run(self) -> None:
        """Until told to stop."""
        while not self.stopping.is_set():
            self.stopping.wait(self._pause_after_round())
        self.sender.close()

    def _pause_after_round(self) -> float:
        try:
            sent = self.sender.deliver()
            self.proofs.look()
        except Refusal as refusal:
            log.warning("not_delivered", reason=refusal.detail)
            return AGAIN_SECONDS
        except SQLAlchemyError as error:
            log.warning("the database does not answer", error=type(error).__name__)
            return AGAIN_SECONDS
        except Exception:
            log.exception("a delivery broke")
            return AGAIN_SECONDS
        return 0 if sent else POLL_SECONDS
