"""`/articles/digest`: checksums of synced articles, by which two databases are compared without sending their rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, request
from marshmallow import fields, validate

from rest_api.auth import Rule, allow
from rest_api.errors import Invalid, unknown
from rest_api.models.article import Article
from rest_api.query.conditions import Column, ColumnType
from rest_api.query.exact_json import encode
from rest_api.query.values import from_text, wrong
from rest_api.request import recorded, session
from rest_api.resources.listing import given_pairs
from rest_api.resources.wire import Blueprint, WholeNumber, WireSchema
from rest_api.services import digests
from rest_api.services.digests import Part, Range

MAX_PARTS = 1_000
MAX_RANGES = 1_000
MOST_PARTS_IN_ALL = 20_000
DEFAULT_PARTS = 16
READ = ["external_id", "external_version", "title", "content"]
ORIGIN = Column("origin", ColumnType.TEXT)
PARTS = Column("parts", ColumnType.INTEGER)
BOUNDS = ("from", "to")
PARAMETERS = ("origin", *BOUNDS, "parts")
blueprint = Blueprint("digests", __name__, url_prefix="/articles", description="Checksums of synced articles")


ID = validate.Length(1, 200)


class PartSchema(WireSchema):
    """Articles of neighbouring external ids."""

    from_ = fields.String(
        required=True, data_key="from", metadata={"description": "the first external id that is there", "example": "1"}
    )
    to = fields.String(required=True, metadata={"description": "the last one that is there", "example": "500"})
    count = fields.Integer(required=True, metadata={"description": "how many articles there are", "example": 500})
    checksum = fields.String(
        required=True,
        validate=validate.Regexp("^[0-9a-f]{16}$"),
        metadata={"description": "the sum of their hashes modulo 2^64, in hex", "example": "9f86d081884c7d65"},
    )


class DigestSchema(WireSchema):
    """The parts, in their order; none where nothing is there."""

    data = fields.List(fields.Nested(PartSchema), required=True, metadata={"description": "the parts"})
    order = fields.String(
        required=True,
        validate=validate.OneOf(("integer", "bytes")),
        metadata={"description": "order of external ids: as integers where all and the bounds are, else by bytes"},
    )


class RangeSchema(WireSchema):
    """External ids from one to another, both within; open where an end is missing."""

    from_ = fields.String(validate=ID, data_key="from", metadata={"description": "the first id", "example": "1"})
    to = fields.String(validate=ID, metadata={"description": "the last id", "example": "500"})


class RangesSchema(WireSchema):
    """An origin's ranges of external ids, and in how many parts each is wanted."""

    origin = fields.String(required=True, validate=validate.Length(1, 64), metadata={"example": "base_a"})
    ranges = fields.List(
        fields.Nested(RangeSchema),
        required=True,
        validate=validate.Length(1, MAX_RANGES),
        metadata={"description": "the ranges; with `parts` they ask for at most 20,000 parts"},
    )
    parts = WholeNumber(
        load_default=DEFAULT_PARTS,
        validate=validate.Range(1, MAX_PARTS),
        metadata={"description": "at most so many parts of each range"},
    )


class RangeDigestSchema(WireSchema):
    """What is there of a range."""

    parts = fields.List(fields.Nested(PartSchema), required=True, metadata={"description": "its parts, in their order"})


class RangeDigestsSchema(DigestSchema):
    """The ranges, in the order in which they were asked for."""

    data = fields.List(fields.Nested(RangeDigestSchema), required=True, metadata={"description": "the ranges"})


def _parameter(name: str, schema: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description, **more}


ID_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 200}
DOCUMENTED = [
    _parameter(
        "origin",
        {"type": "string", "minLength": 1, "maxLength": 64},
        "whose articles",
        required=True,
        example="base_a",
    ),
    _parameter("from", ID_SCHEMA, "the first external id of the range; without it from the first there is"),
    _parameter("to", ID_SCHEMA, "the last external id of the range; without it to the last there is"),
    _parameter(
        "parts",
        {"type": "integer", "minimum": 1, "maximum": MAX_PARTS, "default": DEFAULT_PARTS},
        "at most so many parts; as many as there are articles, or more, make a part of each",
    ),
]


