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
from sqlalchemy.orm import Session

from rest_api.auth import Principal, Rule, TokenBook, allow, current_principal, token_book
from rest_api.database import READ_ONLY, utc_now
from rest_api.door import Door
from rest_api.errors import Refusal, Unauthenticated, unknown
from rest_api.query.exact_json import encode
from rest_api.query.values import wrong
from rest_api.request import reader_of, recorded
from rest_api.resources.listing import given_pairs
from rest_api.resources.wire import Blueprint, Time, WireSchema
from rest_api.services import feeds
from rest_api.services.audit import AuditEntry
from rest_api.services.datasets import Datasets
from rest_api.services.feeds import Asked, Subscriber, Told

PARAMETERS = ("type", "after", "limit", "wait")
DEFAULT_LIMIT, MAX_LIMIT = 20, 100
MAX_WAIT_SECONDS = 30
MAX_TYPES = 20
POLL_SECONDS = 0.2
TYPE = r"[a-z][a-z_.]{0,90}(\.\*)?"
TYPES = rf"(\*|{TYPE}(,{TYPE}){{0,{MAX_TYPES - 1}}})"
HEARTBEAT_SECONDS = 10
NOTHING = b":\n\n"
STREAM = (
    "Server-sent events. Each has its type as `event`, its `sequence` as `id`, and itself as `data`. "
    '`event: policy` with `{"policy": "…"}` comes first, before what is told under other rights than before, and after '
    f"{HEARTBEAT_SECONDS} seconds of silence, then with an `id`: everything up to it was told. "
    '`event: end` with `{"code": "…"}` says why the stream ends, within a second of the end of the login.'
)
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
    policy = fields.String(
        metadata={"description": "fingerprint of the caller's rights that it was chosen by, as `/auth/me` has it"}
    )
    datacontenttype = fields.String(metadata={"example": "application/json"})
    data = fields.Dict(
        metadata={
            "description": "what it is about, as it was after the change; of a dataset that the caller sees a part of, "
            "`kind` and `rows` are null"
        }
    )


@dataclass(frozen=True)
class Request:
    """What a caller asks of the events, and how long he waits where there is none yet."""

    asked: Asked
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
        "required": ["data", "next", "next_url", "policy"],
        "properties": {
            "data": {"type": "array", "description": "the events, the oldest first", "items": EventSchema},
            "next": {
                "type": "string",
                "description": "the `after` to go on with; events never end, so it is always there",
            },
            "next_url": {"type": "string", "description": "path and parameters of the next page"},
            "policy": {
                "type": "string",
                "description": "fingerprint of the caller's rights that the page was chosen by, as `/auth/me` has it",
            },
        },
    }
    stream = {"schema": {"type": "string", "description": STREAM}}
    content = {"application/json": {"schema": envelope}, "text/event-stream": stream}
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
    wanted = read_request(given_pairs(request.query_string))
    if request.accept_mimetypes.best_match(("application/json", "text/event-stream")) == "text/event-stream":
        return _stream(wanted.asked)
    return _page(wanted)


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
    asked = Asked(
        () if types == "*" else tuple(types.split(",")),
        _whole("after", given["after"], 0, 2**63 - 1) if "after" in given else None,
        _whole("limit", given.get("limit", str(DEFAULT_LIMIT)), 1, MAX_LIMIT),
    )
    return Request(asked, _whole("wait", given.get("wait", "0"), 0, MAX_WAIT_SECONDS))


def _whole(name: str, text: str, minimum: int, maximum: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and minimum <= int(text) <= maximum):
        raise wrong(name, f"{name} takes a whole number from {minimum} to {maximum}")
    return int(text)


@dataclass(frozen=True)
class Source:
    """What reads events for a caller by his rights of the moment, within a request or after it."""

    book: TokenBook
    datasets: Datasets

    def read(self, caller: Principal, asked: Asked) -> Told:
        """The next events. Raises Gone, Unavailable."""
        subscriber = Subscriber(caller.id, caller.role, reader_of(caller))
        with self.book.engine.connect().execution_options(**READ_ONLY) as connection, Session(connection) as session:
            return feeds.read(session, self.datasets, subscriber, asked)

    def read_again(self, caller: Principal, asked: Asked) -> Told:
        """The next events, for who may call still. Raises Unauthenticated, Gone, Unavailable."""
        return self.read(self.book.look_up_again(caller), asked)


