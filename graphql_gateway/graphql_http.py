"""GraphQL over HTTP (the GraphQL Foundation's specification): queries by GET, everything by POST."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from inspect import isawaitable
from typing import Any

import orjson
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute,
)
from starlette.requests import Request
from starlette.responses import Response

from graphql_gateway.documents import Documents, Prepared, operation_name
from graphql_gateway.errors import Failure, Malformed, TooLarge, described
from graphql_gateway.limits import Limits
from graphql_gateway.observability import GatewayMetrics
from graphql_gateway.proxies import TrustedProxies
from graphql_gateway.rest_client import Caller, Core, RestClient
from graphql_gateway.strict_json import loads

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
METHODS = {"Allow": "GET, POST"}
MEMBERS = ("query", "operationName", "variables", "extensions")
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Parameters:
    """What a client asks for."""

    query: str
    operation_name: str | None
    variables: dict[str, Any] | None

    @classmethod
    def read(cls, given: object) -> "Parameters":
        """The parameters in a request. Raises Malformed."""
        if not isinstance(given, dict):
            raise Malformed('The body is an object such as {"query": "{ … }"}')
        query = given.get("query")
        if not isinstance(query, str) or not query.strip():
            raise Malformed("query is missing; it takes the text of a GraphQL document")
        name = _typed(given, "operationName", str, "a text")
        variables = _typed(given, "variables", dict, "an object")
        _typed(given, "extensions", dict, "an object")
        return cls(query, name or None, variables)


@dataclass(frozen=True)
class Outcome:
    """What a request comes to; without `has_data` nothing was executed."""

    body: dict[str, Any]
    has_data: bool
    operation: str
    headers: Mapping[str, str]
    status: int | None = None

    @property
    def label(self) -> str:
        """ok, error (with data) or refused."""
        return "refused" if not self.has_data else "error" if "errors" in self.body else "ok"


@dataclass(frozen=True)
class GraphQLEndpoint:
    """Answers GraphQL requests."""

    schema: GraphQLSchema
    documents: Documents
    limits: Limits
    client: RestClient
    proxies: TrustedProxies
    metrics: GatewayMetrics
    deadline_seconds: float

    async def answer(self, request: Request) -> Response:
        """The response to any request for the endpoint."""
        started = time.monotonic()
        media_type = negotiate(request.headers.getlist("accept"))
        outcome = await self._outcome(request, media_type, started)
        seconds = time.monotonic() - started
        operation = self.metrics.names.label(outcome.operation)
        self.metrics.observe(operation, outcome.label, seconds)
        log.info("graphql", operation=operation, outcome=outcome.label, ms=round(seconds * 1e3, 1))
        return _response(outcome, media_type or JSON)

    async def _outcome(self, request: Request, media_type: str | None, started: float) -> Outcome:
        request_id = request.state.request_id
        try:
            _check_acceptable(media_type)
            parameters = Parameters.read(await self._given(request))
            prepared = self.documents.prepare(parameters.query)
            operation = prepared.operation(parameters.operation_name)
            _check_method(request.method, operation)
        except Malformed as failure:
            return Outcome(_refusal([failure], request_id), False, "invalid", failure.headers, failure.status)
        except TooLarge as failure:
            return Outcome(_refusal([failure], request_id), False, "invalid", {}, 413)
        if prepared.document is None or operation is None:
            return Outcome(_refusal(_reasons(prepared, parameters), request_id), False, "invalid", {})
        core = Core(self.client, self._caller(request), started + self.deadline_seconds)
        result = await self._execute(prepared.document, parameters, core)
        return _executed(result, operation_name(operation), request_id)

    async def _given(self, request: Request) -> object:
        if request.method == "GET":
            return _url_parameters(request)
        if request.method == "POST":
            _check_media_type(request.headers)
            return loads(await body(request, self.limits.body_bytes), "The body")
        raise Malformed("GraphQL takes GET and POST", status=405, code="METHOD_NOT_ALLOWED", headers=METHODS)

    async def _execute(self, document: DocumentNode, parameters: Parameters, core: Core) -> ExecutionResult:
        result = execute(
            self.schema,
            document,
            context_value=core,
            variable_values=parameters.variables,
            operation_name=parameters.operation_name,
        )
        return await result if isawaitable(result) else result

    def _caller(self, request: Request) -> Caller:
        peer = request.client.host if request.client else ""
        given = ",".join(request.headers.getlist("x-forwarded-for"))
        forwarded_for = self.proxies.forwarded_for(peer, given) if peer else None
        return Caller(request.headers.get("authorization"), request.state.request_id, forwarded_for)


def negotiate(accept: Sequence[str]) -> str | None:
    """The media type of the answer; None when the client takes neither of ours."""
    weights = {JSON: 0.0, GRAPHQL: 0.0}
    if not accept:
        return JSON
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
    """A request's body. Raises TooLarge before more than the limit is kept."""
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


