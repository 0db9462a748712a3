"""`/health` and `/metrics`: for probes and Prometheus, not for people."""

from typing import Any

from flask import Response, current_app, request
from marshmallow import fields
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from rest_api.auth import Rule, allow, token_book
from rest_api.database import READ_ONLY
from rest_api.errors import Unauthenticated, Unavailable
from rest_api.observability import may_scrape
from rest_api.resources.wire import Blueprint, WireSchema

blueprint = Blueprint("health", __name__, description="Is it up, and how is it doing")


class HealthSchema(WireSchema):
    """It is up."""

    status = fields.String(metadata={"example": "ok"})


@blueprint.route("/health", methods=["GET"], endpoint="health")
@blueprint.route("/health/live", methods=["GET"], endpoint="live")
@blueprint.response(200, HealthSchema)
@allow(Rule.ANYONE, is_recorded=False)
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@blueprint.route("/health/ready", methods=["GET"])
@blueprint.response(200, HealthSchema)
@allow(Rule.ANYONE, refuses=(503,), is_recorded=False)
def ready() -> dict[str, str]:
    """The process and every back end answer; 503 names the back end that does not."""
    try:
        with token_book().engine.connect().execution_options(**READ_ONLY) as connection:
            connection.execute(text("select 1"))
    except SQLAlchemyError as error:
        raise Unavailable("The database does not answer", retry_after_seconds=1) from error
    current_app.extensions["lakeport"].lake.catalog.storage.ping()
    return {"status": "ok"}


@blueprint.route("/metrics", methods=["GET"])
@blueprint.response(200, content_type="text/plain")
@allow(Rule.ANYONE, refuses=(401,), is_recorded=False)
def metrics() -> Any:
    """The metrics of all core processes, in Prometheus' text format."""
    lakeport = current_app.extensions["lakeport"]
    _require_token(lakeport.settings.metrics_token)
    text_format, content_type = lakeport.exporter.generate_metrics(request.headers.get("Accept"))
    return Response(text_format, content_type=content_type)


def _require_token(expected: str) -> None:
    if not may_scrape(request.headers.get("Authorization", ""), expected):
        raise Unauthenticated("The metrics need their bearer token")
