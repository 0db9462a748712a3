"""`POST /data/datasets/{dataset}/rows`: rows appended to a table, or merged into it by its key."""

from dataclasses import dataclass
from typing import Any

from flask import Response, current_app, jsonify, make_response, request
from marshmallow import fields, validate

from rest_api import idempotency
from rest_api.auth import Rule, allow, current_principal
from rest_api.backends.writing import AlreadyWritten, Source
from rest_api.errors import Conflict, FieldError, Invalid, UnsupportedMediaType
from rest_api.query.strict_json import loads_exactly
from rest_api.request import reader, reading, recorded, session
from rest_api.resources.datasets import datasets
from rest_api.resources.wire import JSON_TYPES, Blueprint, WholeNumber, WireSchema, invalid_fields
from rest_api.services import changes, writes
from rest_api.services.changes import Intent
from rest_api.services.writes import APPEND, MERGE, Staged, Target

LAST_OFFSET = 2**63 - 1
blueprint = Blueprint("row_writes", __name__, url_prefix="/data/datasets", description="Rows written to a table")


class SourceSchema(WireSchema):
    """Where the rows come from: those up to an offset of a partition are written once, however often they come."""

    topic = fields.String(
        required=True,
        validate=validate.Length(1, 249),
        metadata={"description": "name of the topic", "example": "sales"},
    )
    partition = WholeNumber(
        required=True, validate=validate.Range(0, 2**31 - 1), metadata={"description": "partition of the topic"}
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
            "example": [{"transaction_id": "t-1000001", "timestamp": "2026-11-01T12:00:00Z", "amount": 12.5}],
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


class WrittenSchema(WireSchema):
    """What came of it."""

    dataset = fields.String(required=True, metadata={"example": "transactions"})
    version = fields.Integer(required=True, metadata={"description": "the version that has the rows"})
    rows = fields.Integer(required=True, metadata={"description": "rows written; 0 where their source was known"})


@dataclass(frozen=True)
class Asked:
    """A body that was read."""

    rows: list[dict[str, Any]]
    mode: str
    source: Source | None


@blueprint.route("/<dataset>/rows", methods=["POST"])
@blueprint.doc(requestBody={"required": True, "content": {"application/json": {"schema": RowsSchema}}})
@blueprint.response(201, WrittenSchema)
@blueprint.alt_response(200, schema=WrittenSchema, description="The rows of this source were written before")
@allow(Rule.READER, refuses=(403, 404, 409), body_limit="batch_bytes", commits_apart=True)
def write_rows(dataset: str) -> Response:
    """Append rows to a table or, with `merge`, replace those of the same key; all of them or none.

    Needs `write`; naming a `source` needs `manage`. The source is written in the table's log together with the rows:
    offsets up to the last one written are answered with 200 and `"rows": 0`.
    """
    recorded(dataset=dataset)
    asked = _asked()
    with reading() as looked_up:
        target = writes.writable(datasets(), looked_up, reader(), dataset, whence=asked.source)
        answered = idempotency.repeated(looked_up)
    if answered is not None:
        return answered
    _require_key(target, asked)
    lakeport = current_app.extensions["lakeport"]
    if asked.source is not None and lakeport.writes.is_written(target, asked.source):
        return _known(target)
    return _written(target, asked)


def _written(target: Target, asked: Asked) -> Response:
    lakeport = current_app.extensions["lakeport"]
    with lakeport.lake.writing.staging() as folder:
        file = folder / "rows.parquet"
        lakeport.lake.writing.stage_rows(target.name, asked.rows, file)
        try:
            staged = Staged(file, len(asked.rows), asked.source)
            change = lakeport.writes.write(target, staged, intent(target, asked.mode, len(asked.rows)))
        except AlreadyWritten:
            return _known(target)
    changes.finish(session(), change)
    recorded(rows=change.intent.rows)
    return _answer(201, target.name, change.committed and change.committed.version, change.intent.rows)


def intent(target: Target, kind: str, rows: int) -> Intent:
    """The change that the running call asks for."""
    principal = current_principal()
    return Intent(
        dataset=target.name,
        kind=kind,
        identity=target.snapshot.identity,
        user_id=principal.id,
        username=principal.username,
        rows=rows,
        call=idempotency.running_call(),
    )


def _known(target: Target) -> Response:
    newest = current_app.extensions["lakeport"].lake.catalog.snapshot(target.name)
    recorded(rows=0)
    return _answer(200, target.name, newest and newest.version, 0)


def _answer(status: int, dataset: str, version: int | None, rows: int | None) -> Response:
    response = make_response(jsonify({"dataset": dataset, "version": version, "rows": rows}), status)
    if status == 201:
        response.headers["Location"] = f"/data/datasets/{dataset}"
    return response


def _require_key(target: Target, asked: Asked) -> None:
    if asked.mode == MERGE and not target.key:
        raise Conflict("Rows are merged by the dataset's key, and it has none; say one by PUT /data/datasets/{name}")
    writes.require_whole_keys(asked.rows, target.key)


def _asked() -> Asked:
    """The body, whose numbers keep all their digits. Raises Invalid, UnsupportedMediaType."""
    if request.mimetype not in JSON_TYPES:
        raise UnsupportedMediaType("This call takes a body of type application/json")
    body = loads_exactly(request.get_data(cache=True))
    if not isinstance(body, dict):
        raise Invalid("The body is a JSON object with rows")
    schema = RowsSchema(exclude=("rows",))  # its fields are a table's
    rest = {name: value for name, value in body.items() if name != "rows"}
    if errors := schema.validate(rest):
        raise invalid_fields(errors, RowsSchema())
    given = schema.load(rest)
    return Asked(_rows(body.get("rows")), given["mode"], _source(given["source"]))


def _rows(rows: Any) -> list[dict[str, Any]]:
    if not isinstance(rows, list) or not rows:
        raise Invalid("rows is a list of at least one object", errors=[FieldError("rows", "At least one object")])
    wrong = [
        FieldError(f"rows.{number}", "Not an object") for number, row in enumerate(rows) if not isinstance(row, dict)
    ]
    if wrong:
        raise Invalid(f"{wrong[0].field}: {wrong[0].detail}", errors=wrong[:100])
    return rows


def _source(given: dict[str, Any] | None) -> Source | None:
    """Each caller counts by himself: nobody moves another one's offsets on."""
    if given is None:
        return None
    return Source(f"{current_principal().id}:{given['partition']}:{given['topic']}", given["offset"])
