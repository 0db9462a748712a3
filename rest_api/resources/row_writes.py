"""`POST /data/datasets/{dataset}/rows`: rows appended to a table or merged into it, and events of the pipeline."""

from collections.abc import Sequence
from typing import Any

from flask import Response, current_app, jsonify, make_response
from marshmallow import fields, validate

from rest_api import idempotency
from rest_api.auth import Rule, allow, current_principal
from rest_api.backends.writing import AlreadyWritten, Source
from rest_api.errors import Conflict
from rest_api.lake.events import Event, Outcome
from rest_api.lake.replays import OUTCOMES, QUARANTINED
from rest_api.request import reader, reading, recorded, session
from rest_api.resources.datasets import datasets
from rest_api.resources.row_bodies import ROW, GivenRows, PipelineEventsSchema, RowsSchema, read_body, source_of
from rest_api.resources.wire import Blueprint, WireSchema
from rest_api.services import changes, writes
from rest_api.services.changes import Intent
from rest_api.services.quarantine import Author
from rest_api.services.writes import MERGE, Staged, Target

BODY = {"schema": {"oneOf": [RowsSchema, PipelineEventsSchema]}, "example": {"rows": [ROW]}}
ACCEPTED = "accepted"
"""What is told of an event that was not refused to who may not read all of the table: not whether it was known."""
blueprint = Blueprint("row_writes", __name__, url_prefix="/data/datasets", description="Rows written to a table")


class EventOutcomeSchema(WireSchema):
    """What became of an event."""

    outcome = fields.String(
        required=True,
        validate=validate.OneOf((*OUTCOMES, ACCEPTED)),
        metadata={"description": "accepted, where it is not told which", "example": "applied"},
    )
    reason = fields.String(allow_none=True, metadata={"description": "why it was not applied", "example": None})


class WrittenSchema(WireSchema):
    """What came of it."""

    dataset = fields.String(required=True, metadata={"example": "transactions"})
    version = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "the version that has the rows; of events null for who may not read all of the table"},
    )
    rows = fields.Integer(
        required=True,
        metadata={"description": "rows written, 0 where their source was known; events that were not refused"},
    )
    outcomes = fields.List(
        fields.Nested(EventOutcomeSchema), metadata={"description": "of events: what became of each, in their order"}
    )


@blueprint.route("/<dataset>/rows", methods=["POST"])
@blueprint.doc(requestBody={"required": True, "content": {"application/json": BODY}})
@blueprint.response(201, WrittenSchema)
@blueprint.alt_response(200, schema=WrittenSchema, description="The rows of this source were written before")
@allow(Rule.READER, refuses=(403, 404, 409), body_limit="batch_bytes", commits_apart=True)
def write_rows(dataset: str) -> Response:
    """Append rows to a table or, with `merge`, replace those of the same key; all of them or none.

    Needs `write`; naming a `source` needs `manage`. The source is written in the table's log together with the rows:
    offsets up to the last one written are answered with 200 and `"rows": 0`.

    In the place of rows, `events` are checked one by one. What is refused goes to the dataset's quarantine with the
    reason, all others are merged by the key: the newer one wins, and a replay is merged only into the row that it was
    made of. Sent again, they change nothing.
    """
    recorded(dataset=dataset)
    asked = read_body()
    whence = source_of(asked.source, current_principal().id) if isinstance(asked, GivenRows) and asked.source else None
    with reading() as looked_up:
        opened = writes.writable(datasets(), looked_up, reader(), dataset, whence=whence)
        target = writes.target_of(looked_up, opened)
        answered = idempotency.repeated(looked_up)
    if answered is not None:
        return answered
    if isinstance(asked, GivenRows):
        return _rows_written(target, asked, whence)
    return _ingested(target, asked, is_told=opened.may_read_all)


def _ingested(target: Target, events: Sequence[Event], *, is_told: bool) -> Response:
    principal = current_principal()
    ingestion = current_app.extensions["lakeport"].ingestion
    done = ingestion.ingest(target, events, Author(principal.id, principal.username))
    done.finish(session())
    rows = sum(outcome.name != QUARANTINED for outcome in done.outcomes)
    recorded(rows=rows)
    outcomes = [_told(outcome, is_told=is_told) for outcome in done.outcomes]
    return _answer(201, target.name, done.version if is_told else None, rows, outcomes=outcomes)


def _told(outcome: Outcome, *, is_told: bool) -> dict[str, str | None]:
    if is_told or outcome.name == QUARANTINED:
        return {"outcome": outcome.name, "reason": outcome.reason}
    return {"outcome": ACCEPTED, "reason": None}


def _rows_written(target: Target, asked: GivenRows, source: Source | None) -> Response:
    _require_key(target, asked)
    if source is not None and current_app.extensions["lakeport"].writes.is_written(target, source):
        return _known(target)
    return _written(target, asked, source)


def _written(target: Target, asked: GivenRows, source: Source | None) -> Response:
    lakeport = current_app.extensions["lakeport"]
    with lakeport.lake.writing.staging() as folder:
        file = folder / "rows.parquet"
        lakeport.lake.writing.stage_rows(target.name, asked.rows, file)
        try:
            staged = Staged(file, len(asked.rows), source)
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


def _answer(status: int, dataset: str, version: int | None, rows: int | None, **more: Any) -> Response:
    response = make_response(jsonify({"dataset": dataset, "version": version, "rows": rows, **more}), status)
    if status == 201:
        response.headers["Location"] = f"/data/datasets/{dataset}"
    return response


def _require_key(target: Target, asked: GivenRows) -> None:
    if asked.mode == MERGE and not target.key:
        raise Conflict("Rows are merged by the dataset's key, and it has none; say one by PUT /data/datasets/{name}")
    writes.require_whole_keys(asked.rows, target.key)
