"""`POST /data/upload`: a file of CSV, JSON or Parquet becomes rows of a table, or a file of a dataset."""

import hashlib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
from flask import Response, current_app, jsonify, make_response, request
from marshmallow import fields

from rest_api import idempotency
from rest_api.auth import Rule, allow, current_principal
from rest_api.backends.parsing import format_of
from rest_api.backends.storage.workplaces import workplace
from rest_api.bodies import parts
from rest_api.errors import FieldError, Invalid
from rest_api.request import reader, reading, recorded, session
from rest_api.resources.datasets import datasets
from rest_api.resources.multipart import Received, Receiver, boundary_of
from rest_api.resources.wire import Blueprint, WireSchema
from rest_api.services import changes, uploads
from rest_api.services.audit import Body, printable
from rest_api.services.changes import Change, Intent
from rest_api.services.uploads import Destination, Sent, Wanted

FIELDS = ("dataset", "kind", "mode")
BODY = {
    "type": "object",
    "required": ["file", "dataset"],
    "properties": {
        "dataset": {"type": "string", "description": "name of the dataset", "example": "sales.new_orders"},
        "kind": {
            "type": "string",
            "enum": list(uploads.KINDS),
            "description": "of a new dataset: table unless given; of one that is there: what it is",
        },
        "mode": {
            "type": "string",
            "enum": list(uploads.MODES),
            "description": "append, or create where there is no such dataset, unless given",
        },
        "file": {
            "type": "string",
            "format": "binary",
            "example": "order_id,total\n1,9.5\n;filename=orders.csv",
            "description": "its name ends in .csv, .json, .ndjson, .jsonl (each also .gz) or .parquet",
        },
    },
}
blueprint = Blueprint("uploads", __name__, url_prefix="/data", description="Files uploaded")


class UploadedSchema(WireSchema):
    """What came of it."""

    dataset = fields.String(required=True, metadata={"example": "sales.orders"})
    version = fields.Integer(
        required=True, allow_none=True, metadata={"description": "the table's version; null of a folder of files"}
    )
    rows = fields.Integer(required=True, metadata={"description": "rows of the file"})
    bytes = fields.Integer(required=True, metadata={"description": "size of the file as it was sent"})
    sha256 = fields.String(required=True, metadata={"description": "SHA-256 of the file as it was sent"})


@blueprint.route("/upload", methods=["POST"])
@blueprint.doc(requestBody={"required": True, "content": {"multipart/form-data": {"schema": BODY}}})
@blueprint.response(201, UploadedSchema)
@allow(Rule.READER, refuses=(403, 404, 409), body_limit="upload_bytes", commits_apart=True, streams_body=True)
def upload() -> Response:
    """Upload a file: all of its rows or none. Fields come in any order; before the file they refuse it sooner.

    Appending needs `write`, overwriting `manage` of the whole dataset, creating `manage` of the folder. An
    `Idempotency-Key` holds for the fields and the file's SHA-256.
    """
    with reading() as looked_up:
        uploads.require_some_right(looked_up, reader())
    boundary = boundary_of(request.headers)
    settings = current_app.extensions["lakeport"].settings
    give_back = current_app.extensions["lakeport"].door.receive_apart()
    try:
        with workplace(settings.uploads_dir) as folder:
            file = folder / "body"
            return _settled(_received(boundary, file, settings.upload_bytes), file)
    finally:
        give_back()


def _received(boundary: bytes, file: Path, most_bytes: int) -> Received:
    receiver = Receiver(file, FIELDS, _refuse_early)
    with closing(parts(request.environ["wsgi.input"], request.content_length, most_bytes)) as body:
        received = receiver.receive(body, boundary)
    told = {**received.fields, "file": printable(received.filename[:255])}
    recorded(body=Body(orjson.dumps(told).decode(), received.size_bytes, received.sha256))
    return received


def _refuse_early(given: Mapping[str, str]) -> None:
    """Refuse a file that is about to come, by the fields that came before it."""
    if "dataset" in given:
        _destination(_wanted(given))


def _settled(received: Received, file: Path) -> Response:
    wanted = _wanted(received.fields)
    recorded(dataset=wanted.dataset[:300])
    sent = Sent(file, format_of(received.filename))
    idempotency.body_was(_meaning(received))
    with reading() as looked_up:
        destination = uploads.destination(datasets(), looked_up, reader(), wanted)
        answered = idempotency.repeated(looked_up)
    if answered is not None:
        return answered
    change = current_app.extensions["lakeport"].uploads.commit(destination, sent, _intent)
    changes.finish(session(), change)
    return _answer(change, received)


def _answer(change: Change, received: Received) -> Response:
    dataset, rows = change.intent.dataset, change.intent.rows
    recorded(rows=rows)
    version = change.committed and change.committed.version
    told = {"dataset": dataset, "version": version, "rows": rows}
    response = make_response(jsonify({**told, "bytes": received.size_bytes, "sha256": received.sha256}), 201)
    response.headers["Location"] = f"/data/datasets/{dataset}"
    return response


def _destination(wanted: Wanted) -> Destination:
    with reading() as looked_up:
        return uploads.destination(datasets(), looked_up, reader(), wanted)


def _wanted(given: Mapping[str, str]) -> Wanted:
    """What the fields ask for. Raises Invalid."""
    if "dataset" not in given:
        raise Invalid("dataset: Missing", errors=[FieldError("dataset", "Missing")])
    for name, known in (("kind", uploads.KINDS), ("mode", uploads.MODES)):
        if name in given and given[name] not in known:
            detail = f"One of {', '.join(known)}"
            raise Invalid(f"{name}: {detail}", errors=[FieldError(name, detail)])
    return Wanted(given["dataset"], given.get("kind"), given.get("mode"))


def _meaning(received: Received) -> str:
    """What makes two uploads the same: the fields, the format and the content."""
    meaning: Any = [sorted(received.fields.items()), str(format_of(received.filename)), received.sha256]
    return hashlib.sha256(orjson.dumps(meaning)).hexdigest()


def _intent(destination: Destination, rows: int) -> Intent:
    principal = current_principal()
    return Intent(
        dataset=destination.dataset,
        kind=destination.mode,
        identity=destination.identity,
        user_id=principal.id,
        username=principal.username,
        rows=rows,
        call=idempotency.running_call(),
    )
