"""Changes of Delta tables: an intent, a commit that carries its id, and an end that is found even after a crash.

A change is committed in the table's log, its event in the database, and no transaction spans both. So a row says
first, in a transaction of its own, what is about to be done; the commit carries that row's id; and the request's own
transaction ends the row together with its event. Whoever finds a row without an end looks into the table's log: the id
is there and the change was made, or it is not and was not (ADR 10).

`carry_out` must not run inside a transaction that writes: SQLite has one write lock. Look rights up with
`rest_api.request.reading()`, mark the route `commits_apart=True`, and use the request's session from `finish` on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol
from uuid import uuid4

import structlog
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from rest_api.backends.delta import CHANGE, Committed
from rest_api.database import READ_ONLY, utc_now
from rest_api.errors import Conflict, Refusal, Unprocessable
from rest_api.models.change import BEGUN, DONE, UNDONE, DatasetChange
from rest_api.services import events

ABANDONED = timedelta(minutes=10)
"""How long after its beginning a change that is not in the log may still come."""
KEY_LIFETIME = timedelta(hours=24)
log = structlog.get_logger(__name__)


class Logs(Protocol):
    """Where it is seen what was committed: a Catalog, or the TableLogs alone."""

    def committed(self, name: str, change_id: str) -> Committed | None: ...


@dataclass(frozen=True)
class Call:
    """A call under an `Idempotency-Key`: who called what under which key, as one hash, and the hash of its body."""

    key: str
    body_sha256: str


@dataclass(frozen=True)
class Intent:
    """What is about to be done, by whom. `identity` is None of a table that is not there yet.

    `kind` is append, merge, overwrite, create, restore or compact; `rows` what the answer shall say.
    """

    dataset: str
    kind: str
    identity: str | None
    user_id: int | None
    username: str
    rows: int | None = None
    call: Call | None = None


@dataclass(frozen=True)
class Change:
    """A change under way. `committed` is None until it is in the log."""

    id: str
    intent: Intent
    committed: Committed | None = None

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the commit must carry: `CommitProperties(custom_metadata=dict(change.metadata))`."""
        return {CHANGE: self.id, "userName": self.intent.username}


def carry_out(engine: Engine, logs: Logs, intent: Intent, commit: Callable[[Change], Committed]) -> Change:
    """Begin a change and commit it; then `finish` it in the request's transaction.

    The same call a second time commits nothing and returns what the first one came to. Raises what `commit` raises;
    then the change is undone, unless the log has it. Raises what `begin` raises.
    """
    if intent.call is not None:
        _settle_earlier(engine, logs, intent.call)
    change = begin(engine, intent)
    if change.committed is not None:
        return change
    try:
        return replace(change, committed=commit(change))
    except BaseException:
        _settle(engine, logs, change.id, intent.dataset, is_over=True)
        raise


def begin(engine: Engine, intent: Intent) -> Change:
    """Say what is about to be done, in a transaction that is committed when this returns.

    Raises Conflict `idempotency_in_progress` while the same call runs, Unprocessable where its body was another one.
    """
    try:
        with Session(engine) as session, session.begin():
            return _earlier(session, intent) or _added(session, intent)
    except IntegrityError as error:
        raise _in_progress() from error


def finish(session: Session, change: Change) -> None:
    """End a committed change and leave its event, in the session's transaction. Whoever is second changes nothing."""
    if change.committed is None:
        raise ValueError("a change that is not in the log has no end yet")
    intent, committed = change.intent, change.committed
    values = {"state": DONE, "version": committed.version, "identity": committed.identity, "finished_at": utc_now()}
    ending = update(DatasetChange).where(DatasetChange.id == change.id, DatasetChange.state != DONE).values(values)
    if session.connection().execute(ending).rowcount:
        _tell(session, intent, committed)


