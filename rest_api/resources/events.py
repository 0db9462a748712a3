"""`/events`: what changed, in the order it was committed; by pages, by long poll, or as a stream."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
from flask import Response, current_app, request
from flask_smorest import Blueprint as Documented
from marshmallow import fields

from rest_api.auth import Principal, Rule, TokenBook, allow, current_principal, token_book
from rest_api.database import READ_ONLY, utc_now
from rest_api.door import Door
from rest_api.errors import Refusal, Unauthenticated, unknown
from rest_api.query.values import wrong
from rest_api.request import recorded
from rest_api.resources.listing import encode, given_pairs
from rest_api.resources.wire import Blueprint, Time, WireSchema
from rest_api.services import events
from rest_api.services.audit import AuditEntry
from rest_api.services.events import Watcher

PARAMETERS = ("type", "after", "limit", "wait")
DEFAULT_LIMIT, MAX_LIMIT = 20, 100
MAX_WAIT_SECONDS = 30
MAX_TYPES = 20
POLL_SECONDS = 0.2
TYPE = r"[a-z][a-z_.]{0,90}(\.\*)?"
TYPES = rf"(\*|{TYPE}(,{TYPE}){{0,{MAX_TYPES - 1}}})"
HEARTBEAT_SECONDS = 10
blueprint = Blueprint("events", __name__, url_prefix="/events", description="What changed, in order")


class EventSchema(WireSchema):
    """An event, with the members of CloudEvents 1.0."""

    specversion = fields.String(metadata={"example": "1.0"})
    id = fields.String(metadata={"description": "the same whenever the event is told again"})
    source = fields.String(metadata={"example": "/lakeport"})
    type = fields.String(metadata={"example": "article.created"})
    subject = fields.String(metadata={"example": "articles/1"})
    time = Time(metadata={"description": "when it happened"})
    sequence = fields.String(metadata={"description": "place in the order of commits; `after` takes it"})
    datacontenttype = fields.String(metadata={"example": "application/json"})
    data = fields.Dict(metadata={"description": "what it is about, as it was after the change"})


@dataclass(frozen=True)
class Request:
    """What a caller asks of the events."""

    types: tuple[str, ...]
    after: int | None
    limit: int
    wait_seconds: int


def _documentation() -> dict[str, Any]:
    whole = {"type": "integer", "minimum": 0}
    parameters = [
        (
            "type",
            {"type": "string", "pattern": f"^{TYPES}$"},
            "types, by commas; `article.*` for all of a kind",
        ),
        ("after", {**whole, "maximum": 2**63 - 1}, "only events after this `sequence`"),
        ("limit", {**whole, "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}, "events of a page"),
        (
            "wait",
            {**whole, "maximum": MAX_WAIT_SECONDS, "default": 0},
            "seconds to wait for an event where there is none yet",
        ),
    ]
    envelope = {
        "type": "object",
        "required": ["data", "next", "next_url"],
        "properties": {
            "data": {"type": "array", "description": "the events, the oldest first", "items": EventSchema},
            "next": {
                "type": "string",
                "description": "the `after` to go on with; events never end, so it is always there",
            },
            "next_url": {"type": "string", "description": "path and parameters of the next page"},
        },
    }
    content = {"application/json": {"schema": envelope}, "text/event-stream": {"schema": {"type": "string"}}}
    return {
        "parameters": [
            {"name": name, "in": "query", "schema": schema, "description": said} for name, schema, said in parameters
        ],
        "responses": {"200": {"description": "A page, or a stream where `Accept` asks for one", "content": content}},
    }


@blueprint.route("", methods=["GET"])
@Documented.doc(**_documentation())
@allow(Rule.READER, refuses=(410,))
def list_events() -> Response:
    """Events in the order of their commits, those the caller may see at this moment."""
    asked = read_request(given_pairs(request.query_string))
    if request.accept_mimetypes.best_match(("application/json", "text/event-stream")) == "text/event-stream":
        return _stream(asked)
    return _page(asked)


def read_request(pairs: list[tuple[str, str]]) -> Request:
    """What the URL asks for. Raises Invalid."""
    for name, _ in pairs:
        if name not in PARAMETERS:
            raise unknown("parameter", name, PARAMETERS)
    given = dict(pairs)
    if len(given) < len(pairs):
        raise wrong("type", "Every parameter is given once")
    types = given.get("type", "*")
    if not re.fullmatch(TYPES, types):
        raise wrong("type", f"type takes 1 to {MAX_TYPES} types by commas, such as article.created or article.*")
    return Request(
        () if types == "*" else tuple(types.split(",")),
        _whole("after", given["after"], 0, 2**63 - 1) if "after" in given else None,
        _whole("limit", given.get("limit", str(DEFAULT_LIMIT)), 1, MAX_LIMIT),
        _whole("wait", given.get("wait", "0"), 0, MAX_WAIT_SECONDS),
    )


def _whole(name: str, text: str, minimum: int, maximum: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and minimum <= int(text) <= maximum):
        raise wrong(name, f"{name} takes a whole number from {minimum} to {maximum}")
    return int(text)


def _page(asked: Request) -> Response:
    ends_at = time.monotonic() + asked.wait_seconds
    book, caller = token_book(), current_principal()
    found, at = _read(book, caller, asked)
    if not found and asked.wait_seconds:
        found, at = _wait(book, caller, asked, ends_at)
    recorded(dataset="events", rows=len(found))
    others = "".join(f"&{name}={value}" for name, value in _kept(asked))
    body = {"data": found, "next": str(at), "next_url": f"/events?after={at}{others}"}
    response = Response(encode(body), mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _wait(book: TokenBook, caller: Principal, asked: Request, ends_at: float) -> tuple[list[dict[str, Any]], int]:
    give_back = current_app.extensions["lakeport"].door.wait_apart()
    try:
        while True:
            time.sleep(POLL_SECONDS)
            found, at = _read(book, book.look_up_again(caller), asked)
            if found or time.monotonic() >= ends_at:
                return found, at
    finally:
        give_back()


def _kept(asked: Request) -> Iterator[tuple[str, str]]:
    if asked.types:
        yield "type", ",".join(asked.types)
    if asked.limit != DEFAULT_LIMIT:
        yield "limit", str(asked.limit)


def _read(book: TokenBook, principal: Principal, asked: Request) -> tuple[list[dict[str, Any]], int]:
    """The next events, and the number to go on after."""
    watcher = Watcher(principal.id, principal.may(Rule.ADMIN))
    with book.engine.connect().execution_options(**READ_ONLY) as connection:
        # Read first: what is committed after it has a greater number and is found next time.
        newest = events.last_sequence(connection)
        found = events.read_events(connection, watcher, asked.types, asked.after, asked.limit)
    if len(found) == asked.limit:
        return found, int(found[-1]["sequence"])
    return found, max(newest, asked.after or 0, *(int(each["sequence"]) for each in found[-1:]))


def _stream(asked: Request) -> Response:
    """Server-sent events; the event's id is its sequence, and `Last-Event-ID` goes on after it."""
    last = request.headers.get("Last-Event-ID")
    if last is not None:
        asked = replace(asked, after=_whole("Last-Event-ID", last, 0, 2**63 - 1))
    caller, door = current_principal(), current_app.extensions["lakeport"].door
    first = _read(token_book(), caller, asked)
    recorded(dataset="events", rows=len(first[0]))
    stream = Stream(token_book(), door, caller, asked, door.entry(200))
    response = Response(stream.told(*first), mimetype="text/event-stream")
    response.call_on_close(door.wait_apart())
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


