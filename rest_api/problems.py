"""Every failure becomes one kind of answer: a problem document (RFC 9457) with our `code` and the request's id."""

import logging
from http import HTTPStatus
from traceback import format_tb
from typing import Any

import orjson
from flask import Flask, Response, g
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from rest_api import errors
from rest_api.database import is_time_out
from rest_api.errors import Refusal

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger(__name__)
_BY_STATUS: dict[int, type[Refusal]] = {
    400: errors.Invalid,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    406: errors.NotAcceptable,
    413: errors.TooLarge,
    415: errors.UnsupportedMediaType,
}


def install(app: Flask) -> None:
    """Answer every exception with a problem."""
    app.register_error_handler(Exception, answer)
    app.register_error_handler(HTTPException, answer)  # in the place of flask-smorest's


def answer(error: Exception) -> Response:
    """The problem response of an exception; remembers the refusal for the door."""
    refusal = as_refusal(error)
    g.refusal = refusal
    response = problem_response(refusal)
    if isinstance(error, HTTPException) and error.get_response().headers.get("Allow"):
        response.headers["Allow"] = error.get_response().headers["Allow"]
    return response


def as_refusal(error: Exception) -> Refusal:
    """What a client is told of an exception; unexpected ones are logged and told nothing of."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPException):
        return _from_http(error)
    if isinstance(error, SQLAlchemyError):
        return _from_database(error)
    log.error("unexpected error", exc_info=error)
    return Refusal("An internal error occurred")


def _from_database(error: SQLAlchemyError) -> Refusal:
    if isinstance(error, IntegrityError):
        return errors.Conflict("The change conflicts with another one made at the same moment")
    if isinstance(error, DataError):
        return errors.Invalid("A value is outside what can be stored")
    if isinstance(error, DBAPIError) and is_time_out(error):
        return errors.Timeout("The database did not answer in time")
    if isinstance(error, OperationalError | PoolTimeout):
        log.warning("database unavailable: %s", type(error).__name__)
        return errors.Unavailable("The database cannot be reached at the moment", retry_after_seconds=1)
    # Its own text may hold values of the statement.
    log.error("database error: %s\n%s", type(error).__name__, "".join(format_tb(error.__traceback__)))
    return Refusal("An internal error occurred")


def _from_http(error: HTTPException) -> Refusal:
    if isinstance(error, RequestEntityTooLarge):
        return errors.TooLarge("The body is larger than this call takes")
    status = error.code or 500
    kind = _BY_STATUS.get(status)
    if kind is not None:
        return kind(error.description or HTTPStatus(status).phrase)
    return errors.Invalid("The request is malformed") if status < 500 else Refusal("An internal error occurred")


def problem_response(refusal: Refusal) -> Response:
    """The response; a 401 says how to authenticate, a wait says for how long."""
    response = Response(orjson.dumps(problem_body(refusal)), refusal.status, mimetype=MEDIA_TYPE)
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="lakeport"'
    if refusal.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(refusal.retry_after_seconds)
    return response


def problem_body(refusal: Refusal) -> dict[str, Any]:
    """The body: RFC 9457's members, then ours; members without content are left out."""
    body = {
        "type": f"urn:lakeport:problem:{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "request_id": g.get("request_id"),
        "errors": [{"field": each.field, "detail": each.detail} for each in refusal.errors],
        "did_you_mean": refusal.did_you_mean,
    }
    return {name: value for name, value in body.items() if value not in (None, [])}
