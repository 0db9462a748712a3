"""`/data/datasets/{dataset}/versions`, `/diff`, `/restore`: what a table was, what changed, and back again."""

from dataclasses import replace
from typing import Any

from flask import Response, current_app, request
from marshmallow import fields, validate

from rest_api import idempotency
from rest_api.auth import Rule, allow, current_principal
from rest_api.lake.diffs import Change, Diff, DiffPage
from rest_api.query.conditions import Column, ColumnType, Order, Query, Shape
from rest_api.query.cursors import Binding
from rest_api.query.exact_json import encode
from rest_api.query.grammar import parse_url
from rest_api.query.sql import Page
from rest_api.query.values import from_text, wrong
from rest_api.request import reader, reading, recorded, session
from rest_api.resources.datasets import datasets
from rest_api.resources.listing import (
    Pairs,
    documentation,
    given_pairs,
    next_url_of,
    page_response,
    sealer,
    tag_of,
)
from rest_api.resources.wire import Blueprint, Time, WholeNumber, WireSchema
from rest_api.services import changes, versions
from rest_api.services.changes import Intent
from rest_api.services.datasets import Asked, Opened, telling_of_corruption

LAST_VERSION = 2**62
PLACE = Column("\x00place", ColumnType.INTEGER)
VERSIONS = Shape(
    name="versions",
    columns=(),
    key=(PLACE.name,),
    hidden=(PLACE,),
    default_order=(Order(PLACE.name, descending=True),),
    parameters=("limit", "cursor"),
)
CHANGES = replace(VERSIONS, name="diff", default_order=(), default_limit=10, max_limit=10)
ENDS = ("from", "to")
blueprint = Blueprint("versions", __name__, url_prefix="/data/datasets", description="Versions of a table")


class VersionSchema(WireSchema):
    """A version; what would tell of rows or columns that the caller does not see is null."""

    number = fields.Integer(required=True, metadata={"description": "versions count from 0", "example": 7})
    at = Time(required=True, metadata={"description": "when it was committed"})
    operation = fields.String(required=True, allow_none=True, metadata={"description": "what made it, as the log says"})
    rows = fields.Integer(required=True, allow_none=True, metadata={"description": "rows that it added, where known"})
    who = fields.String(required=True, allow_none=True, metadata={"description": "who made it, where known"})


class ChangeSchema(WireSchema):
    """A row that differs between two versions."""

    change = fields.String(
        required=True,
        validate=validate.OneOf(("added", "removed", "changed")),
        metadata={"description": "what became of it from `from` to `to`"},
    )
    row = fields.Dict(required=True, metadata={"description": "the row; of a changed one as it is in `to`"})
    before = fields.Dict(required=True, allow_none=True, metadata={"description": "a changed row as it is in `from`"})


class CountsSchema(WireSchema):
    """How many rows differ, on all pages."""

    added = fields.Integer(required=True, metadata={"example": 2})
    removed = fields.Integer(required=True, metadata={"example": 1})
    changed = fields.Integer(required=True, metadata={"example": 0})


class DiffSchema(WireSchema):
    """A page of differences."""

    data = fields.List(
        fields.Nested(ChangeSchema), required=True, metadata={"description": "the differences of this page"}
    )
    next = fields.String(required=True, allow_none=True, metadata={"description": "cursor of the next page"})
    next_url = fields.String(required=True, allow_none=True, metadata={"description": "address of the next page"})
    counts = fields.Nested(CountsSchema, required=True, metadata={"description": "differences on all pages"})


class RestoreSchema(WireSchema):
    """Which version shall be the newest again."""

    version = WholeNumber(
        required=True,
        validate=validate.Range(0, LAST_VERSION),
        metadata={"description": "a version that is kept", "example": 0},
    )


class RestoredSchema(WireSchema):
    """What came of it."""

    dataset = fields.String(required=True, metadata={"example": "transactions"})
    version = fields.Integer(required=True, metadata={"description": "the new version, of the old one's rows"})
    rows = fields.Integer(required=True, allow_none=True, metadata={"description": "rows that it has, where known"})


