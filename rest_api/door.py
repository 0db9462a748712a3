"""The door every request comes in and goes out by: authenticated, admitted, and committed once with its audit entry.

A route never commits. What it changed, the events it caused, the audit entry and a repeatable answer are one
transaction, made when the answer is known and before it leaves; a refusal rolls back and is recorded alone.
"""

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPMethod
from io import BytesIO
from typing import Any, NamedTuple

import structlog
from flask import Flask, Response, g, request
from flask.globals import app_ctx, request_ctx
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine

from rest_api import auth, idempotency, problems
from rest_api.bodies import BodyReader
from rest_api.database import utc_now
from rest_api.errors import Invalid, Refusal, TooLarge
from rest_api.limits import Queue, RateLimit
from rest_api.observability import RequestMetrics
from rest_api.places import Places
from rest_api.services.audit import NO_BODY, AuditEntry, Body, printable, redact, redact_query
from rest_api.services.audit_trail import AuditTrail, Wait, no_wait
from rest_api.settings import Settings

METHODS = frozenset(method.value for method in HTTPMethod)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
CONDITIONS = frozenset(
    {"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_RANGE"}
)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
WITH_PRINCIPAL = (*SECURITY_HEADERS.items(), ("Cache-Control", "private"))
WITHOUT_PRINCIPAL = (*SECURITY_HEADERS.items(), ("Cache-Control", "no-store"))
log = structlog.get_logger(__name__)


class Answered(NamedTuple):
    """A call that was answered, as it is counted and logged."""

    request_id: str
    method: str
    route: str | None
    status: int
    seconds: float
    is_recorded: bool

    @property
    def level(self) -> int:
        """How much it matters to who reads the log."""
        usual = logging.INFO if self.is_recorded else logging.DEBUG
        return logging.ERROR if self.status >= 500 else usual


