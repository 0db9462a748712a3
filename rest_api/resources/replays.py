"""`/transactions/…/replay` and `/replays`: transactions sent through the pipeline again, and what became of them."""

from typing import Any

from flask import Response, current_app, jsonify, make_response, request
from marshmallow import fields, validate

from rest_api import idempotency
from rest_api.auth import Rule, allow, current_principal
from rest_api.lake.resending import DATASET
from rest_api.models.replay import VERDICTS, Replay, ReplayEvent
from rest_api.query.conditions import Column, ColumnType, Order, Query, Shape
from rest_api.query.sql import Page, Source
from rest_api.request import reader, reading, recorded, session
from rest_api.resources.listing import lists
from rest_api.resources.wire import Blueprint, Time, WireSchema, invalid_fields, json_body
from rest_api.services import replays
from rest_api.services.events import Watcher
from rest_api.services.replay_sources import ReplaySources, Wanted

REPLAYS = Shape(
    name="replays",
    columns=(
        Column("id", ColumnType.TEXT, "id of the replay"),
        Column("job_id", ColumnType.INTEGER, "the job that reads and sends"),
        Column("dataset", ColumnType.TEXT, "where the rows come from"),
        Column("transaction_id", ColumnType.TEXT, "the one transaction; null where there are many"),
        Column("where", ColumnType.JSON, "which of them, as it was asked for; null for all"),
        Column("corrections", ColumnType.JSON, "what was corrected"),
        Column("total", ColumnType.INTEGER, "how many transactions there were"),
        Column("created_at", ColumnType.TIMESTAMP, "when it was asked for"),
        Column("settled_at", ColumnType.TIMESTAMP, "when every verdict was there"),
    ),
    key=("id",),
    default_order=(Order("created_at", descending=True),),
)
EVENTS = Shape(
    name="replay_events",
    columns=(
        Column("transaction_id", ColumnType.TEXT, "the transaction"),
        Column("verdict", ColumnType.TEXT, ", ".join(VERDICTS)),
        Column("reason", ColumnType.TEXT, "why it was not applied"),
    ),
    key=("transaction_id",),
    default_order=(Order("transaction_id"),),
)
REPLAY_ID = "/<uuid:replay_id>"
ASKING = (403, 404, 409)
blueprint = Blueprint("replays", __name__, description="Transactions sent through the pipeline again")


class CorrectionsSchema(WireSchema):
    """What shall be other than it is; nothing where the body is empty."""

    corrections = fields.Dict(
        keys=fields.String(),
        load_default=None,
        allow_none=True,
        metadata={"description": "right values by column; needs `write` as well", "example": {"status": "completed"}},
    )


class FilterSchema(WireSchema):
    """Which transactions; all where the body is empty."""

    where = fields.Dict(
        load_default=None,
        allow_none=True,
        metadata={"description": "conditions on columns", "example": {"country": {"eq": "FR"}}},
    )


class AcceptedSchema(WireSchema):
    """A replay that was asked for."""

    job_id = fields.Integer(required=True, metadata={"description": "tells how far it is, and can be cancelled"})
    replay_id = fields.String(required=True, metadata={"description": "tells what became of each transaction"})


class VerdictCountsSchema(WireSchema):
    """How many transactions came to each verdict; together they are `total`."""

    matched = fields.Integer(required=True, metadata={"description": "the lake has them, with this replay's id"})
    pending = fields.Integer(required=True, metadata={"description": "under way"})
    missing = fields.Integer(required=True, metadata={"description": "sent long ago, and not in the lake"})
    diverged = fields.Integer(required=True, metadata={"description": "the row was another one by then, and stays"})
    dead_lettered = fields.Integer(required=True, metadata={"description": "refused, and kept in the quarantine"})


class ReplaySchema(WireSchema):
    """A replay."""

    id = fields.String(metadata={"description": "id of the replay"})
    job_id = fields.Integer(metadata={"description": "the job that reads and sends", "example": 1})
    dataset = fields.String(metadata={"description": "where the rows come from", "example": "transactions"})
    transaction_id = fields.String(allow_none=True, metadata={"description": "the one; null where there are many"})
    where = fields.Dict(allow_none=True, metadata={"description": "which of them; null for all"})
    corrections = fields.Dict(allow_none=True, metadata={"description": "what was corrected; null for nothing"})
    total = fields.Integer(metadata={"description": "how many transactions there are", "example": 1})
    created_at = Time(metadata={"description": "when it was asked for"})
    settled_at = Time(allow_none=True, metadata={"description": "when every verdict was there; null until then"})


class VerdictsSchema(ReplaySchema):
    """A replay and its verdicts."""

    verdicts = fields.Nested(
        VerdictCountsSchema, metadata={"description": "how many transactions came to each verdict"}
    )


