"""`/data/datasets/{dataset}/export`: all rows that a caller may take out, as a stream in the format he asks for."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson
from flask import Response, current_app, request
from sqlalchemy.orm import Session

from rest_api.auth import Principal, Rule, TokenBook, allow, current_principal, token_book
from rest_api.backends.formats import FORMATS, NDJSON, Format, Piece
from rest_api.database import READ_ONLY, utc_now
from rest_api.door import Door
from rest_api.errors import NotAcceptable, Refusal
from rest_api.lake.grants import EXPORT
from rest_api.lake.plans import Plan
from rest_api.query.grammar import parse_url
from rest_api.query.values import wrong
from rest_api.request import reader, recorded, session
from rest_api.resources.listing import given_pairs
from rest_api.resources.rows import used_columns, version_asked
from rest_api.resources.wire import Blueprint
from rest_api.services.audit import AuditEntry
from rest_api.services.datasets import Asked, Opened, telling_of_corruption
from rest_api.services.exports import require_same_view
from rest_api.services.rights import Reader

REFUSES = (403, 404, 406, 409, 410, 504)
PAGED = ("limit", "limit_per", "cursor", "page", "count")
SECONDS_BETWEEN_LOOKS = 1.0
blueprint = Blueprint("exports", __name__, url_prefix="/data/datasets", description="Whole datasets as a stream")


def _documentation() -> dict[str, Any]:
    content = {each.media_type: {"schema": {"type": "string"}} for each in FORMATS}
    return {"responses": {"200": {"description": "All rows, in the format that `Accept` asks for", "content": content}}}


@blueprint.route("/<dataset>/export", methods=["GET"])
@blueprint.doc(**_documentation())
@allow(Rule.READER, refuses=REFUSES)
def export_rows(dataset: str) -> Response:
    """Export all rows: `column=op.value` filters, `select`, `order`, `version`, `as_of`; lines of JSON by default."""
    chosen = _format()
    pairs = given_pairs(request.query_string)
    version, as_of = version_asked(dict(pairs))
    for name, _ in pairs:
        if name in PAGED:
            raise wrong(name, f"An export gives all rows; it takes no {name}")
    lakeport = current_app.extensions["lakeport"]
    opened = lakeport.datasets.open(session(), reader(), Asked(dataset, EXPORT, version, as_of))
    plan = Plan(opened.snapshot, opened.view, parse_url(pairs, opened.view.shape))
    recorded(dataset=dataset, columns=used_columns(plan))
    rights = Rights(token_book(), current_principal(), opened)
    with telling_of_corruption(opened.grants):
        batches = lakeport.lake.engine(plan).batches(plan)
        # Read now, so that what goes wrong at once is still answered as a refusal.
        first = next(batches)
    kinds = {name: plan.view.by_name[name].type for name in plan.names}
    export = Export(chosen, lakeport.door, rights, lakeport.door.entry(200))
    response = _response(export, chosen.write(chain([first], batches), kinds), batches.close)
    response.headers.set("Content-Disposition", "attachment", filename=f"{dataset}.{chosen.suffix}")
    return response


def _format() -> Format:
    by_type = {each.media_type: each for each in FORMATS}
    if "Accept" not in request.headers:
        return NDJSON
    best = request.accept_mimetypes.best_match(by_type)
    if best is None:
        raise NotAcceptable(f"An export is given as {', '.join(by_type)}")
    return by_type[best]


def _response(export: "Export", pieces: Iterator[Piece], close: Callable[[], None]) -> Response:
    """The stream, which takes a place to wait in, and closes what it reads from at its end."""
    response = Response(export.sent(pieces), mimetype=export.format.media_type)
    response.call_on_close(close)
    try:
        response.call_on_close(export.door.wait_apart())
    except Refusal:
        response.close()
        raise
    return response


@dataclass(frozen=True)
class Rights:
    """By which rights somebody exports; they are looked up again and again."""

    book: TokenBook
    caller: Principal
    opened: Opened

    def require(self) -> None:
        """Raises Unauthenticated where his login has ended, Forbidden where he sees something else by now."""
        caller = self.book.look_up_again(self.caller)
        reader = Reader(caller.username, caller.groups, caller.may(Rule.ADMIN))
        with self.book.engine.connect().execution_options(**READ_ONLY) as connection, Session(connection) as looking:
            require_same_view(looking, reader, self.opened)


@dataclass(frozen=True)
class Export:
    """A stream to one caller; it outlives the request that began it, and its end is recorded like its beginning."""

    format: Format
    door: Door
    rights: Rights
    entry: AuditEntry

    def sent(self, pieces: Iterator[Piece]) -> Iterator[bytes]:
        """The pieces, until the rights end. What is broken ends with bytes that nobody takes for a whole transfer.

        The last piece leaves only after the end is recorded. Raises what broke it: Refusal, or anything unexpected.
        """
        sent, held = Sent(time.perf_counter()), (b"", 0)
        try:
            for piece in self._permitted(pieces):
                if held[0]:
                    yield sent.counted(held)
                held = piece
            last = sent.counted(held)
            self._record(sent, "complete")
            yield last
        except GeneratorExit:
            self._record(sent, "left")
            raise
        except Exception as error:
            try:
                self._record(sent, error.code if isinstance(error, Refusal) else "failed")
            finally:
                yield self.format.torn
            raise

    def _permitted(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        looked_at = time.monotonic()
        for piece in pieces:
            if time.monotonic() - looked_at >= SECONDS_BETWEEN_LOOKS:
                self.rights.require()
                looked_at = time.monotonic()
            yield piece

    def _record(self, sent: "Sent", end: str) -> None:
        self.door.record_end(sent.entry(self.entry, end))


@dataclass
class Sent:
    """How much of an export has left so far."""

    begun_at: float
    rows: int = 0
    size_bytes: int = 0

    def counted(self, piece: Piece) -> bytes:
        """The bytes of a piece that leaves."""
        written, rows = piece
        self.rows += rows
        self.size_bytes += len(written)
        return written

    def entry(self, begun: AuditEntry, end: str) -> AuditEntry:
        """The audit entry of the end; its body says how many bytes were sent, and why they ended."""
        told = orjson.dumps({"end": end, "sent_bytes": self.size_bytes}).decode()
        taken_ms = round((time.perf_counter() - self.begun_at) * 1_000, 3)
        return begun._replace(at=utc_now(), body=told, rows=self.rows, duration_ms=taken_ms)
