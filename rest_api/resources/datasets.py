"""`/data/datasets`: what there is in the lake for the caller, and what people say of it."""

from itertools import islice
from typing import Any

from flask import Response, current_app, request
from marshmallow import fields, validate

from rest_api.auth import Rule, allow, current_principal
from rest_api.lake.grants import MANAGE
from rest_api.query.conditions import Query
from rest_api.query.cursors import Binding
from rest_api.query.sql import Page
from rest_api.request import reader, reading, recorded, session
from rest_api.resources import catalogue
from rest_api.resources.listing import documentation, given_pairs, page_response, sealer
from rest_api.resources.wire import Blueprint, WireSchema
from rest_api.services import descriptions
from rest_api.services.datasets import Asked, Datasets, Opened
from rest_api.services.rights import grants_of, policy_of

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
@blueprint.doc(**{**documentation(catalogue.DATASETS, DatasetSchema), "parameters": catalogue.parameters()})
@allow(Rule.READER)
def list_datasets() -> Response:
    """List the datasets that the caller may see, by name; of those asked for by `name`, the ones that he may see."""
    principal, grants = current_principal(), grants_of(session(), reader())
    pairs = given_pairs(request.query_string)
    query = catalogue.read_query(pairs)
    binding = Binding(principal.id, policy_of(principal.role, grants), catalogue.DATASETS, query)
    after = "" if query.cursor is None else sealer().open(query.cursor, binding)[0]
    names = datasets().visible(grants) if query.where is None else sorted({*catalogue.names_in(query)})
    found = datasets().readable(grants, (name for name in names if name > after))
    return page_response(_page(list(islice(found, query.limit + 1)), query), pairs, binding)


@blueprint.route("/<dataset>", methods=["GET"])
@blueprint.response(200, DatasetSchema)
@allow(Rule.READER, refuses=(403, 404, 409))
def read_dataset(dataset: str) -> dict[str, Any]:
    """Read what there is to know of one dataset."""
    opened = datasets().open(session(), reader(), Asked(dataset))
    recorded(dataset=dataset)
    return _shown(opened)


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
    return _shown(opened)


def datasets() -> Datasets:
    """The datasets of the running app."""
    found: Datasets = current_app.extensions["lakeport"].datasets
    return found


def _shown(opened: Opened) -> dict[str, Any]:
    return catalogue.shown(session(), [opened])[0]


def _page(found: list[Opened], query: Query) -> Page:
    """A page of what was found, which is one more where another page follows."""
    rows = found[: query.limit]
    position = (rows[-1].snapshot.name,) if len(found) > query.limit else None
    return Page(catalogue.shown(session(), rows, query.select or catalogue.MEMBERS), position)
