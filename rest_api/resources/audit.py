"""`/audit`: who did what, for administrators; and whether the record of it is whole."""

from typing import Any

from flask import current_app
from marshmallow import fields

from rest_api.auth import Rule, allow, token_book
from rest_api.models.audit import AuditRecord
from rest_api.query.conditions import Column, ColumnType, Order, Query, Shape
from rest_api.query.sql import Page, Source
from rest_api.request import session
from rest_api.resources.listing import lists
from rest_api.resources.wire import Blueprint, Time, WireSchema
from rest_api.services import audit_verification

AUDIT = Shape(
    name="audit",
    columns=(
        Column("id", ColumnType.INTEGER, "number of the entry"),
        Column("at", ColumnType.TIMESTAMP, "when the call came"),
        Column("user_id", ColumnType.INTEGER, "who called; null for anonymous calls"),
        Column("username", ColumnType.TEXT, "his name, or the one of the account that a login was tried for"),
        Column("address", ColumnType.TEXT, "address of the client"),
        Column("method", ColumnType.TEXT, "HTTP method"),
        Column("path", ColumnType.TEXT, "path without parameters"),
        Column("query", ColumnType.TEXT, "parameters, secrets struck out"),
        Column("body", ColumnType.TEXT, "JSON body up to 64 KiB, secrets struck out", is_orderable=False),
        Column("body_bytes", ColumnType.INTEGER, "size of the body"),
        Column("body_sha256", ColumnType.TEXT, "SHA-256 of a larger body"),
        Column("status", ColumnType.INTEGER, "status of the answer"),
        Column("dataset", ColumnType.TEXT, "what was read"),
        Column("columns", ColumnType.JSON, "columns that were given"),
        Column("rows", ColumnType.INTEGER, "how many rows were given"),
        Column("duration_ms", ColumnType.NUMBER, "milliseconds until the answer"),
        Column("request_id", ColumnType.TEXT, "id of the call, as in its answer"),
        Column("chain", ColumnType.TEXT, "chain of the process that answered"),
        Column("sequence", ColumnType.INTEGER, "place in that chain"),
    ),
    key=("id",),
    default_order=(Order("id", descending=True),),
)
blueprint = Blueprint("audit", __name__, url_prefix="/audit", description="Who did what, and is the record whole")


class AuditEntrySchema(WireSchema):
    """One recorded call."""

    id = fields.Integer(metadata={"example": 1})
    at = Time(metadata={"description": "when the call came"})
    user_id = fields.Integer(allow_none=True, metadata={"description": "who called; null for anonymous calls"})
    username = fields.String(allow_none=True, metadata={"example": "ada"})
    address = fields.String(metadata={"example": "127.0.0.1"})
    method = fields.String(metadata={"example": "GET"})
    path = fields.String(metadata={"example": "/articles"})
    query = fields.String(metadata={"example": "title=like.L*"})
    body = fields.String(allow_none=True, metadata={"description": "JSON body up to 64 KiB, secrets struck out"})
    body_bytes = fields.Integer(metadata={"description": "size of the body"})
    body_sha256 = fields.String(allow_none=True, metadata={"description": "SHA-256 of a larger body"})
    status = fields.Integer(metadata={"example": 200})
    dataset = fields.String(allow_none=True, metadata={"example": "articles"})
    columns = fields.List(fields.String(), allow_none=True, metadata={"description": "columns that were given"})
    rows = fields.Integer(allow_none=True, metadata={"description": "how many rows were given"})
    duration_ms = fields.Float(metadata={"description": "milliseconds until the answer"})
    request_id = fields.String(metadata={"description": "id of the call, as in its answer"})
    chain = fields.String(metadata={"description": "chain of the process that answered"})
    sequence = fields.Integer(metadata={"description": "place in that chain"})


class FindingSchema(WireSchema):
    """Something wrong with a chain."""

    chain = fields.String(metadata={"description": "chain of the process that answered"})
    sequence = fields.Integer(metadata={"description": "the first entry that is wrong; 0 for the chain as a whole"})
    detail = fields.String(metadata={"example": "an entry is missing"})


class VerificationSchema(WireSchema):
    """Whether the trail is whole."""

    ok = fields.Boolean(metadata={"description": "whether no problem was found"})
    checked = fields.Integer(metadata={"description": "entries that were looked at"})
    chains = fields.Integer(metadata={"description": "chains that were looked at"})
    problems = fields.List(fields.Nested(FindingSchema), metadata={"description": "at most 100, one per chain"})


@blueprint.route("", methods=["GET"])
@lists(AUDIT, AuditEntrySchema)
@allow(Rule.ADMIN)
def list_entries(query: Query) -> Page:
    """List recorded calls, the newest first."""
    return Source.of(AuditRecord, AUDIT).page(session(), query)


@blueprint.route("/verify", methods=["GET"])
@blueprint.response(200, VerificationSchema)
@allow(Rule.ADMIN)
def verify() -> Any:
    """Check every entry against its chain, and every chain against its sealed head."""
    settings = current_app.extensions["lakeport"].settings
    return audit_verification.verify(token_book().engine, settings.audit_key.encode(), settings.heads_dir)
