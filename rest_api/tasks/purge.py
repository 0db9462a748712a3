"""Deletes what is over: stored answers, ended logins, forgotten failures, old events, jobs, changes and replays."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, or_, select
from sqlalchemy.orm import Session

from rest_api.database import utc_now
from rest_api.models.change import BEGUN, DatasetChange
from rest_api.models.idempotency import IdempotencyKey
from rest_api.models.job import UNFINISHED, Job
from rest_api.models.pipeline_message import PipelineMessage
from rest_api.models.replay import Replay, ReplayEvent
from rest_api.models.token import LoginFailure, RefreshToken, TokenFamily
from rest_api.services import events
from rest_api.tasks.task import Outcome, Run

KEY_LIFETIME = timedelta(hours=24)
JOBS_KEPT = timedelta(days=30)
CHANGES_KEPT = timedelta(days=30)
REPLAYS_KEPT = timedelta(days=30)
MESSAGES_KEPT = timedelta(days=7)
"""How long a message that was sent can be sent again."""


@dataclass(frozen=True)
class Purge:
    """Each kind in a transaction of its own; a second run finds nothing."""

    event_days: int
    login_window_seconds: int
    sent_through: Callable[[Connection], float]
    """Through which event all may be deleted, as far as other systems have to have them."""
    type: str = "purge"
    role: str = "admin"
    parameters: tuple[str, ...] = ()
    schedule: str | None = "0 * * * *"

    def run(self, run: Run) -> Outcome:
        deleted = {}
        kinds = {
            "idempotency_keys": _purge_keys,
            "token_families": _purge_families,
            "login_failures": self._purge_failures,
            "events": self._purge_events,
            "jobs": _purge_jobs,
            "dataset_changes": _purge_changes,
            "pipeline_messages": _purge_messages,
            "replays": _purge_replays,
        }
        for done, (kind, purge) in enumerate(kinds.items()):
            run.progress(done, len(kinds), "kinds")
            with run.transaction() as session:
                deleted[kind] = purge(session)
        return Outcome({"deleted": deleted})

    def _purge_failures(self, session: Session) -> int:
        forgotten = LoginFailure.at < utc_now() - timedelta(seconds=self.login_window_seconds)
        return _delete(session, LoginFailure, forgotten)

    def _purge_events(self, session: Session) -> int:
        before = utc_now() - timedelta(days=self.event_days)
        return events.purge(session, before, self.sent_through(session.connection()))


def _purge_keys(session: Session) -> int:
    return _delete(session, IdempotencyKey, IdempotencyKey.created_at < utc_now() - KEY_LIFETIME)


def _purge_families(session: Session) -> int:
    over = or_(TokenFamily.expires_at < utc_now(), TokenFamily.ended_at.is_not(None))
    _delete(session, RefreshToken, RefreshToken.family_id.in_(select(TokenFamily.id).where(over)))
    return _delete(session, TokenFamily, over)


def _purge_jobs(session: Session) -> int:
    return _delete(session, Job, Job.state.not_in(UNFINISHED), Job.finished_at < utc_now() - JOBS_KEPT)


def _purge_changes(session: Session) -> int:
    """Those that are over; what is under way is kept for whoever finds its end."""
    is_over = DatasetChange.state != BEGUN
    return _delete(session, DatasetChange, is_over, DatasetChange.finished_at < utc_now() - CHANGES_KEPT)


def _purge_messages(session: Session) -> int:
    """Those that were sent; what waits is kept for as long as it waits."""
    return _delete(session, PipelineMessage, PipelineMessage.sent_at < utc_now() - MESSAGES_KEPT)


def _purge_replays(session: Session) -> int:
    is_over = Replay.created_at < utc_now() - REPLAYS_KEPT
    _delete(session, ReplayEvent, ReplayEvent.replay_id.in_(select(Replay.id).where(is_over)))
    return _delete(session, Replay, is_over)


def _delete(session: Session, model: type, *where: ColumnElement[bool]) -> int:
    return session.connection().execute(delete(model).where(*where)).rowcount