def _source() -> Source:
    return Source(token_book(), current_app.extensions["lakeport"].datasets)


def _page(wanted: Request) -> Response:
    ends_at = time.monotonic() + wanted.wait_seconds
    told = _source().read(current_principal(), wanted.asked)
    if not told.events and wanted.wait_seconds:
        told = _wait(_source(), current_principal(), wanted.asked, ends_at)
    recorded(dataset="events", rows=len(told.events))
    others = "".join(f"&{name}={value}" for name, value in _kept(wanted.asked))
    following = {"next": str(told.at), "next_url": f"/events?after={told.at}{others}"}
    response = Response(encode({"data": told.events, **following, "policy": told.policy}), mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _wait(source: Source, caller: Principal, asked: Asked, ends_at: float) -> Told:
    give_back = current_app.extensions["lakeport"].door.wait_apart()
    try:
        while True:
            time.sleep(POLL_SECONDS)
            told = source.read_again(caller, asked)
            if told.events or time.monotonic() >= ends_at:
                return told
    finally:
        give_back()


def _kept(asked: Asked) -> Iterator[tuple[str, str]]:
    if asked.types:
        yield "type", ",".join(asked.types)
    if asked.limit != DEFAULT_LIMIT:
        yield "limit", str(asked.limit)


def _stream(asked: Asked) -> Response:
    """Server-sent events; the event's id is its sequence, and `Last-Event-ID` goes on after it."""
    last = request.headers.get("Last-Event-ID")
    if last is not None:
        asked = replace(asked, after=_whole("Last-Event-ID", last, 0, 2**63 - 1))
    caller, door = current_principal(), current_app.extensions["lakeport"].door
    first = _source().read(caller, asked)
    recorded(dataset="events", rows=len(first.events))
    stream = Stream(_source(), door, caller, asked, door.entry(200))
    response = Response(stream.told(first), mimetype="text/event-stream")
    response.call_on_close(door.wait_apart())
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


@dataclass(frozen=True)
class Stream:
    """Tells one caller events until he leaves or his token ends; it outlives the request that began it."""

    source: Source
    door: Door
    caller: Principal
    asked: Asked
    entry: AuditEntry

    def told(self, first: Told) -> Iterator[bytes]:
        """What is there, then what comes; the end is recorded with the number of events."""
        rows, begun_at = 0, time.perf_counter()
        yield b": lakeport events\n\n" + _policy(first)
        try:
            for chunk, count in self._chunks(first):
                rows += count
                yield chunk
        except Refusal as refusal:
            yield b"event: end\ndata: " + orjson.dumps({"code": refusal.code}) + b"\n\n"
        finally:
            taken_ms = round((time.perf_counter() - begun_at) * 1_000, 3)
            ended = self.entry._replace(at=utc_now(), rows=rows, duration_ms=taken_ms)
            self.door.record_end(ended)

    def _chunks(self, told: Told) -> Iterator[tuple[bytes, int]]:
        said_at, policy = time.monotonic(), told.policy
        while time.time() < self.caller.token_ends_at:
            if told.policy != policy:
                policy = told.policy
                yield _policy(told), 0
            for each in told.events:
                yield _as_sse(each), 1
            if told.events:
                said_at = time.monotonic()
            elif time.monotonic() - said_at > HEARTBEAT_SECONDS:
                said_at = time.monotonic()
                yield f"id: {told.at}\n".encode() + _policy(told), 0
            else:
                time.sleep(POLL_SECONDS)
                # The server closes us where the client has left: his place is free then, not at the next sign of life.
                yield NOTHING, 0
            told = self.source.read_again(self.caller, replace(self.asked, after=told.at))
        raise Unauthenticated("The token has expired")


def _policy(told: Told) -> bytes:
    return b"event: policy\ndata: " + orjson.dumps({"policy": told.policy}) + b"\n\n"


def _as_sse(event: dict[str, Any]) -> bytes:
    return f"id: {event['sequence']}\nevent: {event['type']}\ndata: ".encode() + encode(event) + b"\n\n"
