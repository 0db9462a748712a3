"""`/grants`: who may do what with which data; given, seen and revoked by who manages it."""

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from rest_api.auth import Rule, allow
from rest_api.errors import Invalid
from rest_api.lake.grants import MASKS, PRIVILEGES, READ, Grant
from rest_api.lake.narrowing import legible
from rest_api.models.grant import GrantRecord
from rest_api.query.conditions import Column, ColumnType, Order, Query, Shape
from rest_api.query.sql import Page, Source
from rest_api.query.values import from_text
from rest_api.request import reader, recorded, session
from rest_api.resources.datasets import datasets
from rest_api.resources.listing import lists
from rest_api.resources.wire import Blueprint, Time, WireSchema
from rest_api.services import explanations, grants
from rest_api.services.datasets import Asked
from rest_api.services.rights import as_grant, grants_of

# What a filter names may be hidden from who sees the grant: nobody searches in it.
GRANTS = Shape(
    name="grants",
    columns=(
        Column("id", ColumnType.INTEGER, "number of the grant"),
        Column("principal", ColumnType.TEXT, "the user or group that has it"),
        Column("dataset", ColumnType.TEXT, "the dataset it is about"),
        Column("path", ColumnType.TEXT, "the folder it is about, with all below"),
        Column("privileges", ColumnType.JSON, "what may be done"),
        Column("columns", ColumnType.JSON, "the columns it gives; null for all"),
        Column("filter", ColumnType.JSON, "the rows it gives; null for all"),
        Column("masks", ColumnType.JSON, "what stands for the values of columns"),
        Column("expires_at", ColumnType.TIMESTAMP, "until when it holds; null for ever"),
        Column("created_by", ColumnType.TEXT, "who gave it"),
        Column("created_at", ColumnType.TIMESTAMP, "when it was given"),
    ),
    key=("id",),
    default_order=(Order("id", descending=False),),
)
STORED = (*GRANTS.names, "identity")
EXPIRY = Column("expires_at", ColumnType.TIMESTAMP)
NAME = validate.Length(1, 300)
MOST_COLUMNS = 2_000
BARE_DATE_CHARACTERS = 10
blueprint = Blueprint("grants", __name__, url_prefix="/grants", description="Who may do what with which data")


class Moment(Time):
    """A point in time, in RFC 3339 with its offset."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        try:
            if not isinstance(value, str) or len(value) <= BARE_DATE_CHARACTERS:
                raise ma.ValidationError("takes a time such as 2026-11-01T12:00:00Z")
            return from_text(EXPIRY, value)
        except Invalid as error:
            raise ma.ValidationError("takes a time such as 2026-11-01T12:00:00Z") from error


class GrantSchema(WireSchema):
    """A grant, on a dataset or on a folder and all below it."""

    id = fields.Integer(metadata={"example": 1})
    principal = fields.String(metadata={"example": "ada"})
    dataset = fields.String(allow_none=True, metadata={"description": "name of the dataset, as it was given on"})
    path = fields.String(allow_none=True, metadata={"description": "the folder", "example": "/sales"})
    privileges = fields.List(fields.String(), metadata={"example": ["read"]})
    columns = fields.List(fields.String(), allow_none=True, metadata={"description": "null for all columns"})
    filter = fields.String(allow_none=True, metadata={"description": "which rows, as a URL's parameters; null for all"})
    masks = fields.Dict(metadata={"description": "by column, what stands for its values", "example": {"user": "hash"}})
    expires_at = Time(allow_none=True, metadata={"description": "until when it holds; null for ever"})
    created_by = fields.String(metadata={"example": "admin"})
    created_at = Time(metadata={"description": "when it was given"})
    sleeping = fields.Boolean(metadata={"description": "whether the dataset it was given on has vanished"})
    is_partial = fields.Boolean(
        metadata={"description": "whether columns or a filter are left out that the caller may not see"}
    )


class NewGrantSchema(WireSchema):
    """A new grant: of privileges on a dataset, or on a folder and all below it."""

    constraints: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"required": ["dataset"], "properties": {"dataset": {"type": "string"}, "path": {"type": "null"}}},
            {"required": ["path"], "properties": {"path": {"type": "string"}, "dataset": {"type": "null"}}},
        ]
    }
    principal = fields.String(
        required=True,
        validate=validate.Length(1, 64),
        metadata={"description": "name of a user or group", "example": "ada"},
    )
    dataset = fields.String(
        load_default=None,
        allow_none=True,
        validate=NAME,
        metadata={"description": "name of a dataset", "example": "articles"},
    )
    path = fields.String(
        load_default=None,
        allow_none=True,
        validate=NAME,
        metadata={"description": "in the place of dataset: a folder, such as `/sales`; it need not be there yet"},
    )
    privileges = fields.List(
        fields.String(metadata={"enum": list(PRIVILEGES)}),
        required=True,
        validate=validate.Length(1, 10),
        metadata={
            "description": "export and replay imply read, manage implies all; write takes no columns, filter or masks",
            "example": ["read"],
        },
    )
    columns = fields.List(
        fields.String(validate=NAME),
        load_default=None,
        allow_none=True,
        validate=validate.Length(1, MOST_COLUMNS),
        metadata={"description": "the columns it gives; all where none are named", "example": ["id", "created_at"]},
    )
    filter = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(1, 10_000),
        metadata={"description": "the rows it gives, as a URL's parameters", "example": "title=like.A*"},
    )
    masks = fields.Dict(
        keys=fields.String(validate=NAME),
        values=fields.String(metadata={"enum": list(MASKS)}),
        load_default=None,
        allow_none=True,
        metadata={
            "description": "by column: null, hash, last4, or year for times",
            "example": {"created_at": "year"},
        },
    )
    expires_at = Moment(
        load_default=None, allow_none=True, metadata={"description": "until when it holds; for ever where not given"}
    )


class QuestionSchema(WireSchema):
    """Whether somebody may do something with a dataset."""

    principal = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(1, 64),
        metadata={"description": "a user or group; for who manages the dataset. The caller where nobody is named"},
    )
    dataset = fields.String(required=True, validate=NAME, metadata={"example": "articles"})
    privilege = fields.String(load_default=READ, validate=validate.OneOf(PRIVILEGES), metadata={"example": "read"})
    columns = fields.List(
        fields.String(validate=NAME),
        load_default=None,
        allow_none=True,
        validate=validate.Length(max=MOST_COLUMNS),
        metadata={"description": "columns that the call names"},
    )


class SeenColumnSchema(WireSchema):
    """A column of a view."""

    name = fields.String(metadata={"example": "amount"})
    type = fields.String(metadata={"example": "number"})
    mask = fields.String(allow_none=True, metadata={"description": "the strongest on any of its values; null for none"})


class SeenViewSchema(WireSchema):
    """What is seen of a dataset."""

    columns = fields.List(fields.Nested(SeenColumnSchema), metadata={"description": "in their order"})
    filter = fields.String(
        allow_none=True, metadata={"description": "which rows; those of several grants are joined by `or`"}
    )
    is_whole = fields.Boolean(metadata={"description": "whether it is every row and column as it is stored"})


class ExplanationSchema(WireSchema):
    """Why a call is allowed or refused."""

    allowed = fields.Boolean(metadata={"example": True})
    reason = fields.String(metadata={"example": "Allowed: the role admin gives read"})
    grants = fields.List(fields.Integer(), metadata={"description": "numbers of the grants that count"})
    view = fields.Nested(SeenViewSchema, allow_none=True, metadata={"description": "what would be seen"})


@blueprint.route("", methods=["GET"])
@lists(GRANTS, GrantSchema)
@allow(Rule.READER)
def list_grants(query: Query) -> Page:
    """List grants: one's own, and those on what one manages; all of them for administrators."""
    own = grants_of(session(), reader())
    columns = {name: getattr(GrantRecord, name) for name in STORED}
    page = Source(GRANTS, columns, tuple(grants.concerning(reader(), own))).page(session(), query.selecting(STORED))
    rows = [_shown(row, own) for row in page.rows]
    if query.select is None:
        return replace(page, rows=rows)
    return replace(page, rows=[{name: row[name] for name in query.select} for row in rows])