@blueprint.route("/digest", methods=["GET"])
@blueprint.doc(parameters=DOCUMENTED)
@blueprint.response(200, DigestSchema)
@allow(Rule.READER)
def digest_articles() -> Response:
    """Checksums of an origin's articles by ranges of external ids, in parts of like sizes."""
    given = _given()
    most = _parts(given.get("parts"))
    order, (parts,) = _digests(given["origin"], [{name: given[name] for name in BOUNDS if name in given}], most)
    return Response(encode({"data": parts, "order": order}), mimetype="application/json")


@blueprint.route("/digest", methods=["POST"])
@blueprint.arguments(RangesSchema)
@blueprint.response(200, RangeDigestsSchema)
@allow(Rule.READER)
def digest_ranges(body: dict[str, Any]) -> Response:
    """Checksums of many ranges of an origin's external ids at once; nothing is changed."""
    if len(body["ranges"]) * body["parts"] > MOST_PARTS_IN_ALL:
        raise wrong("parts", f"Ranges and parts ask for more than {MOST_PARTS_IN_ALL:,} parts")
    named = ({"from": each.get("from_"), "to": each.get("to")} for each in body["ranges"])
    ranges = [{name: text for name, text in each.items() if text is not None} for each in named]
    order, found = _digests(body["origin"], ranges, body["parts"])
    return Response(
        encode({"data": [{"parts": parts} for parts in found], "order": order}), mimetype="application/json"
    )


def _digests(origin: str, ranges: Sequence[Mapping[str, str]], most: int) -> tuple[str, list[list[dict[str, Any]]]]:
    """The order of the origin's ids, and the parts of each range."""
    has_texts = not all(map(_are_integers, ranges)) or digests.has_texts(session(), origin)
    key = Article.external_id if has_texts else Article.external_number
    kind = ColumnType.TEXT if has_texts else ColumnType.INTEGER
    found = []
    for each in ranges:
        first, last = (_bound(each.get(name), Column(name, kind)) for name in BOUNDS)
        found.append([_shown(part) for part in digests.digest(session(), origin, Range(key, first, last), most)])
    recorded(dataset="articles", columns=READ)
    return "bytes" if has_texts else "integer", found


def _given() -> dict[str, str]:
    """The parameters. Raises Invalid for unknown ones, for one given twice, and without an origin."""
    pairs = given_pairs(request.query_string)
    given = dict(pairs)
    for name in given:
        if name not in PARAMETERS:
            raise unknown("parameter", name, PARAMETERS)
    if len(given) < len(pairs):
        raise wrong("origin", "Every parameter is given once")
    if not 1 <= len(from_text(ORIGIN, given.get("origin", ""))) <= 64:
        raise wrong("origin", "origin takes the name of an origin, 1 to 64 characters")
    return given


def _parts(text: str | None) -> int:
    most = DEFAULT_PARTS if text is None else from_text(PARTS, text)
    if not 1 <= most <= MAX_PARTS:
        raise wrong("parts", f"parts takes a whole number from 1 to {MAX_PARTS:,}")
    return int(most)


def _are_integers(given: Mapping[str, str]) -> bool:
    """Whether the bounds are integers as external ids can be."""
    try:
        return all(
            from_text(Column(name, ColumnType.INTEGER), given[name]) is not None for name in BOUNDS if name in given
        )
    except Invalid:
        return False


def _bound(text: str | None, column: Column) -> Any:
    return None if text is None else from_text(column, text)


def _shown(part: Part) -> dict[str, Any]:
    return {"from": part.first, "to": part.last, "count": part.count, "checksum": f"{part.checksum:016x}"}
