"""One WebSocket: JSON messages in and out, each way bounded in size and time."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from graphql_gateway.errors import Malformed
from graphql_gateway.exact_json import dumps
from graphql_gateway.strict_json import loads

CLOSE_SECONDS = 2.0
MAX_REASON_BYTES = 123
TOO_BIG = 1009
GOING_AWAY = 1001


@dataclass(frozen=True)
class Close:
    """Why a socket is closed."""

    code: int
    reason: str


class Left(Exception):
    """The client has closed the socket."""


@dataclass
class Wire:
    """The socket; the first reason to close it counts. A message that is not taken within `send_seconds` is one."""

    websocket: WebSocket
    message_bytes: int
    send_seconds: float
    closing: "asyncio.Future[Close]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    heard_at: float = field(default_factory=time.monotonic)
    heard_bytes: int = 0
    """The size of the last message."""

    async def receive(self) -> dict[str, Any]:
        """The next message. Raises Malformed, Left."""
        message = await self.websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise Left
        self.heard_at = time.monotonic()
        text = message.get("text")
        if text is None:
            raise Malformed("A message is a text")
        content = text.encode("utf-8", "surrogatepass")
        if len(content) > self.message_bytes:
            self.close(TOO_BIG, f"A message has at most {self.message_bytes} bytes")
            raise Left
        self.heard_bytes = len(content)
        parsed = loads(content, "The message")
        if not isinstance(parsed, dict) or not isinstance(parsed.get("type"), str):
            raise Malformed("A message is an object with a type")
        return parsed

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message; a client who does not take it in time is left."""
        if self.closing.done():
            return
        try:
            async with asyncio.timeout(self.send_seconds):
                await self.websocket.send_text(dumps(message).decode())
        except TimeoutError:
            self.close(GOING_AWAY, "Messages are taken too slowly")
        except (WebSocketDisconnect, RuntimeError):
            self.close(GOING_AWAY, "The client has left")

    def close(self, code: int, reason: str) -> None:
        """Have the socket closed."""
        if not self.closing.done():
            self.closing.set_result(Close(code, reason))

    async def shut(self) -> None:
        """Close it, for the reason there is."""
        close = self.closing.result()
        reason = close.reason.encode()[:MAX_REASON_BYTES].decode("utf-8", "ignore")
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.websocket.close(close.code, reason)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            return
