"""What a batch of articles is made of on the wire, and how it is read."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from rest_api.resources.wire import StrictBoolean, WholeNumber, WireSchema, invalid_fields
from rest_api.services.article_batches import MAX_OPERATIONS, Operation, Rejection

LEAST_VERSION, LARGEST_VERSION = -(2**63), 2**63 - 1
TITLE = validate.Length(min=1, max=200)
CONTENT = validate.Length(max=100_000)
_DELETE_LENGTHS = (("op", 1, 6), ("origin", 1, 64), ("external_id", 1, 200))
_LENGTHS = {"delete": _DELETE_LENGTHS, "upsert": (*_DELETE_LENGTHS, ("title", 1, 200), ("content", 0, 100_000))}
_NAMES = {op: {name for name, *_ in lengths} | {"external_version"} for op, lengths in _LENGTHS.items()}


class OperationSchema(WireSchema):
    """One change of a batch: by `id`, or by `origin`, `external_id` and `external_version`."""

    op = fields.String(required=True, validate=validate.OneOf(["upsert", "delete"]), metadata={"example": "upsert"})
    id = WholeNumber(
        validate=validate.Range(1, 2**63 - 1),
        metadata={"description": "number of an article that is there, in the place of origin and external_id"},
    )
    origin = fields.String(validate=validate.Length(1, 64), metadata={"example": "base_a"})
    external_id = fields.String(validate=validate.Length(1, 200), metadata={"example": "17"})
    external_version = WholeNumber(validate=validate.Range(LEAST_VERSION, LARGEST_VERSION), metadata={"example": 3})
    title = fields.String(validate=TITLE, metadata={"example": "Lakes in autumn"})
    content = fields.String(validate=CONTENT, metadata={"example": "The water is clear now."})
    repair = StrictBoolean(metadata={"description": "apply whatever the version"})

    @ma.validates_schema
    def is_complete(self, data: dict[str, Any], **_: Any) -> None:
        """One way to name the article, and all that the change needs."""
        if ("id" in data) == ("origin" in data or "external_id" in data):
            raise ma.ValidationError("name the article by id, or by origin and external_id", "id")
        if "id" not in data:
            _require(data, "origin", "external_id", "external_version")
        if data.get("op") == "upsert":
            _require(data, "title", "content")


def _require(data: dict[str, Any], *names: str) -> None:
    missing = {name: ["Missing data for required field."] for name in names if name not in data}
    if missing:
        raise ma.ValidationError(missing)


class BatchSchema(WireSchema):
    """Up to 1,000 changes; valid ones commit together."""

    operations = fields.List(
        fields.Nested(OperationSchema),
        required=True,
        validate=validate.Length(1, 1_000),
        metadata={"description": "the changes, in the order in which they apply"},
    )
    dry_run = StrictBoolean(metadata={"description": "say what would become of each, and change nothing"})


_OPERATION = OperationSchema()
_ENVELOPE = BatchSchema(exclude=["operations"])


def operations_of(body: Any) -> tuple[list[Operation], list[Rejection]]:
    """The operations of a batch, and those that are none. Raises Invalid where the body is no batch."""
    accepted, rejected = [], []
    for index, item in enumerate(_raw_operations(body)):
        found = _plain(index, item) or _loaded(index, item)
        if isinstance(found, Operation):
            accepted.append(found)
        else:
            rejected.append(found)
    return accepted, rejected


def _plain(index: int, item: Any) -> Operation | None:
    """An operation as routes send it; None for any other, which the schema then judges.

    The schema takes each of these too, and some forty times as long.
    """
    if not isinstance(item, dict) or item.keys() != _NAMES.get(str(item.get("op"))):
        return None
    version = item["external_version"]
    if type(version) is not int or not LEAST_VERSION <= version <= LARGEST_VERSION:
        return None
    lengths = _LENGTHS[item["op"]]
    if not all(type(item[name]) is str and least <= len(item[name]) <= most for name, least, most in lengths):
        return None
    source = (item["origin"], item["external_id"])
    return Operation(index, item["op"], None, source, version, item.get("title", ""), item.get("content", ""))


def _loaded(index: int, item: Any) -> Operation | Rejection:
    try:
        return _operation(index, _OPERATION.load(item))
    except ma.ValidationError as error:
        return Rejection(index, "invalid", invalid_fields(error.messages_dict, _OPERATION).detail)


def _raw_operations(body: Any) -> list[Any]:
    envelope = {name: value for name, value in body.items() if name != "operations"} if isinstance(body, dict) else body
    problems = _ENVELOPE.validate(envelope) if isinstance(envelope, dict) else {"_schema": ["Not an object."]}
    if problems:
        raise invalid_fields(problems, BatchSchema())
    raw = body.get("operations")
    if not isinstance(raw, list) or not 1 <= len(raw) <= MAX_OPERATIONS:
        detail = f"expected a list of 1 to {MAX_OPERATIONS} operations"
        raise invalid_fields({"operations": [detail]}, BatchSchema())
    return raw


def _operation(index: int, item: dict[str, Any]) -> Operation:
    source = (item["origin"], item["external_id"]) if "id" not in item else None
    return Operation(
        index,
        item["op"],
        item.get("id"),
        source,
        item.get("external_version", 0),
        item.get("title", ""),
        item.get("content", ""),
        item.get("repair", False),
    )
