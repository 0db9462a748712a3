"""`/data/datasets/{dataset}/rows` and `/query`: pages of a dataset as its caller may see it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import Response, current_app, request
from marshmallow import fields, validate

from rest_api.auth import Rule, allow, current_principal
from rest_api.errors import Conflict, Invalid
from rest_api.lake.plans import Plan, named_in
from rest_api.lake.views import ROW_LIMIT
from rest_api.query.conditions import COUNTS, Column, ColumnType, Query, Shape
from rest_api.query.cursors import Binding, Place
from rest_api.query.description import value_pattern
from rest_api.query.exact_json import encode
from rest_api.query.grammar import parse_json, parse_url
from rest_api.query.values import from_json, from_text, wrong
from rest_api.request import reader, recorded, session
from rest_api.resources.listing import given_pairs, next_url_of, page_body, sealer, tag_of
from rest_api.resources.wire import Blueprint, WireSchema, json_body
from rest_api.services.datasets import Asked, Datasets, Opened, telling_of_corruption

REFUSES = (403, 404, 409, 410, 504)
VERSION = Column("version", ColumnType.INTEGER)
AS_OF = Column("as_of", ColumnType.TIMESTAMP)
LAST_VERSION = 2**62
blueprint = Blueprint("rows", __name__, url_prefix="/data/datasets", description="Pages of a dataset's rows")


class PageSchema(WireSchema):
    """A page of rows."""

    data = fields.List(fields.Dict(), metadata={"description": "the rows of this page"})
    next = fields.String(allow_none=True, metadata={"description": "cursor of the next page; null on the last one"})
    next_url = fields.String(allow_none=True, metadata={"description": "path and parameters of the next page"})
    count = fields.Integer(metadata={"description": "rows on all pages, where `count` was asked for"})
    count_kind = fields.String(metadata={"description": "whether the count is exact"})
    truncated = fields.Boolean(
        metadata={
            "description": "with `limit_per`: whether rows were left out since there were more than a page may have"
        }
    )


class QuerySchema(WireSchema):
    """A query in JSON."""

    select = fields.List(
        fields.String(), metadata={"description": "columns of the answer", "example": ["transaction_id", "amount"]}
    )
    where = fields.Dict(metadata={"description": "conditions on columns", "example": {"amount": {"gt": 100}}})
    order = fields.List(
        fields.Dict(),
        metadata={"description": "columns to order by", "example": [{"column": "timestamp", "direction": "desc"}]},
    )
    limit = fields.Integer(
        validate=validate.Range(1, ROW_LIMIT), metadata={"description": "rows of a page", "example": 10}
    )
    limit_per = fields.String(metadata={"description": "a column: `limit` then holds for each of its values"})
    cursor = fields.String(allow_none=True, metadata={"description": "goes on after a page: its `next`"})
    page = fields.Integer(validate=validate.Range(min=1), metadata={"description": "number of the page"})
    count = fields.String(
        validate=validate.OneOf(COUNTS), metadata={"description": "whether to count the rows", "example": "exact"}
    )
    version = fields.Integer(validate=validate.Range(0, LAST_VERSION), metadata={"description": "version of a table"})
    as_of = fields.String(
        validate=validate.Regexp(value_pattern(ColumnType.TIMESTAMP)),
        metadata={"description": "a time: the version that was the newest then"},
    )


@dataclass(frozen=True)
class Request:
    """What a caller asks of a dataset's rows, before it is known which columns he may name."""

    name: str
    cursor: str | None
    version: int | None
    as_of: datetime | None
    parse: Callable[[Shape], Query]


@blueprint.route("/<dataset>/rows", methods=["GET"])
@blueprint.response(200, PageSchema)
@allow(Rule.READER, refuses=REFUSES)
def list_rows(dataset: str) -> Response:
    """List rows: `column=op.value` filters, `select`, `order`, `limit`, `count`, `cursor`, `version`, `as_of`."""
    pairs = given_pairs(request.query_string)
    given = dict(pairs)
    rest = [pair for pair in pairs if pair[0] not in ("version", "as_of")]
    asked = Request(
        dataset,
        given.get("cursor"),
        *version_asked(given),
        lambda shape: parse_url(rest, shape),
    )
    return _answer(asked, lambda cursor: next_url_of(pairs, cursor))


