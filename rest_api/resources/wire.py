"""What all wire schemas and routes share: strict bodies, times in UTC, and entity tags."""

from typing import Any, ClassVar, NoReturn

import flask_smorest
import marshmallow as ma
from flask import Request, request
from webargs.flaskparser import FlaskParser
from werkzeug.routing import IntegerConverter, Map

from rest_api.errors import FieldError, Invalid, UnsupportedMediaType, nearest
from rest_api.query.strict_json import loads

JSON_TYPES = ("application/json",)


class WireSchema(ma.Schema):
    """A body whose unknown members are refused, naming the nearest known one.

    `constraints` are what the API description says of it besides its fields, as members of a JSON schema.
    """

    constraints: ClassVar[dict[str, Any]] = {}

    class Meta:
        unknown = ma.RAISE


class Time(ma.fields.DateTime):
    """A point in time; the encoder writes RFC 3339 in UTC with `Z`."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return value


class StrictBoolean(ma.fields.Boolean):
    """`true` or `false`: 1, "yes" and the like are refused."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class WholeNumber(ma.fields.Integer):
    """A whole number, also written as 3.0; texts and `true` are refused."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise self.make_error("invalid", input=value)
        return int(value)


class IdConverter(IntegerConverter):
    """The number of something in a path; a longer one than can be stored names nothing."""

    regex = "[0-9]{1,18}"

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=10**18 - 1)


class StrictParser(FlaskParser):
    """Reads JSON bodies strictly and refuses bad ones with 400 and one error per field."""

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, *_: Any) -> Any:
        return json_body(req)

    def handle_error(self, error: ma.ValidationError, req: Request, schema: ma.Schema, **_: Any) -> NoReturn:  # noqa: ARG002
        raise invalid_fields(error.messages_dict.get("json", error.messages_dict), schema) from error


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint whose routes read their bodies strictly."""

    ARGUMENTS_PARSER = StrictParser()


def json_body(req: Request = request) -> Any:
    """The request's JSON body. Raises Invalid, UnsupportedMediaType, TooLarge."""
    if req.mimetype not in JSON_TYPES:
        raise UnsupportedMediaType("This call takes a body of type application/json")
    return loads(req.get_data(cache=True))


def invalid_fields(messages: Any, schema: ma.Schema) -> Invalid:
    """The refusal that lists every faulty field, and the nearest name where one is unknown."""
    found = list(_flatten(messages))
    suggestion = None
    details = []
    for field, text in found[:100]:
        near = nearest(field.rsplit(".", 1)[-1], schema.fields) if text == "Unknown field." else None
        suggestion = suggestion or near
        details.append(FieldError(field, f"Unknown field; did you mean {near!r}?" if near else text))
    return Invalid(
        "; ".join(f"{each.field}: {each.detail}" if each.field else each.detail for each in details[:3]),
        errors=details,
        did_you_mean=suggestion,
    )


def _flatten(messages: Any, path: str = "") -> Any:
    if isinstance(messages, dict):
        for name, inner in messages.items():
            step = "" if name == "_schema" else str(name)
            yield from _flatten(inner, ".".join(part for part in (path, step) if part))
    elif isinstance(messages, list):
        for inner in messages:
            yield from _flatten(inner, path)
    else:
        yield path, str(messages)


def if_match() -> frozenset[str] | None:
    """The entity tags of `If-Match`; None when the header is not there."""
    if "If-Match" not in request.headers:
        return None
    tags = request.if_match
    return frozenset({"*"}) if tags.star_tag else frozenset(tags.as_set())
