"""The decorator of a list route: reads the query, answers one page and tells where the next one is."""

import hashlib
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl, urlencode

import marshmallow as ma
from flask import Response, current_app, g, request
from flask_smorest import Blueprint

from rest_api.errors import Invalid
from rest_api.query.conditions import Query, Shape
from rest_api.query.cursors import Binding, CursorSealer
from rest_api.query.description import query_parameters
from rest_api.query.exact_json import encode
from rest_api.query.grammar import parse_url
from rest_api.query.sql import Page
from rest_api.request import recorded

MAX_PARAMETERS = 200
Pairs = list[tuple[str, str]]
Lister = Callable[..., Page]


def lists(shape: Shape, schema: type[ma.Schema]) -> Callable[[Lister], Callable[..., Response]]:
    """Make a route of a function that takes a Query (and the path's arguments) and returns its Page.

    Stands right below `@blueprint.route`. `schema` describes one row; rows are written as they come.
    """

    def decorate(list_rows: Lister) -> Callable[..., Response]:
        @wraps(list_rows)
        def route(**path: Any) -> Response:
            pairs = given_pairs(request.query_string)
            query = parse_url(pairs, shape)
            binding = _binding(shape, query)
            page = list_rows(_positioned(query, binding), **path)
            return page_response(page, pairs, binding)

        documented: Callable[..., Response] = Blueprint.doc(**documentation(shape, schema))(route)
        return documented

    return decorate


def given_pairs(query_string: bytes) -> Pairs:
    """The parameters of a URL in their order. Raises Invalid where they are not UTF-8 or far too many."""
    try:
        text = query_string.decode("utf-8")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except UnicodeDecodeError as error:
        raise Invalid("The URL's parameters are not valid UTF-8") from error
    except ValueError as error:
        raise Invalid(f"A URL takes at most {MAX_PARAMETERS} parameters") from error


def page_response(page: Page, pairs: Pairs, binding: Binding) -> Response:
    """The answer with a page, with `Link: rel="next"` where another one follows."""
    body = page_body(page, binding, lambda cursor: next_url_of(pairs, cursor))
    _record(page, binding.shape)
    response = Response(encode(body), mimetype="application/json")
    if body["next_url"] is not None:
        response.headers["Link"] = f'<{body["next_url"]}>; rel="next"'
    return response


def page_body(page: Page, binding: Binding, next_url: Callable[[str], str | None]) -> dict[str, Any]:
    """The envelope of a page; `next_url` makes the address of the next one from its cursor."""
    cursor = None if page.next_position is None else sealer().seal(page.next_position, binding)
    following = None if cursor is None else next_url(cursor)
    body: dict[str, Any] = {"data": page.rows, "next": cursor, "next_url": following}
    if page.is_truncated is not None:
        body["truncated"] = page.is_truncated
    return body if page.count_kind is None else body | {"count": page.count, "count_kind": page.count_kind}


def tag_of(body: Mapping[str, Any]) -> str:
    """The entity tag of a page. Its cursor names a state of the list that hidden rows change too: it is left out."""
    shown = {**body, "next": body["next"] is not None, "next_url": None}
    return hashlib.blake2b(encode(shown), digest_size=16).hexdigest()


def documentation(shape: Shape, schema: type[ma.Schema]) -> dict[str, Any]:
    """What the API description says of a list."""
    headers = {"Link": {"description": "the next page, `rel=next`", "schema": {"type": "string"}}}
    content = {"application/json": {"schema": _envelope(shape, schema)}}
    answer = {"description": "A page", "headers": headers, "content": content}
    return {"parameters": query_parameters(shape), "responses": {"200": answer}}


def _envelope(shape: Shape, schema: type[ma.Schema]) -> dict[str, Any]:
    # A caller may select any of the columns, so that none is sure to be in a row.
    row = schema(partial=True) if any(field.required for field in schema().fields.values()) else schema
    properties: dict[str, Any] = {
        "data": {"type": "array", "description": "the rows of this page", "items": row},
        "next": {"type": ["string", "null"], "description": "cursor of the next page; null on the last one"},
        "next_url": {"type": ["string", "null"], "description": "path and parameters of the next page"},
    }
    if "count" in shape.parameters:
        properties["count"] = {
            "type": "integer",
            "description": "rows on all pages, where `count` was asked for",
        }
        kinds = {"type": "string", "enum": ["exact", "estimated"]}
        properties["count_kind"] = {**kinds, "description": "whether the count is exact"}
    if "limit_per" in shape.parameters:
        properties["truncated"] = {
            "type": "boolean",
            "description": "with `limit_per`: whether rows were left out since there were more than a page may have",
        }
    return {"type": "object", "required": ["data", "next", "next_url"], "properties": properties}


def _binding(shape: Shape, query: Query) -> Binding:
    return Binding(g.principal.id, g.principal.standing, shape, query)


def _positioned(query: Query, binding: Binding) -> Query:
    return query if query.cursor is None else query.at(sealer().open(query.cursor, binding))


def sealer() -> CursorSealer:
    """What seals the cursors of the running app."""
    found: CursorSealer = current_app.extensions["lakeport"].cursors
    return found


def next_url_of(pairs: Pairs, cursor: str) -> str:
    """The path and parameters of the page after a cursor."""
    kept = [pair for pair in pairs if pair[0] not in ("cursor", "page")]
    return f"{request.script_root}{request.path}?{urlencode([*kept, ('cursor', cursor)])}"


def _record(page: Page, shape: Shape) -> None:
    columns = list(page.rows[0]) if page.rows else None
    recorded(dataset=shape.name, columns=columns, rows=len(page.rows))