@dataclass(frozen=True)
class Door:
    """The hooks around every route."""

    settings: Settings
    db: SQLAlchemy
    engine: Engine
    trail: AuditTrail
    rates: RateLimit
    queue: Queue
    places: Places
    uploads: Places
    bodies: BodyReader
    metrics: RequestMetrics

    def install(self, app: Flask) -> None:
        """Put the door in front of an app."""
        app.before_request(self.enter)
        app.after_request(self.leave)
        app.teardown_request(self.close)

    def enter(self) -> Response | None:
        """Let a request in; a stored answer to a repeated one is given at once."""
        g.started = time.perf_counter()
        g.request_id = self._request_id()
        g.admission = auth.route_admission()
        g.refusal = g.allowance = g.idempotent = None
        g.record = {}
        g.is_body_read = False
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        auth.authenticate(g.admission)
        auth.authorize(g.admission)
        self._count()
        self._read_body()
        self._admit()
        return idempotency.begin(self.db.session)

    def leave(self, response: Response) -> Response:
        """Commit and record what happened, then let the answer out; without its record it stays in."""
        response = self._answer_conditionally(response)
        try:
            wait_for_record = self._settle(response)
            self._dress(response)
            wait_for_record()
        except Exception as error:  # noqa: BLE001  (whatever it was, an answer is made of it)
            self.db.session.rollback()
            response.close()  # a stream that nobody will read holds a place and a query
            response = problems.answer(error)
            self._dress(response)
        self._observe_later(response)
        return response

    def close(self, _error: BaseException | None) -> None:
        """Give back what the request held."""
        if g.pop("holds_turn", False):
            self.queue.leave()
        structlog.contextvars.clear_contextvars()

    def wait_apart(self) -> Callable[[], None]:
        """For a request that will only wait from now on, so that it keeps nobody else waiting.

        What is returned ends it. Raises RateLimited, Overloaded where enough wait already.
        """
        return self._apart(self.places)

    def receive_apart(self) -> Callable[[], None]:
        """For a request that streams its body, as `wait_apart`."""
        return self._apart(self.uploads)

    def _apart(self, places: Places) -> Callable[[], None]:
        give_back = places.take(g.principal.id)
        if g.pop("holds_turn", False):
            self.queue.leave()
        return give_back

    def entry(self, status: int) -> AuditEntry:
        """The audit entry of the running request."""
        call, facts = request_ctx.request, app_ctx.g
        principal, known = facts.get("principal"), facts.record
        body = known.get("body") or self._kept_body(known.get("secrets", frozenset()))
        return AuditEntry(
            at=utc_now(),
            user_id=principal.id if principal else None,
            username=principal.username if principal else known.get("username"),
            address=call.remote_addr or "",
            method=call.method if call.method in METHODS else "OTHER",
            path=printable(call.path),
            query=redact_query(call.query_string.decode("utf-8", "replace")),
            body=body.text,
            body_bytes=body.size_bytes,
            body_sha256=body.sha256,
            status=status,
            dataset=known.get("dataset"),
            columns=known.get("columns"),
            rows=known.get("rows"),
            duration_ms=round((time.perf_counter() - facts.started) * 1_000, 3),
            request_id=facts.request_id,
        )

    def record_end(self, entry: AuditEntry) -> None:
        """Record the end of a stream, whose request is over. Raises Unavailable, OSError."""
        self.trail.record(entry)()
        self.trail.seal()

    def _request_id(self) -> str:
        given = request.headers.get("X-Request-ID", "")
        return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)

    def _count(self) -> None:
        if self._is_recorded():
            g.allowance = self.rates.take(_caller())

    def _admit(self) -> None:
        if self._is_recorded():
            self.queue.enter(_caller())
            g.holds_turn = True

    def _is_recorded(self) -> bool:
        return g.admission is None or bool(g.admission.is_recorded)

    def _read_body(self) -> None:
        """Read the body before a turn is taken, refusing one that is too large; later it is read from memory."""
        if not self._is_recorded():
            return
        limit: int = getattr(self.settings, g.admission.body_limit if g.admission else "json_bytes")
        environ, length = request.environ, request.content_length
        raw, comes = environ["wsgi.input"], _comes_with_body(environ, length)
        is_streamed = g.admission is not None and g.admission.streams_body and (length or 0) <= limit
        if is_streamed:
            g.is_body_read, g.body = True, b""
            return
        _keep_body(environ, b"")
        if not comes:
            return
        if (length or 0) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes")
        # One byte more than is taken: a body cut off at the limit would look like a whole one.
        body = self.bodies.read(raw, limit + 1 if length is None else length)
        if len(body) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes")
        if len(body) < (length or 0):
            raise Invalid("The body ended too early")
        _keep_body(environ, body)

    def _kept_body(self, secrets: frozenset[str]) -> Body:
        body = self._body()
        return redact(body, request_ctx.request.mimetype, secrets) if body else NO_BODY

    def _body(self) -> bytes:
        """The body, also of a call that was refused before it was read; empty where it was refused itself."""
        try:
            if not g.is_body_read:
                self._read_body()
        except Refusal:
            return b""
        return bytes(g.body)

    def _settle(self, response: Response) -> Wait:
        """Commit what changed with its entry, or begin to write the entry alone, which is then still to wait for."""
        session = self.db.session
        if not self._is_recorded():
            session.remove()
            return no_wait
        if self._is_anonymous_refusal(response):
            self.metrics.unauthenticated.inc()
            session.remove()
            return no_wait
        entry = self.entry(response.status_code)
        if self._keeps_changes(response):
            idempotency.keep(session, response)
            self.trail.commit(session(), entry)
            return no_wait
        return self._record_alone(entry)

    def _record_alone(self, entry: AuditEntry) -> Wait:
        if not auth.changes_nothing():
            self.db.session.remove()  # on SQLite its write lock would keep the entry out
            return self.trail.record(entry)
        wait_for_record = self.trail.record(entry)
        self.db.session.remove()
        return wait_for_record

    def _is_anonymous_refusal(self, response: Response) -> bool:
        if response.status_code != 401 or g.get("principal") or "username" in g.record:
            return False
        return not (g.refusal and g.refusal.keeps_changes)

    def _keeps_changes(self, response: Response) -> bool:
        if g.refusal is not None:
            return bool(g.refusal.keeps_changes)
        return not auth.changes_nothing() and response.status_code < 400

    def _answer_conditionally(self, response: Response) -> Response:
        """Give a successful read an ETag over its body, and 304 to who has it already (RFC 9110 section 13)."""
        if request.method not in ("GET", "HEAD") or response.status_code != 200 or response.is_streamed:
            return response
        if "ETag" not in response.headers and g.get("principal"):
            response.set_etag(hashlib.blake2b(response.get_data(), digest_size=16).hexdigest())
        if "ETag" in response.headers and not CONDITIONS.isdisjoint(request.environ):
            response.make_conditional(request)
        return response

    def _dress(self, response: Response) -> None:
        headers, facts = response.headers, app_ctx.g
        principal = facts.get("principal")
        headers["X-Request-ID"] = facts.request_id
        if principal:
            headers["Vary"] = "Authorization, Accept"
        if request.is_secure:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        present = {name.lower() for name, _ in headers}
        wanted = WITH_PRINCIPAL if principal else WITHOUT_PRINCIPAL
        headers.extend([(name, value) for name, value in wanted if name.lower() not in present])
        headers.extend(facts.allowance.headers() if facts.get("allowance") else {})

    def _observe_later(self, response: Response) -> None:
        """Count, log and seal the call when its answer has left: nobody need wait. A stream is not waited for."""
        call, facts = request_ctx.request, app_ctx.g
        answered = Answered(
            request_id=facts.request_id,
            method=call.method if call.method in METHODS else "OTHER",
            route=call.url_rule.rule if call.url_rule else None,
            status=response.status_code,
            seconds=time.perf_counter() - facts.started,
            is_recorded=self._is_recorded(),
        )
        if response.is_streamed:
            return self._observe(answered)
        response.call_on_close(partial(self._observe, answered))
        return None

    def _observe(self, call: Answered) -> None:
        self.metrics.observe(call.method, call.route, call.status, call.seconds)
        log.log(
            call.level,
            "request",
            request_id=call.request_id,
            method=call.method,
            route=call.route,
            status=call.status,
            ms=round(call.seconds * 1e3, 1),
        )
        try:
            self.trail.seal()
        except OSError:
            log.exception("audit head not sealed; no call is answered until it is")


def _caller() -> str:
    return f"user {g.principal.id}" if g.principal else f"address {request.remote_addr}"


def _comes_with_body(environ: dict[str, Any], length: int | None) -> bool:
    if length is not None:
        return length > 0
    is_http_2 = environ.get("SERVER_PROTOCOL", "").startswith("HTTP/2")
    return is_http_2 or "HTTP_TRANSFER_ENCODING" in environ


def _keep_body(environ: dict[str, Any], body: bytes) -> None:
    """Let the request be read from memory, whatever its headers said of the body's length."""
    g.is_body_read, g.body = True, body
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.update({"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))})
