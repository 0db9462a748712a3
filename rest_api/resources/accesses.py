"""`/data/datasets/{dataset}/accesses`: who read a dataset, for those who manage it."""

from dataclasses import replace
from typing import Any

from flask import Response, request
from marshmallow import fields
from sqlalchemy import ColumnElement, Integer, and_, case, cast, false, null, or_, true

from rest_api.auth import Rule, allow, current_principal
from rest_api.lake.grants import MANAGE
from rest_api.models.audit import AuditRecord
from rest_api.query.conditions import Column, ColumnType, Order, Shape
from rest_api.query.cursors import Binding
from rest_api.query.grammar import parse_url
from rest_api.query.sql import Source
from rest_api.request import reader, recorded, session
from rest_api.resources.datasets import datasets
from rest_api.resources.listing import documentation, given_pairs, page_response, sealer
from rest_api.resources.wire import Blueprint, Time, WireSchema
from rest_api.services.datasets import Asked, Opened

NUMBER = Column("\x00id", ColumnType.INTEGER)
"""The number of the audit entry: nobody sees it, since it tells how many other calls there were."""
ACCESSES = Shape(
    name="accesses",
    columns=(
        Column("at", ColumnType.TIMESTAMP, "when it was read"),
        Column("username", ColumnType.TEXT, "who read it"),
        Column("operation", ColumnType.TEXT, "what he did: read rows, query, export, figure or read"),
        Column("columns", ColumnType.JSON, "the columns he read, of those that the caller sees"),
        Column("rows", ColumnType.INTEGER, "how many rows were given; null while an export is running"),
        Column("request_id", ColumnType.TEXT, "id of the call, as in its answer"),
    ),
    key=(NUMBER.name,),
    hidden=(NUMBER,),
    default_order=(Order(NUMBER.name, descending=True),),
    parameters=("limit", "cursor", "or", "and"),
)
_OPERATIONS = (
    ("/data/datasets/%/rows", "read rows"),
    ("/data/datasets/%/query", "query"),
    ("/data/datasets/%/export", "export"),
    ("/analytics/%", "figure"),
    ("/articles%", "read rows"),
)
blueprint = Blueprint("accesses", __name__, url_prefix="/data/datasets", description="Who read a dataset")


class AccessSchema(WireSchema):
    """One successful read of a dataset."""

    at = Time(metadata={"description": "when it was read"})
    username = fields.String(allow_none=True, metadata={"example": "ada"})
    operation = fields.String(metadata={"example": "read rows"})
    columns = fields.List(fields.String(), allow_none=True, metadata={"description": "the columns that were read"})
    rows = fields.Integer(
        allow_none=True, metadata={"description": "how many rows were given; null for who sees only some"}
    )
    request_id = fields.String(metadata={"description": "id of the call, as in its answer"})


@blueprint.route("/<dataset>/accesses", methods=["GET"])
@blueprint.doc(**documentation(replace(ACCESSES, key=("at",)), AccessSchema))
@allow(Rule.READER, refuses=(403, 404, 409))
def list_accesses(dataset: str) -> Response:
    """List who read the dataset, when, which columns and how many rows, the newest first; for who manages it."""
    pairs = given_pairs(request.query_string)
    opened = datasets().open(session(), reader(), Asked(dataset, MANAGE))
    shape = replace(ACCESSES, name=f"{dataset}/accesses")
    query = parse_url(pairs, shape)
    binding = Binding(current_principal().id, opened.view.fingerprint, shape, query)
    if query.cursor is not None:
        query = query.at(sealer().open(query.cursor, binding))
    page = _source(opened, shape).page(session(), query)
    response = page_response(replace(page, rows=[_seen(row, opened) for row in page.rows]), pairs, binding)
    recorded(dataset=dataset)
    return response


def _source(opened: Opened, shape: Shape) -> Source:
    dataset = opened.snapshot.name
    columns = {name: getattr(AuditRecord, name) for name in shape.names if name != "operation"}
    if opened.view.admission is not None:
        columns["rows"] = cast(null(), Integer)  # it would tell how many there are that the caller does not see
    operations = [(AuditRecord.path.like(path), name) for path, name in _OPERATIONS]
    operation = case(*operations, else_="read")
    return Source(
        shape,
        {**columns, "operation": operation, NUMBER.name: AuditRecord.id},
        # Said as a case, so that a planner does not take it for so rare that it would rather sort than read in order.
        (AuditRecord.dataset == dataset, case((_is_read(dataset), true()), else_=false())),
    )


def _is_read(dataset: str) -> ColumnElement[bool]:
    """That rows of it were read with success, and not what is said of it or done to it."""
    below, path = f"/data/datasets/{dataset}/", AuditRecord.path
    is_below = and_(path.startswith(below, autoescape=True), path.not_in([f"{below}accesses", f"{below}versions"]))
    got = and_(AuditRecord.method == "GET", or_(is_below, path.like("/analytics/%"), path.like("/articles%")))
    asked = and_(AuditRecord.method == "POST", path == f"{below}query")
    return and_(AuditRecord.status < 400, or_(got, asked))


def _seen(row: dict[str, Any], opened: Opened) -> dict[str, Any]:
    """Of the columns that were read those that the caller sees himself."""
    visible = opened.view.shape.by_name
    read = row["columns"]
    return row | {"columns": None if read is None else [name for name in read if name in visible]}
