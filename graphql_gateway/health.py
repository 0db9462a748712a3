"""`/health` and `/metrics`: for probes and Prometheus, not for people."""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from graphql_gateway.errors import Failure
from graphql_gateway.rest_client import Call, Caller, RestClient

READY_SECONDS = 2.0
PROBE = Call("GET", "/health/ready", "/health/ready")


async def live(_request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@dataclass(frozen=True)
class Readiness:
    """Whether the core behind the gateway is ready."""

    client: RestClient

    async def answer(self, request: Request) -> Response:
        """200, or 503 naming what does not answer."""
        caller = Caller(None, request.state.request_id, None)
        try:
            await self.client.send(PROBE, caller, time.monotonic() + READY_SECONDS)
        except Failure:
            return problem(503, "unavailable", "Unavailable", "The core is not ready", request.state.request_id)
        return JSONResponse({"status": "ok"})


@dataclass(frozen=True)
class Metrics:
    """The metrics of this gateway's processes, behind a token where one is set."""

    exposition: Callable[[], bytes]
    token: str

    async def answer(self, request: Request) -> Response:
        """Prometheus' text format."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.token and not hmac.compare_digest(given.encode(), self.token.encode()):
            detail = "The metrics need their bearer token"
            refused = problem(401, "unauthenticated", "Not authenticated", detail, request.state.request_id)
            refused.headers["WWW-Authenticate"] = 'Bearer realm="lakeport"'
            return refused
        return Response(self.exposition(), media_type=CONTENT_TYPE_LATEST)


def problem(status: int, code: str, title: str, detail: str, request_id: str) -> Response:
    """A problem document (RFC 9457), as the core's."""
    body = {
        "type": f"urn:lakeport:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    return JSONResponse(body, status, media_type="application/problem+json")