def _check_acceptable(media_type: str | None) -> None:
    if media_type is None:
        raise Malformed(f"The answer is {JSON} or {GRAPHQL}", status=406, code="NOT_ACCEPTABLE")


def _check_media_type(headers: Mapping[str, str]) -> None:
    message = Message()
    message["content-type"] = headers.get("content-type", "")
    is_utf8 = (message.get_content_charset() or "utf-8") in ("utf-8", "utf8")
    is_json = "content-type" in headers and message.get_content_type() == JSON and is_utf8
    if not is_json or headers.get("content-encoding", "identity") != "identity":
        message_text = f"A body is of type {JSON}, in UTF-8 and not compressed"
        raise Malformed(message_text, status=415, code="UNSUPPORTED_MEDIA_TYPE")


def _check_method(method: str, operation: OperationDefinitionNode | None) -> None:
    if method == "GET" and operation is not None and operation.operation is not OperationType.QUERY:
        raise Malformed(
            "GET takes queries only; send mutations by POST",
            status=405,
            code="METHOD_NOT_ALLOWED",
            headers={"Allow": "POST"},
        )


def _url_parameters(request: Request) -> dict[str, Any]:
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name in MEMBERS]
    given: dict[str, Any] = dict(pairs)
    if len(given) < len(pairs):
        raise Malformed("A parameter is given once")
    for name in ("variables", "extensions"):
        if name in given:
            given[name] = loads(given[name].encode("utf-8", "surrogatepass"), name) if given[name] else None
    return given


def _typed(given: dict[str, Any], name: str, kind: type, expected: str) -> Any:
    value = given.get(name)
    if value is not None and not isinstance(value, kind):
        raise Malformed(f"{name} takes {expected}")
    return value


def _reasons(prepared: Prepared, parameters: Parameters) -> Sequence[GraphQLError | Failure]:
    if prepared.errors:
        return prepared.errors
    name = parameters.operation_name
    unknown = f"There is no operation named {name[:100]!r}" if name else "Say which operation to run by operationName"
    return [GraphQLError(unknown)]


def _refusal(errors: Sequence[GraphQLError | Failure], request_id: str) -> dict[str, Any]:
    return {"errors": described(errors, request_id)}


def _executed(result: ExecutionResult, operation: str, request_id: str) -> Outcome:
    errors = {"errors": described(result.errors, request_id)} if result.errors else {}
    # Variables of a wrong type are found by the executor before it starts; then there is no data, not even null.
    has_started = result.data is not None or any(error.path is not None for error in result.errors or ())
    return Outcome({**errors, "data": result.data} if has_started else errors, has_started, operation, {})


def _response(outcome: Outcome, media_type: str) -> Response:
    is_well_formed = outcome.has_data or media_type == JSON
    status = outcome.status or (200 if is_well_formed else 400)
    content = orjson.dumps(outcome.body)
    return Response(content, status, dict(outcome.headers), media_type=f"{media_type}; charset=utf-8")
