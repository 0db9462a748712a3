"""The GraphQL endpoint: a request is read, prepared, executed and answered."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import structlog
from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode, OperationType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from graphql_gateway import persisted
from graphql_gateway.admission import Admission
from graphql_gateway.costs import cost_told
from graphql_gateway.disconnects import ended_when_gone
from graphql_gateway.documents import Prepared, operation_name
from graphql_gateway.errors import Failure, Malformed, TooLarge, described
from graphql_gateway.exact_json import dumps
from graphql_gateway.graphql_http import JSON, Parameters, check_acceptable, given, negotiate
from graphql_gateway.limits import Limits
from graphql_gateway.multipart import given_with_file, is_multipart
from graphql_gateway.observability import GatewayMetrics
from graphql_gateway.proxies import TrustedProxies
from graphql_gateway.rest_client import Caller, Core, RestClient
from graphql_gateway.serving import Serving
from graphql_gateway.tracing import Tracer
from graphql_gateway.trail import Trail
from graphql_gateway.uploads import Uploads
from graphql_gateway.upstream.idempotency import ChangeKeys, read_key

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

    def with_upstream(self, trail: Trail) -> "Outcome":
        """The same, telling a client who debugs of the calls that were made."""
        extensions = {**self.body.get("extensions", {}), "upstream": trail.described()}
        return replace(self, body={**self.body, "extensions": extensions})


@dataclass(frozen=True)
class GraphQLEndpoint:
    """Answers GraphQL requests."""

    admission: Admission
    serving: Serving
    limits: Limits
    client: RestClient
    uploads: Uploads
    proxies: TrustedProxies
    metrics: GatewayMetrics
    tracer: Tracer
    deadline_seconds: float

    async def answer(self, request: Request) -> Response:
        """The response to any request for the endpoint. Raises ClientDisconnect."""
        started = time.monotonic()
        media_type = negotiate(request.headers.getlist("accept"))
        trail = Trail(self.tracer.request(request.headers.getlist("traceparent")))
        try:
            outcome = await self._outcome(request, media_type, started, trail)
        except ClientDisconnect:
            self.metrics.clients_gone.inc()
            trail.end("gone", failure="gone")
            raise
        if request.headers.get("x-debug") == "1":
            outcome = outcome.with_upstream(trail)
        seconds = time.monotonic() - started
        self._record(outcome, trail, seconds)
        return _response(outcome, media_type or JSON, trail.server_timing(seconds))

    def _record(self, outcome: Outcome, trail: Trail, seconds: float) -> None:
        operation, label = self.metrics.names.label(outcome.operation), outcome.label
        self.metrics.observe(operation, label, seconds, trail.calls)
        trail.end(operation, failure=None if label == "ok" else label)
        log.info("graphql", operation=operation, outcome=label, ms=round(seconds * 1e3, 1), **trail.logged())

    async def _outcome(self, request: Request, media_type: str | None, started: float, trail: Trail) -> Outcome:
        request_id = request.state.request_id
        core = Core(self.client, self._caller(request), started + self.deadline_seconds, trail)
        try:
            check_acceptable(media_type)
            trail.keys = ChangeKeys(read_key(request.headers.getlist("idempotency-key")))
            if is_multipart(request):
                # Who leaves is noticed where his file is read.
                return await self._run("POST", await self._with_file(request), core)
            asked = Parameters.read(await given(request, self.limits.body_bytes))
            async with ended_when_gone(request.receive):
                return await self._run(request.method, asked, core)
        except Malformed as failure:
            return _refused([failure], request_id, failure.status, failure.headers)
        except TooLarge as failure:
            return _refused([failure], request_id, 413)
        except Failure as failure:
            return _refused([failure], request_id)

    async def _with_file(self, request: Request) -> Parameters:
        return Parameters.read(await given_with_file(request, self.limits.body_bytes, self.uploads))

    async def _run(self, method: str, asked: Parameters, core: Core) -> Outcome:
        request_id = core.caller.request_id
        with core.trail.stage("prepare"):
            parameters = await self.admission.resolved(asked, core)
            ready = await self.serving.ready(parameters.query, core)
        operation = ready.operation(parameters.operation_name)
        _check_method(method, operation)
        if operation is None:
            return _refused(_reasons(ready.prepared, parameters), request_id)
        cost = self.admission.cost(ready, parameters)
        await self.admission.keep(parameters, ready, core)
        with core.trail.stage("execute"):
            result = await self.serving.run(ready, parameters, core)
        return _executed(result, operation_name(operation), request_id, cost_told(cost, self.admission.max_cost))

    def _caller(self, request: Request) -> Caller:
        peer = request.client.host if request.client else ""
        given = ",".join(request.headers.getlist("x-forwarded-for"))
        forwarded_for = self.proxies.forwarded_for(peer, given) if peer else None
        return Caller(request.headers.get("authorization"), request.state.request_id, forwarded_for)


def _check_method(method: str, operation: OperationDefinitionNode | None) -> None:
    if operation is not None and operation.operation is OperationType.SUBSCRIPTION:
        raise Malformed("A subscription goes by WebSocket, or is answered as text/event-stream where Accept says so")
    if method == "GET" and operation is not None and operation.operation is not OperationType.QUERY:
        raise Malformed(
            "GET takes queries only; send mutations by POST",
            status=405,
            code="METHOD_NOT_ALLOWED",
            headers={"Allow": "POST"},
        )


def _reasons(prepared: Prepared, parameters: Parameters) -> Sequence[GraphQLError | Failure]:
    if prepared.errors:
        return persisted.told(prepared.errors, parameters)
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


def _executed(result: ExecutionResult, operation: str, request_id: str, extensions: dict[str, Any]) -> Outcome:
    errors = {"errors": described(result.errors, request_id)} if result.errors else {}
    # Variables of a wrong type are found by the executor before it starts; then there is no data, not even null.
    has_started = result.data is not None or any(error.path is not None for error in result.errors or ())
    body = {**errors, "data": result.data, "extensions": extensions} if has_started else errors
    return Outcome(body, has_started, operation, {})


def _response(outcome: Outcome, media_type: str, timing: str) -> Response:
    is_well_formed = outcome.has_data or media_type == JSON
    status = outcome.status or (200 if is_well_formed else 400)
    content = dumps(outcome.body)
    headers = {**outcome.headers, "Server-Timing": timing}
    return Response(content, status, headers, media_type=f"{media_type}; charset=utf-8")