class ReplayEventSchema(WireSchema):
    """What became of one transaction."""

    transaction_id = fields.String(metadata={"example": "t-1000001"})
    verdict = fields.String(validate=validate.OneOf(VERDICTS), metadata={"description": "what is known of it"})
    reason = fields.String(allow_none=True, metadata={"description": "why it was not applied"})


def _body_of(schema: type[WireSchema]) -> dict[str, Any]:
    return {"requestBody": {"required": False, "content": {"application/json": {"schema": schema}}}}


@blueprint.route("/transactions/<transaction_id>/replay", methods=["POST"])
@blueprint.doc(**_body_of(CorrectionsSchema))
@blueprint.response(202, AcceptedSchema)
@allow(Rule.READER, refuses=ASKING, commits_apart=True)
def replay_transaction(transaction_id: str) -> Response:
    """Send one transaction through the pipeline again, from the lake, else from the quarantine.

    Needs `replay`, on the quarantine too where it is there, and every column of the row unmasked. Corrections need
    `write` as well; the key and what a replay itself sets cannot be corrected.
    """
    return _accepted(Wanted(transaction_id=transaction_id, corrections=_body(CorrectionsSchema)["corrections"]))


@blueprint.route("/transactions/replay", methods=["POST"])
@blueprint.doc(**_body_of(FilterSchema))
@blueprint.response(202, AcceptedSchema)
@allow(Rule.READER, refuses=ASKING, commits_apart=True)
def replay_transactions() -> Response:
    """Send all transactions through the pipeline again, or those that a filter leaves; needs `replay` and `write`."""
    return _accepted(Wanted(where=_body(FilterSchema)["where"]))


@blueprint.route("/replays", methods=["GET"])
@lists(REPLAYS, ReplaySchema)
@allow(Rule.READER)
def list_replays(query: Query) -> Page:
    """List replays, the newest first: one's own, and for administrators all."""
    return Source.of(Replay, REPLAYS, *replays.visible(_watcher())).page(session(), query)


@blueprint.route(f"/replays{REPLAY_ID}", methods=["GET"])
@blueprint.response(200, VerdictsSchema)
@allow(Rule.READER, refuses=(403, 404))
def read_replay(replay_id: Any) -> dict[str, Any]:
    """Read what became of a replay: how many transactions came to each verdict."""
    replay = _find(replay_id)
    counted = replays.count(session(), replay)
    recorded(dataset=replay.dataset, rows=counted.total)
    told = {name: getattr(replay, name) for name in REPLAYS.names}
    return {**told, "total": counted.total, "verdicts": counted.verdicts}


@blueprint.route(f"/replays{REPLAY_ID}/events", methods=["GET"])
@lists(EVENTS, ReplayEventSchema)
@allow(Rule.READER, refuses=(403, 404))
def list_replay_events(query: Query, replay_id: Any) -> Page:
    """List what became of each transaction that was sent, by its id: `verdict=missing` for those of one verdict."""
    replay = _find(replay_id)
    return Source.of(ReplayEvent, EVENTS, ReplayEvent.replay_id == replay.id).page(session(), query)


def _accepted(wanted: Wanted) -> Response:
    recorded(dataset=DATASET)
    with reading() as looked_up:
        source = _sources().find(looked_up, reader(), wanted)
        answered = idempotency.repeated(looked_up)
    if answered is not None:
        return answered
    replay = replays.ask(session(), current_principal().id, source, idempotency.running_call())
    snapshot = source.opened.snapshot
    recorded(dataset=snapshot.name, columns=[column.name for column in snapshot.columns], rows=source.rows)
    response = make_response(jsonify({"job_id": replay.job_id, "replay_id": replay.id}), 202)
    response.headers["Location"] = f"/jobs/{replay.job_id}"
    return response


def _body(schema: type[WireSchema]) -> dict[str, Any]:
    """The body; an empty one is an object without members. Raises Invalid, UnsupportedMediaType."""
    given = json_body() if request.get_data(cache=True) else {}
    errors = schema().validate(given)
    if errors:
        raise invalid_fields(errors, schema())
    loaded: dict[str, Any] = schema().load(given)
    return loaded


def _find(replay_id: Any) -> Replay:
    """Raises NotFound for who may not replay that dataset any more, too."""
    replay = replays.find_replay(session(), str(replay_id), _watcher())
    _sources().require_replayable(session(), reader(), replay.dataset)
    return replay


def _watcher() -> Watcher:
    caller = current_principal()
    return Watcher(caller.id, caller.may(Rule.ADMIN))


def _sources() -> ReplaySources:
    lakeport = current_app.extensions["lakeport"]
    return ReplaySources(lakeport.datasets, lakeport.lake)
