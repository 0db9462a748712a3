"""`/articles`: pages, single articles and batches."""

from typing import Any

from flask import Response
from marshmallow import fields, validate

from rest_api.auth import Rule, allow, current_principal
from rest_api.models.article import Article
from rest_api.query.conditions import Column, ColumnType, Order, Query, Shape
from rest_api.query.exact_json import encode
from rest_api.query.sql import Page, Source
from rest_api.request import session
from rest_api.resources.article_operations import CONTENT, TITLE, BatchSchema, operations_of
from rest_api.resources.listing import lists
from rest_api.resources.wire import (
    Blueprint,
    Time,
    WholeNumber,
    WireSchema,
    if_match,
    json_body,
)
from rest_api.services import article_batches, articles
from rest_api.services.articles import Expected

ARTICLES = Shape(
    name="articles",
    columns=(
        Column("id", ColumnType.INTEGER, "number of the article"),
        Column("title", ColumnType.TEXT, "1 to 200 characters"),
        Column("content", ColumnType.TEXT, "at most 100,000 characters"),
        Column("author_id", ColumnType.INTEGER, "its creator; null for synced articles"),
        Column("origin", ColumnType.TEXT, "where a synced article comes from"),
        Column("external_id", ColumnType.TEXT, "its id at the origin"),
        Column("external_version", ColumnType.INTEGER, "its version at the origin"),
        Column("version", ColumnType.INTEGER, "counts its changes here"),
        Column("created_at", ColumnType.TIMESTAMP, "when it was created here"),
        Column("updated_at", ColumnType.TIMESTAMP, "when it was changed last"),
    ),
    key=("id",),
    default_order=(Order("id", descending=False),),
)
blueprint = Blueprint("articles", __name__, url_prefix="/articles", description="Articles, written and synced")
ARTICLE_PATH = "/<id:article_id>"


class ArticleSchema(WireSchema):
    """An article."""

    id = fields.Integer(metadata={"description": "number of the article", "example": 1})
    title = fields.String(metadata={"example": "Lakes in autumn"})
    content = fields.String(metadata={"example": "The water is clear now."})
    author_id = fields.Integer(allow_none=True, metadata={"description": "its creator; null for synced articles"})
    origin = fields.String(allow_none=True, metadata={"description": "where a synced article comes from"})
    external_id = fields.String(allow_none=True, metadata={"description": "its id at the origin"})
    external_version = fields.Integer(allow_none=True, metadata={"description": "its version at the origin"})
    version = fields.Integer(metadata={"description": "counts its changes here", "example": 1})
    created_at = Time(metadata={"description": "when it was created here"})
    updated_at = Time(metadata={"description": "when it was changed last"})


class NewArticleSchema(WireSchema):
    """A new article, or all of one that is there."""

    title = fields.String(required=True, validate=TITLE, metadata={"example": "Lakes in autumn"})
    content = fields.String(required=True, validate=CONTENT, metadata={"example": "The water is clear now."})


class ArticleReplacementSchema(NewArticleSchema):
    """All of an article, and the version it is believed to have."""

    version = WholeNumber(validate=validate.Range(1, 2**31 - 1), metadata={"description": "409 when stale"})


class ArticleChangeSchema(WireSchema):
    """What to change of an article, and the version it is believed to have."""

    title = fields.String(validate=TITLE, metadata={"example": "Lakes in winter"})
    content = fields.String(validate=CONTENT, metadata={"description": "at most 100,000 characters"})
    version = WholeNumber(validate=validate.Range(1, 2**31 - 1), metadata={"description": "409 when stale"})


class OutcomeSchema(WireSchema):
    """What became of an operation."""

    index = fields.Integer(metadata={"description": "place of the operation in the batch, from 0", "example": 0})
    id = fields.Integer(allow_none=True, metadata={"description": "number of the article; null where there is none"})
    outcome = fields.String(
        validate=validate.OneOf(["created", "updated", "unchanged", "stale", "deleted"]),
        metadata={"description": "what the operation did; stale: something newer is there", "example": "created"},
    )


