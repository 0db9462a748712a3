"""GraphQL over HTTP (as the GraphQL Foundation specifies it): what a request asks for, and the form of its answer."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Any

from starlette.requests import Request

from graphql_gateway.errors import Malformed, TooLarge
from graphql_gateway.strict_json import loads

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
METHODS = {"Allow": "GET, POST"}
MEMBERS = ("query", "documentId", "operationName", "variables", "extensions")
# The parser's time grows with the square of what it is given, and any client may give it.
MAX_CONTENT_TYPE = 256
MAX_ACCEPT = 4_096
BODY_SECONDS = 30.0
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Parameters:
    """What a client asks for: a document's text, or, where that is empty, what names one: its SHA-256 or an id."""

    query: str
    operation_name: str | None
    variables: dict[str, Any] | None
    document_id: str | None = None
    sha256: str | None = None
    is_resolved: bool = False
    """Whether the text is not the client's own, but that of the document he names."""

    @classmethod
    def read(cls, given: object) -> "Parameters":
        """The parameters in a request. Raises Malformed."""
        if not isinstance(given, dict):
            raise Malformed('The body is one object such as {"query": "{ … }"}, not a list of them')
        query = (_typed(given, "query", str, "the text of a GraphQL document") or "").strip()
        document_id = _typed(given, "documentId", str, "a text") or None
        name = _typed(given, "operationName", str, "a text")
        variables = _typed(given, "variables", dict, "an object")
        sha256 = _sha256(_typed(given, "extensions", dict, "an object") or {})
        if not query and document_id is None and sha256 is None:
            raise Malformed("query is missing; it takes the text of a GraphQL document")
        if document_id is not None and (query or sha256 is not None):
            raise Malformed("documentId stands instead of query and persistedQuery, not beside them")
        return cls(given["query"] if query else "", name or None, variables, document_id, sha256)


async def given(request: Request, limit_bytes: int) -> object:
    """What a request gives, by its URL or its body. Raises Malformed and TooLarge."""
    if request.method == "GET":
        return _url_parameters(request)
    if request.method == "POST":
        _check_media_type(request.headers)
        return loads(await body(request, limit_bytes), "The body")
    raise Malformed("GraphQL takes GET and POST", status=405, code="METHOD_NOT_ALLOWED", headers=METHODS)


def negotiate(accept: Sequence[str]) -> str | None:
    """The media type of the answer; None when the client takes neither of ours."""
    weights = {JSON: 0.0, GRAPHQL: 0.0}
    if not accept:
        return JSON
    if sum(map(len, accept)) > MAX_ACCEPT:
        return None
    ranges = dict(_range(part) for line in accept for part in line.split(",") if part.strip())
    for media_type in weights:
        near = (media_type, "application/*", "*/*")
        weights[media_type] = next((ranges[each] for each in near if each in ranges), 0.0)
    if not any(weights.values()):
        return None
    # A client that names the newer type knows it; one that takes anything gets the older.
    prefers_new = GRAPHQL in ranges and weights[GRAPHQL] >= weights[JSON]
    return GRAPHQL if prefers_new or not weights[JSON] else JSON


def _range(part: str) -> tuple[str, float]:
    media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return media_type, min(1.0, max(0.0, float(quality)))
    except ValueError:
        return media_type, 0.0


async def body(request: Request, limit_bytes: int) -> bytes:
    """A request's body. Raises TooLarge before more than the limit is kept, Malformed where it comes too slowly."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _body(request, limit_bytes)
    except TimeoutError as error:
        raise Malformed("The body does not come fast enough", status=408, code="REQUEST_TIMEOUT") from error


async def _body(request: Request, limit_bytes: int) -> bytes:
    failure = TooLarge(f"The body is larger than {limit_bytes} bytes")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit_bytes:
        raise failure
    parts, size_bytes = [], 0
    async for part in request.stream():
        size_bytes += len(part)
        if size_bytes > limit_bytes:
            raise failure
        parts.append(part)
    return b"".join(parts)


def content_type(headers: Mapping[str, str]) -> Message:
    """What a request says its body is; one that says too much has said nothing."""
    said, message = headers.get("content-type", ""), Message()
    message["content-type"] = said if len(said) <= MAX_CONTENT_TYPE else ""
    return message


def check_acceptable(media_type: str | None) -> None:
    if media_type is None:
        raise Malformed(f"The answer is {JSON} or {GRAPHQL}", status=406, code="NOT_ACCEPTABLE")


def _check_media_type(headers: Mapping[str, str]) -> None:
    message = content_type(headers)
    is_utf8 = (message.get_content_charset() or "utf-8") in ("utf-8", "utf8")
    is_json = "content-type" in headers and message.get_content_type() == JSON and is_utf8
    if not is_json or headers.get("content-encoding", "identity") != "identity":
        message_text = f"A body is of type {JSON}, in UTF-8 and not compressed"
        raise Malformed(message_text, status=415, code="UNSUPPORTED_MEDIA_TYPE")


def _url_parameters(request: Request) -> dict[str, Any]:
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name in MEMBERS]
    given: dict[str, Any] = dict(pairs)
    if len(given) < len(pairs):
        raise Malformed("A parameter is given once")
    for name in ("variables", "extensions"):
        if name in given:
            given[name] = loads(given[name].encode("utf-8", "surrogatepass"), name) if given[name] else None
    return given


def _sha256(extensions: dict[str, Any]) -> str | None:
    """The hash that Apollo's clients name a document by."""
    asked = _typed(extensions, "persistedQuery", dict, "an object")
    if asked is None:
        return None
    if asked.get("version") != 1:
        raise Malformed("Unsupported persisted query version")
    found = asked.get("sha256Hash")
    if not isinstance(found, str) or not SHA256.fullmatch(found.lower()):
        raise Malformed("persistedQuery.sha256Hash takes the SHA-256 of the query in hexadecimal digits")
    return found.lower()


def _typed(given: dict[str, Any], name: str, kind: type, expected: str) -> Any:
    value = given.get(name)
    if value is not None and not isinstance(value, kind):
        raise Malformed(f"{name} takes {expected}")
    return value
