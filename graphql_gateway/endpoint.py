"""The GraphQL endpoint: a request is read, prepared, executed and answered."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import structlog
from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode, OperationType
from starlette.requests import Request
from starlette.responses import Response

from graphql_gateway.documents import Prepared, operation_name
from graphql_gateway.errors import Failure, Malformed, TooLarge, described
from graphql_gateway.exact_json import dumps
from graphql_gateway.graphql_http import JSON, Parameters, check_acceptable, given, negotiate
from graphql_gateway.limits import Limits
from graphql_gateway.observability import GatewayMetrics
from graphql_gateway.proxies import TrustedProxies
from graphql_gateway.rest_client import Caller, Core, RestClient
from graphql_gateway.serving import Serving

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

    serving: Serving
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
        core = Core(self.client, self._caller(request), started + self.deadline_seconds)
        try:
            check_acceptable(media_type)
            parameters = Parameters.read(await given(request, self.limits.body_bytes))
            ready = await self.serving.ready(parameters.query, core)
            operation = ready.operation(parameters.operation_name)
            _check_method(request.method, operation)
            if operation is None:
                return _refused(_reasons(ready.prepared, parameters), request_id)
            return _executed(await self.serving.run(ready, parameters, core), operation_name(operation), request_id)
        except Malformed as failure:
            return _refused([failure], request_id, failure.status, failure.headers)
        except TooLarge as failure:
            return _refused([failure], request_id, 413)
        except Failure as failure:
            return _refused([failure], request_id)

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


def _refused(
    errors: Sequence[GraphQLError | Failure],
    request_id: str,
    status: int | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    return Outcome({"errors": described(errors, request_id)}, False, "invalid", headers, status)


def _executed(result: ExecutionResult, operation: str, request_id: str) -> Outcome:
    errors = {"errors": described(result.errors, request_id)} if result.errors else {}
    # Variables of a wrong type are found by the executor before it starts; then there is no data, not even null.
    has_started = result.data is not None or any(error.path is not None for error in result.errors or ())
    return Outcome({**errors, "data": result.data} if has_started else errors, has_started, operation, {})


def _response(outcome: Outcome, media_type: str) -> Response:
    is_well_formed = outcome.has_data or media_type == JSON
    status = outcome.status or (200 if is_well_formed else 400)
    content = dumps(outcome.body)
    return Response(content, status, dict(outcome.headers), media_type=f"{media_type}; charset=utf-8")
