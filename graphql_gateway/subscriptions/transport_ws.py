"""The protocol `graphql-transport-ws` (PROTOCOL.md of the package graphql-ws)."""

import time
from dataclasses import dataclass

from graphql_gateway.errors import Malformed
from graphql_gateway.subscriptions.conversation import Conversation, Message, id_of

SUBPROTOCOL = "graphql-transport-ws"
INVALID, UNAUTHORIZED, LATE, DUPLICATE, TWICE = 4400, 4401, 4408, 4409, 4429
SILENT = 1001
UNANSWERED_PINGS = 3
TYPES = ("connection_init", "ping", "pong", "subscribe", "complete")


@dataclass
class TransportWs(Conversation):
    """A conversation in `graphql-transport-ws`."""

    unanswered: int = 0
    pinged_at: float = 0.0

    async def take(self, message: Message) -> None:
        """Do as a message says."""
        kind, payload = message["type"], message.get("payload")
        if kind not in TYPES:
            raise Malformed(f"There is no message of the type {kind[:40]}")
        if kind in ("ping", "pong") and not isinstance(payload, dict | None):
            raise Malformed(f"The payload of {kind} is an object")
        if kind == "connection_init":
            await self._begin(payload)
        elif kind == "ping":
            await self.wire.send({"type": "pong", **({"payload": payload} if payload is not None else {})})
        elif kind == "subscribe":
            await self._subscribe(id_of(message), payload)
        elif kind == "complete":
            self.stop(id_of(message))

    async def refuse(self, failure: Malformed) -> None:
        """An invalid message closes the socket."""
        self.wire.close(INVALID, failure.message)

    async def keep_alive(self) -> None:
        """Ping; who has answered none of several is gone."""
        if self.wire.heard_at >= self.pinged_at:
            self.unanswered = 0
        if self.unanswered == UNANSWERED_PINGS:
            return self.wire.close(SILENT, "Pings are not answered")
        self.unanswered, self.pinged_at = self.unanswered + 1, time.monotonic()
        return await self.wire.send({"type": "ping"})

    def late(self) -> None:
        """Its own code."""
        self.wire.close(LATE, "Connection initialisation timeout")

    def result(self, key: str, body: Message) -> Message:
        """`next`."""
        return {"type": "next", "id": key, "payload": body}

    def errors(self, key: str, errors: list[Message]) -> list[Message]:
        """`error`, after which nothing comes."""
        return [{"type": "error", "id": key, "payload": errors}]

    async def _begin(self, payload: object) -> None:
        if self.is_begun:
            return self.wire.close(TWICE, "Too many initialisation requests")
        self.begin(payload)
        await self.wire.send({"type": "connection_ack"})
        return None

    async def _subscribe(self, key: str, payload: object) -> None:
        if not self.is_begun:
            return self.wire.close(UNAUTHORIZED, "Unauthorized")
        if key in self.running:
            return self.wire.close(DUPLICATE, f"Subscriber for {key} already exists")
        return await self.start(key, payload)