class RejectionSchema(WireSchema):
    """An operation that was not applied, and why."""

    index = fields.Integer(metadata={"description": "place of the operation in the batch, from 0", "example": 1})
    code = fields.String(metadata={"description": "what is wrong, for a program", "example": "invalid"})
    detail = fields.String(metadata={"description": "what is wrong, for a person"})


class BatchAnswerSchema(WireSchema):
    """The outcome of every operation that was applied, and the errors of the others."""

    data = fields.List(fields.Nested(OutcomeSchema), metadata={"description": "operations that were applied"})
    errors = fields.List(fields.Nested(RejectionSchema), metadata={"description": "operations that were not"})


@blueprint.route("", methods=["GET"])
@lists(ARTICLES, ArticleSchema)
@allow(Rule.READER)
def list_articles(query: Query) -> Page:
    """List articles."""
    return Source.of(Article, ARTICLES).page(session(), query)


@blueprint.route("", methods=["POST"])
@blueprint.arguments(NewArticleSchema)
@blueprint.response(201, ArticleSchema)
@allow(Rule.EDITOR)
def create_article(body: dict[str, str]) -> tuple[Article, int, dict[str, str]]:
    """Create an article; its author is the caller."""
    article = articles.create_article(session(), body["title"], body["content"], current_principal().id)
    return article, 201, {"Location": f"/articles/{article.id}", **_tag(article)}


@blueprint.route(ARTICLE_PATH, methods=["GET"])
@blueprint.response(200, ArticleSchema)
@allow(Rule.READER, refuses=(404,))
def read_article(article_id: int) -> tuple[Article, int, dict[str, str]]:
    """Read one article."""
    article = articles.find_article(session(), article_id)
    return article, 200, _tag(article)


@blueprint.route(ARTICLE_PATH, methods=["PUT"])
@blueprint.arguments(ArticleReplacementSchema)
@blueprint.response(200, ArticleSchema)
@allow(Rule.EDITOR, refuses=(404, 409, 412))
def replace_article(body: dict[str, Any], article_id: int) -> tuple[Article, int, dict[str, str]]:
    """Replace an article that is there."""
    return _change(article_id, body)


@blueprint.route(ARTICLE_PATH, methods=["PATCH"])
@blueprint.arguments(ArticleChangeSchema)
@blueprint.response(200, ArticleSchema)
@allow(Rule.EDITOR, refuses=(404, 409, 412))
def change_article(body: dict[str, Any], article_id: int) -> tuple[Article, int, dict[str, str]]:
    """Change a part of an article."""
    return _change(article_id, body)


@blueprint.route(ARTICLE_PATH, methods=["DELETE"])
@blueprint.response(204)
@allow(Rule.EDITOR, refuses=(404, 412))
def delete_article(article_id: int) -> None:
    """Delete an article."""
    articles.delete_article(session(), article_id, Expected(if_match()))


@blueprint.route("/batch", methods=["POST"])
@blueprint.doc(requestBody={"required": True, "content": {"application/json": {"schema": BatchSchema}}})
@blueprint.response(200, BatchAnswerSchema)
@allow(Rule.EDITOR, body_limit="batch_bytes")
def apply_batch() -> Response:
    """Apply up to 1,000 changes from elsewhere; newest wins, and those that cannot be applied are named."""
    body = json_body()
    accepted, rejected = operations_of(body)
    apply = article_batches.rehearse_batch if body.get("dry_run") else article_batches.apply_batch
    outcomes, refused = apply(session(), accepted)
    answer = {
        "data": [
            {"index": each.index, "id": each.article.id if each.article else None, "outcome": each.outcome}
            for each in outcomes
        ],
        "errors": [vars(each) for each in sorted([*rejected, *refused], key=lambda rejection: rejection.index)],
    }
    return Response(encode(answer), mimetype="application/json")


def _change(article_id: int, body: dict[str, Any]) -> tuple[Article, int, dict[str, str]]:
    expected = Expected(if_match(), body.pop("version", None))
    article = articles.change_article(session(), article_id, expected, **body)
    return article, 200, _tag(article)


def _tag(article: Article) -> dict[str, str]:
    return {"ETag": f'"{articles.etag(article)}"'}