@blueprint.route("", methods=["POST"])
@blueprint.arguments(NewGrantSchema)
@blueprint.response(201, GrantSchema)
@allow(Rule.READER, refuses=(404, 409))
def give_grant(body: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Give a grant on what one manages, no wider than one's own. It holds from the next request on."""
    offer = _offer(body)
    recorded(dataset=offer.dataset or offer.path)
    record = grants.give(session(), datasets(), reader(), offer)
    return _shown(_row(record), grants_of(session(), reader())), 201, {"Location": f"/grants/{record.id}"}


@blueprint.route("/<id:grant_id>", methods=["GET"])
@blueprint.response(200, GrantSchema)
@allow(Rule.READER, refuses=(404,))
def read_grant(grant_id: int) -> dict[str, Any]:
    """Read one grant."""
    record = grants.find(session(), reader(), grant_id)
    recorded(dataset=record.dataset or record.path)
    return _shown(_row(record), grants_of(session(), reader()))


@blueprint.route("/<id:grant_id>", methods=["DELETE"])
@blueprint.response(204)
@allow(Rule.READER, refuses=(404,))
def revoke_grant(grant_id: int) -> None:
    """Take a grant back. Nobody has it from the next request on."""
    record = grants.revoke(session(), reader(), grant_id)
    recorded(dataset=record.dataset or record.path)


@blueprint.route("/explain", methods=["POST"])
@blueprint.arguments(QuestionSchema)
@blueprint.response(200, ExplanationSchema)
@allow(Rule.READER, refuses=(404, 409), only_reads=True)
def explain(body: dict[str, Any]) -> explanations.Explanation:
    """Say why a call is allowed or refused, by which grants, and what would be seen; of others to who manages it."""
    asked = Asked(body["dataset"], body["privilege"])
    recorded(dataset=asked.name)
    question = explanations.Question(reader(), asked, tuple(body["columns"] or ()))
    principal = body["principal"]
    if principal in (None, reader().username):
        return explanations.explain_own(session(), datasets(), question)
    return explanations.explain_other(session(), datasets(), reader(), principal, question)


def _offer(body: Mapping[str, Any]) -> Grant:
    columns = body["columns"]
    return Grant(
        id=None,
        principal=body["principal"],
        privileges=frozenset(body["privileges"]),
        dataset=body["dataset"],
        path=body["path"],
        columns=None if columns is None else tuple(dict.fromkeys(columns)),
        filter=body["filter"],
        masks=body["masks"] or {},
        expires_at=body["expires_at"],
    )


def _row(record: GrantRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in STORED}


def _shown(row: Mapping[str, Any], own: tuple[Grant, ...]) -> dict[str, Any]:
    """A grant as the caller may see it: his own as they are, others without what is hidden from him."""
    grant = as_grant(SimpleNamespace(**row))
    is_his = grant.principal in reader().names
    told = grant if is_his else legible(grant, grants.managing(grant, own))
    shown = {name: row[name] for name in GRANTS.names}
    return shown | {
        "columns": None if told.columns is None else list(told.columns),
        "filter": told.filter,
        "masks": dict(told.masks),
        "sleeping": grants.sleeps(datasets(), grant),
        "is_partial": told != grant,
    }