def _end_parameter(name: str, meaning: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": "^[0-9]{1,18}$"}
    return {"name": name, "in": "query", "required": True, "description": meaning, "schema": schema, "example": "0"}


DIFF_PARAMETERS = [
    _end_parameter("from", "a version"),
    _end_parameter("to", "the version that it is compared with; it may be the earlier one"),
    *documentation(CHANGES, ChangeSchema)["parameters"],
]


@blueprint.route("/<dataset>/versions", methods=["GET"])
@blueprint.doc(**documentation(VERSIONS, VersionSchema))
@allow(Rule.READER, refuses=(403, 404, 409))
def list_versions(dataset: str) -> Response:
    """List the versions of a table, the newest first, as far back as they are kept."""
    opened = datasets().open(session(), reader(), Asked(dataset))
    pairs = given_pairs(request.query_string)
    query = parse_url(pairs, VERSIONS)
    binding = _binding(VERSIONS, dataset, query, opened, opened.snapshot.identity)
    before = None if query.cursor is None else sealer().open(query.cursor, binding)[0]
    catalog = current_app.extensions["lakeport"].lake.catalog
    found = catalog.versions(opened.snapshot, before, query.limit + 1)
    rows = [versions.told(opened, each) for each in found[: query.limit]]
    answer = page_response(Page(rows, (rows[-1]["number"],) if len(found) > query.limit else None), pairs, binding)
    recorded(dataset=dataset, rows=len(rows))
    return answer


@blueprint.route("/<dataset>/diff", methods=["GET"])
@blueprint.doc(parameters=DIFF_PARAMETERS)
@blueprint.response(200, DiffSchema)
@allow(Rule.READER, refuses=(403, 404, 409, 410, 504))
def compare_versions(dataset: str) -> Response:
    """List the rows that differ between two versions, as the caller sees both."""
    pairs = given_pairs(request.query_string)
    before, after = (_opened(dataset, _end(pairs, name)) for name in ENDS)
    query = parse_url([pair for pair in pairs if pair[0] not in ENDS], CHANGES)
    diff = versions.diff_between(session(), before, after, query.limit, 0)
    pin = repr((before.snapshot.pin, before.view.fingerprint, after.snapshot.pin, diff.key))
    binding = _binding(CHANGES, dataset, query, after, pin)
    if query.cursor is not None:
        diff = replace(diff, offset=sealer().open(query.cursor, binding)[0])
    with telling_of_corruption(after.grants):
        page: DiffPage = current_app.extensions["lakeport"].lake.files.diff(diff)
    recorded(dataset=dataset, columns=list(diff.names), rows=len(page.changes))
    return _diff_response(diff, page, pairs, binding)


@blueprint.route("/<dataset>/restore", methods=["POST"])
@blueprint.arguments(RestoreSchema)
@blueprint.response(200, RestoredSchema)
@allow(Rule.READER, refuses=(403, 404, 409, 410), commits_apart=True)
def restore_version(body: dict[str, Any], dataset: str) -> Response | dict[str, Any]:
    """Make a version the newest one again; for who manages the whole dataset."""
    recorded(dataset=dataset)
    with reading() as looked_up:
        wanted = versions.restorable(datasets(), looked_up, reader(), dataset, body["version"])
        answered = idempotency.repeated(looked_up)
    if answered is not None:
        return answered
    lakeport = current_app.extensions["lakeport"]
    change = versions.restore(lakeport.door.engine, lakeport.lake.catalog, _intent(wanted), wanted)
    changes.finish(session(), change)
    return {"dataset": dataset, "version": change.committed and change.committed.version, "rows": change.intent.rows}


def _intent(wanted: Opened) -> Intent:
    principal, snapshot = current_principal(), wanted.snapshot
    return Intent(
        dataset=snapshot.name,
        kind="restore",
        identity=snapshot.identity,
        user_id=principal.id,
        username=principal.username,
        rows=snapshot.rows,
        call=idempotency.running_call(),
    )


def _opened(dataset: str, version: int) -> Opened:
    return datasets().open(session(), reader(), Asked(dataset, version=version))


def _end(pairs: Pairs, name: str) -> int:
    """The version that one of the two parameters names. Raises Invalid."""
    given = [text for key, text in pairs if key == name]
    if len(given) != 1:
        raise wrong(name, f"{name} is a version, given once")
    number: int = from_text(Column(name, ColumnType.INTEGER), given[0])
    if not 0 <= number <= LAST_VERSION:
        raise wrong(name, f"{name} is a version, which count from 0")
    return number


def _binding(shape: Shape, dataset: str, query: Query, opened: Opened, pin: str) -> Binding:
    named = replace(shape, name=f"{dataset}/{shape.name}")
    return Binding(current_principal().id, opened.view.fingerprint, named, query, pin)


def _diff_response(diff: Diff, page: DiffPage, pairs: Pairs, binding: Binding) -> Response:
    position = (diff.offset + len(page.changes),)
    cursor = None if page.is_last else sealer().seal(position, binding)
    following = None if cursor is None else next_url_of(pairs, cursor)
    data = [_shown(change) for change in page.changes]
    body = {"data": data, "next": cursor, "next_url": following, "counts": page.counts}
    response = Response(encode(body), mimetype="application/json")
    response.set_etag(tag_of(body))
    if following is not None:
        response.headers["Link"] = f'<{following}>; rel="next"'
    return response


def _shown(change: Change) -> dict[str, Any]:
    return {"change": change.kind, "row": change.row, "before": change.before}