@dataclass(frozen=True)
class Stream:
    """Tells one caller events until he leaves or his token ends; it outlives the request that began it."""

    book: TokenBook
    door: Door
    caller: Principal
    asked: Request
    entry: AuditEntry

    def told(self, found: list[dict[str, Any]], at: int) -> Iterator[bytes]:
        """What is there, then what comes; the end is recorded with the number of events."""
        rows, begun_at = 0, time.perf_counter()
        yield b": lakeport events\n\n"
        try:
            for chunk, count in self._chunks(found, at):
                rows += count
                yield chunk
        except Refusal as refusal:
            yield b"event: end\ndata: " + orjson.dumps({"code": refusal.code}) + b"\n\n"
        finally:
            taken_ms = round((time.perf_counter() - begun_at) * 1_000, 3)
            ended = replace(self.entry, at=utc_now(), rows=rows, duration_ms=taken_ms)
            self.door.chain.record(self.door.engine, ended)

    def _chunks(self, found: list[dict[str, Any]], at: int) -> Iterator[tuple[bytes, int]]:
        said_at = time.monotonic()
        while time.time() < self.caller.token_ends_at:
            for each in found:
                yield _as_sse(each), 1
            if found:
                said_at = time.monotonic()
            elif time.monotonic() - said_at > HEARTBEAT_SECONDS:
                said_at = time.monotonic()
                yield b": still here\n\n", 0
            else:
                time.sleep(POLL_SECONDS)
            found, at = _read(self.book, self.book.look_up_again(self.caller), replace(self.asked, after=at))
        raise Unauthenticated("The token has expired")


def _as_sse(event: dict[str, Any]) -> bytes:
    return f"id: {event['sequence']}\nevent: {event['type']}\ndata: ".encode() + encode(event) + b"\n\n"
