"""Sends transactions of the lake through the pipeline again: read at one version, each sent once for each replay."""

from contextlib import closing
from dataclasses import dataclass

from sqlalchemy.orm import Session

from rest_api.backends.lake import lake_of
from rest_api.database import READ_ONLY
from rest_api.errors import Forbidden, NotFound
from rest_api.lake.resending import Resent
from rest_api.models.replay import Replay
from rest_api.services import replays
from rest_api.services.datasets import Datasets
from rest_api.services.replay_sources import ReplaySources, Source
from rest_api.services.rights import Reader, reader_of_user
from rest_api.settings import Settings
from rest_api.tasks.task import Outcome, Run

STEP_ROWS = 2_048


@dataclass(frozen=True)
class SendAgain:
    """The owner's rights are looked up anew for each step: what he may not see any more is not sent."""

    settings: Settings
    type: str = replays.JOB_TYPE
    role: str = "reader"
    parameters: tuple[str, ...] = ("replay_id", "pin")
    schedule: str | None = None

    def run(self, run: Run) -> Outcome:
        with closing(lake_of(self.settings, run.engine)) as lake:
            return Sending(run, ReplaySources(Datasets(lake.catalog), lake)).all()


@dataclass(frozen=True)
class Sending:
    """One run of such a job."""

    run: Run
    sources: ReplaySources

    def all(self) -> Outcome:
        """Send everything that was not sent yet."""
        with self.run.engine.connect().execution_options(**READ_ONLY) as connection, Session(connection) as session:
            replay = _replay(session, self.run)
            wanted, pin = replays.asked_for(self.run.arguments, replay)
            source = self.sources.find_again(session, _owner(session, replay), wanted, pin)
        done = 0
        for rows in self.sources.rows(source):
            for step in _steps(rows):
                self.run.progress(done, replay.total, "transactions")
                self._send(source, replay, step)
                done += len(step)
        return Outcome({"replay_id": replay.id, "transactions": done})

    def _send(self, source: Source, replay: Replay, step: list[Resent]) -> None:
        with self.run.transaction() as session:
            self.sources.require_still(session, _owner(session, replay), source)
            replays.send(session, replay.id, step)


def _steps(rows: list[Resent]) -> list[list[Resent]]:
    return [rows[start : start + STEP_ROWS] for start in range(0, len(rows), STEP_ROWS)]


def _replay(session: Session, run: Run) -> Replay:
    found = session.get(Replay, run.arguments.get("replay_id"))
    if found is None:
        raise NotFound("There is no such replay")
    return found


def _owner(session: Session, replay: Replay) -> Reader:
    found = reader_of_user(session, replay.owner_id)
    if found is None:
        raise Forbidden("Its owner may not have it run any more")
    return found
