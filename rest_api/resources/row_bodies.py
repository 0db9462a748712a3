"""The bodies of `POST /data/datasets/{dataset}/rows`: rows as they are, or events of the pipeline."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import request
from marshmallow import ValidationError, fields, validate

from rest_api.backends.writing import Source
from rest_api.errors import FieldError, Invalid, UnsupportedMediaType
from rest_api.lake.events import Event, Origin
from rest_api.lake.replays import HASH_BYTES, Replay
from rest_api.query.strict_json import loads_exactly
from rest_api.resources.wire import JSON_TYPES, WholeNumber, WireSchema, invalid_fields
from rest_api.services.writes import APPEND, MERGE

LAST_OFFSET, LAST_PARTITION = 2**63 - 1, 2**31 - 1
MAX_EVENTS = 10_000
MAX_ERRORS = 100
HASH = re.compile(f"[0-9a-f]{{{2 * HASH_BYTES}}}")
ROW = {"transaction_id": "t-1000001", "timestamp": "2026-11-01T12:00:00Z", "amount": 12.5}


class SourceSchema(WireSchema):
    """Where the rows come from: those up to an offset of a partition are written once, however often they come."""

    topic = fields.String(
        required=True,
        validate=validate.Length(1, 249),
        metadata={"description": "name of the topic", "example": "sales"},
    )
    partition = WholeNumber(
        required=True, validate=validate.Range(0, LAST_PARTITION), metadata={"description": "partition of the topic"}
    )
    offset = WholeNumber(
        required=True, validate=validate.Range(0, LAST_OFFSET), metadata={"description": "offset of the last row"}
    )


class RowsSchema(WireSchema):
    """Rows for a table. A column that a row leaves out is null in it."""

    rows = fields.List(
        fields.Dict(),
        required=True,
        validate=validate.Length(min=1),
        metadata={
            "description": "values by column: numbers as JSON numbers of all their digits, times in RFC 3339",
            "example": [ROW],
        },
    )
    mode = fields.String(
        load_default=APPEND,
        validate=validate.OneOf((APPEND, MERGE)),
        metadata={"description": "merge replaces the row of the same key", "example": APPEND},
    )
    source = fields.Nested(
        SourceSchema, allow_none=True, load_default=None, metadata={"description": "where the rows come from, if known"}
    )


class EventReplaySchema(WireSchema):
    """What makes an event a replay."""

    id = fields.String(
        required=True, validate=validate.Length(1, 64), metadata={"description": "the replay that it is of"}
    )
    hash = fields.String(
        required=True,
        allow_none=True,
        validate=validate.Regexp(HASH, error="Expected 32 hex digits."),
        metadata={"description": "hash of the row that it was made of; null where the table had none"},
    )
    replayed_at = fields.AwareDateTime(required=True, metadata={"description": "the row's fresh timestamp"})


class PipelineEventSchema(WireSchema):
    """A row to be merged, or the text of a message as it came: one of both."""

    row = fields.Dict(metadata={"description": "values by column", "example": ROW})
    raw = fields.String(metadata={"description": "the text of a message, JSON or not"})
    id = fields.String(
        allow_none=True,
        validate=validate.Length(1, 255),
        metadata={"description": "by which a refused event is known when it comes again"},
    )
    source = fields.Nested(
        SourceSchema, allow_none=True, metadata={"description": "where the message stands, if it has a place"}
    )
    replay = fields.Nested(EventReplaySchema, allow_none=True, metadata={"description": "of a replay only"})


class PipelineEventsSchema(WireSchema):
    """Events of the pipeline: each is checked, and merged by the dataset's key or kept in its quarantine."""

    events = fields.List(
        fields.Nested(PipelineEventSchema),
        required=True,
        validate=validate.Length(1, MAX_EVENTS),
        metadata={"description": f"in the order in which they happened, at most {MAX_EVENTS:,}"},
    )
    mode = fields.String(
        load_default=MERGE,
        validate=validate.OneOf((MERGE,)),
        metadata={"description": "events are always merged", "example": MERGE},
    )


@dataclass(frozen=True)
class GivenRows:
    """Rows, how they are to be written, and whence."""

    rows: list[dict[str, Any]]
    mode: str
    source: Mapping[str, Any] | None


def read_body() -> GivenRows | list[Event]:
    """The body, whose numbers keep all their digits. Raises Invalid, UnsupportedMediaType."""
    if request.mimetype not in JSON_TYPES:
        raise UnsupportedMediaType("This call takes a body of type application/json")
    body = loads_exactly(request.get_data(cache=True))
    if not isinstance(body, dict):
        raise Invalid("The body is a JSON object with rows or events")
    return _events(body) if "events" in body else _rows(body)


def source_of(given: Mapping[str, Any], caller: int) -> Source:
    """Each caller counts by himself: nobody moves another one's offsets on."""
    return Source(f"{caller}:{given['partition']}:{given['topic']}", given["offset"])


def _rows(body: dict[str, Any]) -> GivenRows:
    schema = RowsSchema(exclude=("rows",))  # its fields are a table's
    rest = {name: value for name, value in body.items() if name != "rows"}
    if errors := schema.validate(rest):
        raise invalid_fields(errors, RowsSchema())
    given = schema.load(rest)
    return GivenRows(_objects("rows", body.get("rows")), given["mode"], given["source"])


def _events(body: dict[str, Any]) -> list[Event]:
    schema = PipelineEventsSchema(exclude=("events",))
    if errors := schema.validate({name: value for name, value in body.items() if name != "events"}):
        raise invalid_fields(errors, PipelineEventsSchema())
    given = _objects("events", body["events"])
    if len(given) > MAX_EVENTS:
        detail = f"At most {MAX_EVENTS:,} at once"
        raise Invalid(f"events: {detail}", errors=[FieldError("events", detail)])
    return [_event(row, rest) for row, rest in zip(_event_rows(given), _event_members(given), strict=True)]


def _event_rows(given: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The row, or the text, of each. Raises Invalid where there are none, or both."""
    wrong = [
        FieldError(f"events.{number}", "Expected either a row, which is an object, or raw, which is a text")
        for number, each in enumerate(given)
        if ("row" in each) == ("raw" in each) or not isinstance(each.get("row", {}), dict)
    ]
    if wrong:
        raise Invalid(f"{wrong[0].field}: {wrong[0].detail}", errors=wrong[:MAX_ERRORS])
    return [each.get("row", each.get("raw")) for each in given]


def _event_members(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    schema = PipelineEventSchema(many=True, exclude=("row",))  # its fields are a table's
    rest = [{name: value for name, value in each.items() if name != "row"} for each in given]
    try:
        return list(schema.load(rest))
    except ValidationError as error:
        raise invalid_fields({"events": error.messages}, PipelineEventSchema()) from error


def _event(value: Any, rest: Mapping[str, Any]) -> Event:
    source, replay = rest.get("source"), rest.get("replay")
    return Event(value, replay and Replay(**replay), rest.get("id"), source and Origin(**source))


def _objects(name: str, given: Any) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not given:
        raise Invalid(f"{name} is a list of at least one object", errors=[FieldError(name, "At least one object")])
    wrong = [
        FieldError(f"{name}.{number}", "Not an object")
        for number, each in enumerate(given)
        if not isinstance(each, dict)
    ]
    if wrong:
        raise Invalid(f"{wrong[0].field}: {wrong[0].detail}", errors=wrong[:MAX_ERRORS])
    return given
