"""Replays as those see them who ask for them: asked for, sent event by event, and told of by verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from rest_api.database import utc_now
from rest_api.errors import Conflict, NotFound
from rest_api.lake.resending import TOPIC, Resent
from rest_api.models.job import UNFINISHED, Job
from rest_api.models.pipeline_message import PipelineMessage
from rest_api.models.replay import PENDING, VERDICTS, Replay, ReplayEvent
from rest_api.query.exact_json import encode
from rest_api.services import jobs
from rest_api.services.changes import Call
from rest_api.services.events import Watcher
from rest_api.services.replay_sources import Pin, Source, Wanted
from rest_api.statements import insert_all

JOB_TYPE = "replay"
EVENT_ID, REPLAY_ID, REPLAYED_AT, REPLAY_HASH = "event-id", "replay-id", "replayed-at", "replay-hash"
"""What a message says in its headers; without a hash the lake had no such row."""
KEY_LIFETIME = timedelta(hours=24)
_SENDING_LOCK = 7_310_002


@dataclass(frozen=True)
class Counts:
    """How many of a replay's transactions came to each verdict; together they are `total`."""

    total: int
    verdicts: Mapping[str, int]


def ask(session: Session, owner_id: int, source: Source, call: Call | None) -> Replay:
    """Have a source replayed by a job. Raises Conflict `idempotency_in_progress` where the same call was first."""
    replay_id = str(uuid4())
    job = jobs.enqueue(session, JOB_TYPE, {"replay_id": replay_id, "pin": asdict(source.pin)}, owner_id)
    _forget_old(session, call)
    replay = _record(replay_id, job, source, call)
    session.add(replay)
    try:
        session.flush()
    except IntegrityError as error:
        detail = "A call with this Idempotency-Key is still in progress"
        raise Conflict(detail, code="idempotency_in_progress") from error
    return replay


def asked_for(arguments: Mapping[str, Any], replay: Replay) -> tuple[Wanted, Pin]:
    """What a job's replay is of."""
    return Wanted(replay.transaction_id, replay.where, replay.corrections), Pin(**arguments["pin"])


def send(session: Session, replay_id: str, resent: Sequence[Resent]) -> None:
    """Put events at the beginning of the pipeline, in the caller's transaction, those that were not put before.

    Those who send at once take turns until they commit: what is sent later has a later time.
    """
    _take_turn(session)
    now = utc_now()
    ids = [each.transaction_id for each in resent]
    of_these = (ReplayEvent.replay_id == replay_id, ReplayEvent.transaction_id.in_(ids))
    known = set(session.scalars(select(ReplayEvent.transaction_id).where(*of_these)))
    unsent = {each.transaction_id: each for each in resent if each.transaction_id not in known}
    if unsent:
        _insert(session.connection(), replay_id, list(zip(_event_ids(len(unsent)), unsent.values(), strict=True)), now)


def visible(watcher: Watcher) -> list[ColumnElement[bool]]:
    """What restricts the replays somebody sees: his own, and an administrator all."""
    return [] if watcher.is_admin else [Replay.owner_id == watcher.user_id]


def find_replay(session: Session, replay_id: str, watcher: Watcher) -> Replay:
    """The replay of that id. Raises NotFound, for one that is not his too."""
    replay = session.scalar(select(Replay).where(Replay.id == replay_id, *visible(watcher)))
    if replay is None:
        raise NotFound("There is no such replay")
    return replay


def count(session: Session, replay: Replay) -> Counts:
    """What is known of a replay. What is still to be sent is pending; where it ended early, only what was sent."""
    found = _counted(session, replay.id)
    sent = sum(found.values())
    total = max(replay.total, sent) if is_running(session, replay) else sent
    return Counts(total, {**found, PENDING: found[PENDING] + total - sent})


def is_running(session: Session, replay: Replay) -> bool:
    """Whether its job may still send something."""
    return session.scalar(select(Job.state).where(Job.id == replay.job_id)) in UNFINISHED


def _counted(session: Session, replay_id: str) -> dict[str, int]:
    of_replay = select(ReplayEvent.verdict, func.count()).where(ReplayEvent.replay_id == replay_id)
    groups = session.execute(of_replay.group_by(ReplayEvent.verdict)).all()
    return dict.fromkeys(VERDICTS, 0) | {group[0]: group[1] for group in groups}


def _forget_old(session: Session, call: Call | None) -> None:
    """A key is kept for a day, a replay for longer."""
    if call is not None:
        is_old = (Replay.call == call.key, Replay.created_at < utc_now() - KEY_LIFETIME)
        session.execute(update(Replay).where(*is_old).values(call=None))


def _record(replay_id: str, job: Job, source: Source, call: Call | None) -> Replay:
    snapshot, wanted = source.opened.snapshot, source.wanted
    return Replay(
        id=replay_id,
        owner_id=job.owner_id,
        job_id=job.id,
        dataset=snapshot.name,
        identity=snapshot.identity,
        transaction_id=wanted.transaction_id,
        where=wanted.where,
        corrections=dict(wanted.corrections) if wanted.corrections else None,
        created_at=utc_now(),
        total=source.rows,
        call=call.key if call else None,
    )


def _event_ids(number: int) -> list[str]:
    """New ids that lie side by side in the database's indexes; ids at random would each touch a page of their own."""
    first = token_hex(12)
    return [f"{first}{place:08x}" for place in range(number)]


def _insert(connection: Connection, replay_id: str, events: Sequence[tuple[str, Resent]], now: datetime) -> None:
    of_replay = {"replay_id": replay_id, "verdict": PENDING}
    insert_all(connection, ReplayEvent.__table__, of_replay, [_event(*each) for each in events])
    headers = {REPLAY_ID: replay_id, REPLAYED_AT: f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"}
    of_topic = {"topic": TOPIC, "created_at": now}
    insert_all(connection, PipelineMessage.__table__, of_topic, [_message(*each, now, headers) for each in events])


def _event(event_id: str, resent: Resent) -> dict[str, Any]:
    return {"transaction_id": resent.transaction_id, "event_id": event_id, "hash": resent.hash}


def _take_turn(session: Session) -> None:
    # SQLite has one write lock anyway.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _SENDING_LOCK})


def _message(event_id: str, resent: Resent, at: datetime, common: Mapping[str, str]) -> dict[str, Any]:
    headers = {EVENT_ID: event_id, **common}
    return {
        "id": event_id,
        "key": resent.transaction_id,
        "headers": headers if resent.hash is None else {**headers, REPLAY_HASH: resent.hash},
        "value": encode(resent.at(at)).decode(),
    }
