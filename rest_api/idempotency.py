"""`Idempotency-Key`: the same POST sent twice has one effect and one answer, for 24 hours.

The answer is stored in the transaction of the effect, so that neither is there without the other. A second call
that comes meanwhile is refused (PostgreSQL) or waits for the first one's transaction (SQLite).
"""

import hashlib
from datetime import timedelta
from typing import Any

from flask import Response, g, request
from sqlalchemy import text
from sqlalchemy.orm import Session, scoped_session

from rest_api.auth import changes_nothing, commits_apart, streams_body
from rest_api.database import utc_now
from rest_api.errors import Conflict, FieldError, Invalid, Unprocessable
from rest_api.models.idempotency import IdempotencyKey
from rest_api.services.changes import Call

LIFETIME = timedelta(hours=24)
MAX_KEY_CHARACTERS = 255
KEPT_HEADERS = ("Content-Type", "Location", "ETag", "Link")


def begin(session: scoped_session[Any]) -> Response | None:
    """The stored answer when this call was answered before; remembers to store the answer otherwise.

    Raises Unprocessable when the key came with another body, Conflict while the first call is running.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None or request.method != "POST" or changes_nothing() or not g.get("principal"):
        return None
    if not 0 < len(key) <= MAX_KEY_CHARACTERS or not key.isprintable():
        detail = f"Idempotency-Key takes 1 to {MAX_KEY_CHARACTERS} printable characters"
        raise Invalid(detail, errors=[FieldError("Idempotency-Key", detail)])
    g.idempotent = wanted = IdempotencyKey(
        user_id=g.principal.id,
        method=request.method,
        path=request.full_path[:500],
        key=key,
        body_sha256="" if streams_body() else hashlib.sha256(request.get_data(cache=True)).hexdigest(),
        created_at=utc_now(),
    )
    if commits_apart():
        return None
    _take_turn(session, wanted)
    known = session.get(IdempotencyKey, (wanted.user_id, wanted.method, wanted.path, wanted.key))
    if known is not None and known.created_at > utc_now() - LIFETIME:
        return _repeat(known, wanted)
    if known is not None:
        session.delete(known)
        session.flush()
    return None


def body_was(sha256: str) -> None:
    """For a route that `streams_body`, once it has read it: what it came to."""
    if g.idempotent is not None:
        g.idempotent.body_sha256 = sha256


def repeated(session: Session) -> Response | None:
    """For a route that `commits_apart`, once it has authorized the caller: the stored answer, as of `begin`.

    The session only reads: whose turn it is, the change's row decides. Raises Unprocessable.
    """
    wanted: IdempotencyKey | None = g.idempotent
    if wanted is None:
        return None
    known = session.get(IdempotencyKey, (wanted.user_id, wanted.method, wanted.path, wanted.key))
    if known is None or known.created_at <= utc_now() - LIFETIME:
        return None
    return _repeat(known, wanted)


def running_call() -> Call | None:
    """The running call under its key, for the change that it asks for."""
    wanted: IdempotencyKey | None = g.idempotent
    return None if wanted is None else Call(_hash(wanted).hex(), wanted.body_sha256)


def keep(session: scoped_session[Any], response: Response) -> None:
    """Store a successful answer under the call's key."""
    stored: IdempotencyKey | None = g.idempotent
    if stored is None or response.status_code >= 400:
        return
    stored.status = response.status_code
    stored.headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    stored.body = response.get_data()
    session.merge(stored)


def _repeat(known: IdempotencyKey, wanted: IdempotencyKey) -> Response:
    if known.body_sha256 != wanted.body_sha256:
        raise Unprocessable("This Idempotency-Key was used with another body", code="idempotency_key_reused")
    g.idempotent = None
    response = Response(known.body, known.status, headers=known.headers)
    response.headers["Idempotent-Replayed"] = "true"
    return response


def _take_turn(session: scoped_session[Any], wanted: IdempotencyKey) -> None:
    if session.get_bind().dialect.name != "postgresql":
        return  # the transaction has SQLite's one write lock already
    lock = int.from_bytes(_hash(wanted)[:8], signed=True)
    if not session.scalar(text("select pg_try_advisory_xact_lock(:lock)"), {"lock": lock}):
        raise Conflict("A call with this Idempotency-Key is still in progress", code="idempotency_in_progress")


def _hash(wanted: IdempotencyKey) -> bytes:
    name = "\x00".join((str(wanted.user_id), wanted.method, wanted.path, wanted.key))
    return hashlib.blake2b(name.encode(), digest_size=32).digest()
