"""The GraphQL endpoint: a request is read, prepared, executed and answered."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from graphql_gateway.graphql_http import JSON, Parameters, check_acceptable, given, negotiate
from graphql_gateway.limits import Limits
from graphql_gateway.observability import GatewayMetrics
from graphql_gateway.proxies import TrustedProxies
from graphql_gateway.rest_client import Caller, Core, RestClient

log = structlog.get_logger(__name__)


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
            check_acceptable(media_type)
            parameters = Parameters.read(await given(request, self.limits.body_bytes))
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


def _check_method(method: str, operation: OperationDefinitionNode | None) -> None:
    if method == "GET" and operation is not None and operation.operation is not OperationType.QUERY:
        raise Malformed(
            "GET takes queries only; send mutations by POST",
            status=405,
            code="METHOD_NOT_ALLOWED",
            headers={"Allow": "POST"},
        )


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
