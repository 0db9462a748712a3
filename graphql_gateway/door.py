"""The door every request comes in and goes out by: it gets an id, and its answer the headers that protect browsers."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphql_gateway.health import problem
from graphql_gateway.proxies import TrustedProxies

# The server takes 16 MB by HTTP/2; whatever reads a header, and the core, shall be spared them.
MAX_HEADER_BYTES = 65_536
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
RawHeader = tuple[bytes, bytes]
"""As ASGI has them, the name in small letters."""
SECURITY_HEADERS: tuple[RawHeader, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
STRICT_TRANSPORT: tuple[RawHeader, ...] = ((b"strict-transport-security", b"max-age=31536000"),)
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Door:
    """ASGI middleware around everything."""

    app: ASGIApp
    proxies: TrustedProxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in and its answer out."""
        if scope["type"] == "websocket":
            return await self._socket(scope, receive, send)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        request_id = _named(scope, headers)
        added = [(b"x-request-id", request_id.encode()), *(STRICT_TRANSPORT if self._is_secure(scope, headers) else ())]

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _dressed(message["headers"], added)
            await send(message)

        try:
            await self._inside(scope, request_id)(scope, receive, dressed)
        except ClientDisconnect:
            log.debug("the client left before its body had come")
        except Exception:
            log.exception("unexpected error")

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _named(scope, Headers(scope=scope))
        try:
            await self._inside(scope, request_id)(scope, receive, send)
        except Exception:
            log.exception("unexpected error on a socket")

    def _inside(self, scope: Scope, request_id: str) -> ASGIApp:
        """What answers: the app, or a refusal of headers that are too large."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) <= MAX_HEADER_BYTES:
            return self.app
        title = "Request header fields too large"
        return problem(431, "too_large", title, f"The headers are larger than {MAX_HEADER_BYTES} bytes", request_id)

    def _is_secure(self, scope: Scope, headers: Headers) -> bool:
        peer = (scope.get("client") or ("",))[0]
        is_forwarded = headers.get("x-forwarded-proto") == "https" and self.proxies.trusts(peer)
        return scope["scheme"] == "https" or is_forwarded


def _named(scope: Scope, headers: Headers) -> str:
    """The id of a request, which its log lines bear from now on."""
    request_id = _request_id(headers)
    scope.setdefault("state", {})["request_id"] = request_id
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def _dressed(headers: Sequence[RawHeader], added: Sequence[RawHeader]) -> list[RawHeader]:
    """An answer's headers with those added, and those that protect where it has none of its own."""
    names = {name for name, _ in headers}
    return [*headers, *added, *(header for header in SECURITY_HEADERS if header[0] not in names)]