@blueprint.route("/<dataset>/query", methods=["POST"])
@blueprint.doc(requestBody={"required": True, "content": {"application/json": {"schema": QuerySchema}}})
@blueprint.response(200, PageSchema)
@allow(Rule.READER, refuses=REFUSES, only_reads=True)
def query_rows(dataset: str) -> Response:
    """List rows by a query in JSON; every column can be named here."""
    body = json_body()
    if not isinstance(body, dict):
        raise Invalid("A query is a JSON object")
    rest = {name: value for name, value in body.items() if name not in ("version", "as_of")}
    cursor = body.get("cursor")
    asked = Request(
        dataset,
        cursor if isinstance(cursor, str) else None,
        None if body.get("version") is None else _version(from_json(VERSION, body["version"])),
        None if body.get("as_of") is None else from_json(AS_OF, body["as_of"]),
        lambda shape: parse_json(rest, shape),
    )
    return _answer(asked, lambda _: None)


def version_asked(given: Mapping[str, str]) -> tuple[int | None, datetime | None]:
    """The version that a URL asks for, by its number or by a time. Raises Invalid."""
    return (
        _version(from_text(VERSION, given["version"])) if "version" in given else None,
        from_text(AS_OF, given["as_of"]) if "as_of" in given else None,
    )


def _answer(asked: Request, next_url: Callable[[str], str | None]) -> Response:
    pin = None if asked.cursor is None else sealer().pin(asked.cursor, Place(current_principal().id, asked.name))
    opened = _datasets().open(session(), reader(), _pinned(asked, pin))
    query = asked.parse(opened.view.shape)
    binding = Binding(current_principal().id, opened.view.fingerprint, opened.view.shape, query, opened.snapshot.pin)
    if pin is not None and pin != opened.snapshot.pin:
        raise _moved_on(opened)
    if query.cursor is not None:
        query = query.at(sealer().open(query.cursor, binding))
    plan = Plan(opened.snapshot, opened.view, query)
    with telling_of_corruption(opened.grants):
        page = current_app.extensions["lakeport"].lake.engine(plan).page(plan)
    recorded(dataset=asked.name, columns=used_columns(plan), rows=len(page.rows))
    body = page_body(page, binding, next_url)
    response = Response(encode(body), mimetype="application/json")
    if request.method != "POST":
        response.set_etag(_tag(opened) if opened.view.is_whole and opened.snapshot.pin else tag_of(body))
    return response


def _pinned(asked: Request, pin: str | None) -> Asked:
    if pin is None or not pin.isdigit() or asked.version is not None or asked.as_of is not None:
        return Asked(asked.name, version=asked.version, as_of=asked.as_of)
    return Asked(asked.name, version=int(pin))


def _moved_on(opened: Opened) -> Conflict | Invalid:
    if opened.snapshot.version is None:
        return Conflict("The dataset has changed since that page; begin again", code="dataset_changed")
    return wrong("cursor", "The cursor is not one of this version")


def _version(number: int) -> int:
    if not 0 <= number <= LAST_VERSION:
        raise wrong("version", "version counts from 0")
    return number


def _tag(opened: Opened) -> str:
    """The entity tag of a page of a whole dataset: its state and the query, for as long as neither changes."""
    parts = (opened.snapshot.identity, opened.snapshot.pin, opened.view.fingerprint, request.query_string.decode())
    return hashlib.blake2b("\x00".join(parts).encode(), digest_size=16).hexdigest()


def used_columns(plan: Plan) -> list[str]:
    """Every visible column that a plan reads, filters by or orders by, in the view's order."""
    used = {*plan.names, *(part.column for part in plan.query.order), *named_in(plan.query.where)}
    return [name for name in plan.view.shape.names if name in used]


def _datasets() -> Datasets:
    found: Datasets = current_app.extensions["lakeport"].datasets
    return found