def recover(engine: Engine, logs: Logs) -> int:
    """End every change whose process ended before it could, each once however many recover. Returns how many it saw."""
    with engine.connect().execution_options(**READ_ONLY) as connection:
        table = DatasetChange.__table__
        begun = connection.execute(select(table).where(table.c.state == BEGUN).order_by(table.c.created_at)).all()
    for row in begun:
        try:
            _settle(engine, logs, row.id, row.dataset, is_over=row.created_at < utc_now() - ABANDONED)
        except Refusal as refusal:
            log.warning("change_not_settled", change=row.id, dataset=row.dataset, reason=refusal.detail)
    return len(begun)


def recover_at_start(engine: Engine, logs: Logs) -> None:
    """Recover; a database that is away does not keep a process from starting."""
    try:
        recover(engine, logs)
    except SQLAlchemyError as error:
        log.warning("changes_not_recovered", error=type(error).__name__)


def _earlier(session: Session, intent: Intent) -> Change | None:
    """What the same call came to before. Raises Conflict, Unprocessable."""
    call = intent.call
    row = None if call is None else session.scalar(select(DatasetChange).where(DatasetChange.call == call.key))
    if row is None or call is None:
        return None
    if row.created_at < utc_now() - KEY_LIFETIME:
        row.call = None
        session.flush()
        return None
    if row.call_sha256 != call.body_sha256:
        raise Unprocessable("This Idempotency-Key was used with another body", code="idempotency_key_reused")
    if row.state == BEGUN:
        raise _in_progress()
    return _change(row)


def _added(session: Session, intent: Intent) -> Change:
    change = Change(uuid4().hex, intent)
    session.add(
        DatasetChange(
            id=change.id,
            dataset=intent.dataset,
            identity=intent.identity,
            kind=intent.kind,
            user_id=intent.user_id,
            username=intent.username,
            state=BEGUN,
            rows=intent.rows,
            call=intent.call.key if intent.call else None,
            call_sha256=intent.call.body_sha256 if intent.call else None,
            created_at=utc_now(),
        )
    )
    return change


def _settle_earlier(engine: Engine, logs: Logs, call: Call) -> None:
    """Where the same call's process ended before it could finish, find out what came of it."""
    with engine.connect().execution_options(**READ_ONLY) as connection:
        table = DatasetChange.__table__
        row = connection.execute(select(table).where(table.c.call == call.key, table.c.state == BEGUN)).first()
    if row is not None:
        _settle(engine, logs, row.id, row.dataset, is_over=row.created_at < utc_now() - ABANDONED)


def _settle(engine: Engine, logs: Logs, change_id: str, dataset: str, *, is_over: bool) -> None:
    """End a change as the table's log says; one that is not there ends only if it `is_over`."""
    committed = logs.committed(dataset, change_id)
    if committed is None and not is_over:
        return
    with Session(engine) as session:
        events.install(session)
        row = session.get(DatasetChange, change_id)
        if row is None:
            return
        if committed is not None:
            finish(session, replace(_change(row), committed=committed))
        elif row.state == BEGUN:
            _undo(session, change_id)
        session.commit()


def _undo(session: Session, change_id: str) -> None:
    """The call may be made again: what it asked for was not done."""
    is_begun = (DatasetChange.id == change_id, DatasetChange.state == BEGUN)
    values = {"state": UNDONE, "call": None, "finished_at": utc_now()}
    session.execute(update(DatasetChange).where(*is_begun).values(values))


def _change(row: DatasetChange) -> Change:
    intent = Intent(row.dataset, row.kind, row.identity, row.user_id, row.username, row.rows)
    if row.state != DONE or row.identity is None:
        return Change(row.id, intent)
    return Change(row.id, intent, Committed(row.version, row.identity))


def _tell(session: Session, intent: Intent, committed: Committed) -> None:
    data: dict[str, Any] = {
        "dataset": intent.dataset,
        "version": committed.version,
        "kind": intent.kind,
        "rows": intent.rows,
    }
    subject = f"datasets/{intent.dataset}"
    events.record(
        session,
        type="dataset.changed",
        subject=subject,
        data=data,
        audience="admin",
        owner_id=intent.user_id,
        dataset=intent.dataset,
        identity=committed.identity,
    )


def _in_progress() -> Conflict:
    return Conflict("A call with this Idempotency-Key is still in progress", code="idempotency_in_progress")
