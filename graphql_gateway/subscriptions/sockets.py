"""WebSockets at the endpoint: whom they are opened for, and in which protocol."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from graphql_gateway.errors import Failure, Overloaded, described
from graphql_gateway.subscriptions import legacy_ws, transport_ws
from graphql_gateway.subscriptions.connections import Connections
from graphql_gateway.subscriptions.conversation import Conversation, Limits
from graphql_gateway.subscriptions.legacy_ws import LegacyWs
from graphql_gateway.subscriptions.operations import Operations
from graphql_gateway.subscriptions.transport_ws import TransportWs
from graphql_gateway.subscriptions.wire import Wire

PROTOCOLS: dict[str, type[Conversation]] = {
    transport_ws.SUBPROTOCOL: TransportWs,
    legacy_ws.SUBPROTOCOL: LegacyWs,
}
NO_PROTOCOL = 4406


@dataclass(frozen=True)
class Sockets:
    """Opens sockets; browsers may open them from pages of ours, or of the origins that are named."""

    operations: Operations
    connections: Connections
    limits: Limits
    message_bytes: int
    origins: frozenset[str]

    async def answer(self, websocket: WebSocket) -> None:
        """Talk on a socket until it ends."""
        if not self._is_of_ours(websocket):
            return await _deny(websocket, 403, Failure("Pages of this origin open no sockets here", code="FORBIDDEN"))
        try:
            with self.connections.one():
                await self._talk(websocket)
        except Overloaded as failure:
            await _deny(websocket, 503, failure)
        return None

    async def _talk(self, websocket: WebSocket) -> None:
        offered = [each for each in websocket.scope["subprotocols"] if each in PROTOCOLS]
        await websocket.accept(offered[0] if offered else None)
        if not offered:
            return await websocket.close(NO_PROTOCOL, "Subprotocol not acceptable")
        wire = Wire(websocket, self.message_bytes, self.limits.alive_seconds)
        return await PROTOCOLS[offered[0]](wire, self.operations, self.limits, self.connections.caller(websocket)).run()

    def _is_of_ours(self, websocket: WebSocket) -> bool:
        origin = websocket.headers.get("origin")
        if origin is None or origin in self.origins:
            return True
        return _host(origin) == websocket.headers.get("host", "").lower() != ""


def _host(origin: str) -> str | None:
    """The host of an origin; None where it is no URL."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


async def _deny(websocket: WebSocket, status: int, failure: Failure) -> None:
    body = {"errors": described([failure], websocket.state.request_id)}
    await websocket.send_denial_response(JSONResponse(body, status))
