"""`/data/datasets`: what there is in the lake for the caller, and what people say of it."""

from collections.abc import Sequence
from typing import Any

from flask import Response, current_app, request
from marshmallow import fields, validate

from rest_api.auth import Rule, allow, current_principal
from rest_api.errors import Conflict, Forbidden, NotFound
from rest_api.lake.grants import MANAGE, Grant
from rest_api.query.conditions import Column, ColumnType, Order, Query, Shape
from rest_api.query.cursors import Binding
from rest_api.query.grammar import parse_url
from rest_api.query.sql import Page
from rest_api.request import reader, reading, recorded, session
from rest_api.resources.listing import documentation, given_pairs, page_response, sealer
from rest_api.resources.wire import Blueprint, WireSchema
from rest_api.services import descriptions
from rest_api.services.datasets import Asked, Datasets, Opened
from rest_api.services.rights import grants_of, policy_of

DATASETS = Shape(
    name="datasets",
    columns=(Column("name", ColumnType.TEXT, "name of the dataset"),),
    key=("name",),
    default_order=(Order("name"),),
    parameters=("limit", "cursor"),
)
blueprint = Blueprint("datasets", __name__, url_prefix="/data/datasets", description="What there is in the lake")


class DatasetColumnSchema(WireSchema):
    """A column that the caller may see."""

    name = fields.String(metadata={"example": "amount"})
    type = fields.String(metadata={"description": "integer, number, text, timestamp, boolean or json"})
    mask = fields.Boolean(metadata={"description": "whether some of its values are masked for the caller"})


class DatasetSchema(WireSchema):
    """A dataset as the caller may see it; figures of a part of it are of that part, or null."""

    name = fields.String(metadata={"example": "transactions"})
    kind = fields.String(metadata={"description": "files, table or sql", "example": "table"})
    columns = fields.List(fields.Nested(DatasetColumnSchema), metadata={"description": "in their order"})
    rows = fields.Integer(allow_none=True, metadata={"description": "how many rows, where that is known"})
    bytes = fields.Integer(allow_none=True, metadata={"description": "size of its files"})
    version = fields.Integer(
        allow_none=True, metadata={"description": "the newest version of a table that is seen as a whole"}
    )
    description = fields.String(metadata={"description": "what it is, for a person"})
    owner = fields.String(allow_none=True, metadata={"description": "who answers for it"})
    tags = fields.List(fields.String(), metadata={"description": "words to find it by"})
    key = fields.List(fields.String(), metadata={"description": "columns that together are unique"})
    time_column = fields.String(allow_none=True, metadata={"description": "when a row happened"})
    privileges = fields.List(fields.String(), metadata={"description": "what the caller may do with it"})


NAME = validate.Length(1, 300)
TAG = validate.Length(1, 64)


class DescriptionSchema(WireSchema):
    """What a manager says of a dataset; what is left out is emptied."""

    description = fields.String(
        load_default="", validate=validate.Length(max=10_000), metadata={"example": "What people bought"}
    )
    owner = fields.String(
        load_default=None, allow_none=True, validate=TAG, metadata={"description": "who answers for it"}
    )
    tags = fields.List(
        fields.String(validate=TAG),
        load_default=[],
        validate=validate.Length(max=50),
        metadata={"description": "words to find it by", "example": ["sales"]},
    )
    key = fields.List(
        fields.String(validate=NAME),
        load_default=[],
        validate=validate.Length(max=10),
        metadata={"description": "columns that together are unique and never null", "example": ["transaction_id"]},
    )
    time_column = fields.String(
        load_default=None, allow_none=True, validate=NAME, metadata={"description": "when a row happened"}
    )


@blueprint.route("", methods=["GET"])
@blueprint.doc(**documentation(DATASETS, DatasetSchema))
@allow(Rule.READER)
def list_datasets() -> Response:
    """List the datasets that the caller may see, by name."""
    principal, grants = current_principal(), grants_of(session(), reader())
    pairs = given_pairs(request.query_string)
    query = parse_url(pairs, DATASETS)
    binding = Binding(principal.id, policy_of(principal.role, grants), DATASETS, query)
    after = "" if query.cursor is None else sealer().open(query.cursor, binding)[0]
    names = [name for name in datasets().visible(grants) if name > after]
    return page_response(_page(names, grants, query), pairs, binding)


@blueprint.route("/<dataset>", methods=["GET"])
@blueprint.response(200, DatasetSchema)
@allow(Rule.READER, refuses=(403, 404, 409))
def read_dataset(dataset: str) -> dict[str, Any]:
    """Read what there is to know of one dataset."""
    opened = datasets().open(session(), reader(), Asked(dataset))
    recorded(dataset=dataset)
    return shown(opened)


@blueprint.route("/<dataset>", methods=["PUT"])
@blueprint.arguments(DescriptionSchema)
@blueprint.response(200, DatasetSchema)
@allow(Rule.READER, refuses=(403, 404, 409))
def describe_dataset(body: dict[str, Any], dataset: str) -> dict[str, Any]:
    """Say what a dataset is; for who manages it."""
    said = descriptions.Description(**body)
    # A key is looked at in all rows: no lock of the database is held meanwhile.
    with reading() as apart:
        opened = datasets().open(apart, reader(), Asked(dataset, MANAGE))
        descriptions.check(apart, current_app.extensions["lakeport"].lake, opened, said)
    recorded(dataset=dataset)
    descriptions.keep(session(), opened, said)
    return shown(opened)


def datasets() -> Datasets:
    """The datasets of the running app."""
    found: Datasets = current_app.extensions["lakeport"].datasets
    return found


def shown(opened: Opened) -> dict[str, Any]:
    """A dataset as its caller may see it."""
    snapshot, view = opened.snapshot, opened.view
    said = descriptions.read(session(), opened)
    return {
        "name": snapshot.name,
        "kind": snapshot.kind,
        "columns": [
            {"name": column.name, "type": column.type.value, "mask": any(way.mask for way in column.alternatives)}
            for column in view.columns
        ],
        "rows": snapshot.rows if view.admission is None else None,
        "bytes": snapshot.size_bytes if view.is_whole else None,
        "version": snapshot.version if view.is_whole else None,
        "description": said.description,
        "owner": said.owner,
        "tags": list(said.tags),
        "key": list(said.key),
        "time_column": said.time_column,
        "privileges": opened.privileges,
    }


def _page(names: list[str], grants: Sequence[Grant], query: Query) -> Page:
    """The first datasets of these names that are there; a name may be of one that has vanished."""
    rows: list[dict[str, Any]] = []
    for found in filter(None, (_found(name, grants) for name in names)):
        if len(rows) == query.limit:
            return Page(rows, (rows[-1]["name"],))
        rows.append(found)
    return Page(rows, None)


def _found(name: str, grants: Sequence[Grant]) -> dict[str, Any] | None:
    try:
        return shown(datasets().open_by(grants, Asked(name)))
    except (NotFound, Forbidden, Conflict):
        return None  # hidden, of whom may only write, or not to be read: who asks for it by name learns why
