"""The protocol that Playground speaks, subprotocol `graphql-ws` (PROTOCOL.md of subscriptions-transport-ws)."""

from dataclasses import dataclass

from graphql_gateway.errors import Malformed
from graphql_gateway.subscriptions.conversation import NORMAL, Conversation, Message, id_of

SUBPROTOCOL = "graphql-ws"
LATE = 4408


@dataclass
class LegacyWs(Conversation):
    """A conversation in the legacy `graphql-ws`; there is no order of beginning in it, and no close codes."""

    async def take(self, message: Message) -> None:
        """Do as a message says."""
        kind, payload = message["type"], message.get("payload")
        if kind == "connection_init":
            await self._begin(payload)
        elif kind == "start":
            await self._start(id_of(message), payload)
        elif kind == "stop":
            await self._stop(id_of(message))
        elif kind == "connection_terminate":
            self.wire.close(NORMAL, "")
        else:
            raise Malformed(f"There is no message of the type {kind[:40]}")

    async def refuse(self, failure: Malformed) -> None:
        """A message that cannot be read is told of, and goes by."""
        await self.wire.send({"type": "connection_error", "payload": {"message": failure.message}})

    async def keep_alive(self) -> None:
        """`ka`; clients answer nothing."""
        await self.wire.send({"type": "ka"})

    def late(self) -> None:
        """As the newer protocol does."""
        self.wire.close(LATE, "Connection initialisation timeout")

    def result(self, key: str, body: Message) -> Message:
        """`data`."""
        return {"type": "data", "id": key, "payload": body}

    def errors(self, key: str, errors: list[Message]) -> list[Message]:
        """`error` takes one error, so that the first one speaks for all."""
        return [{"type": "error", "id": key, "payload": errors[0]}]

    async def _begin(self, payload: object) -> None:
        self.begin(payload)
        await self.wire.send({"type": "connection_ack"})
        await self.keep_alive()

    async def _start(self, key: str, payload: object) -> None:
        if not self.is_begun:
            raise Malformed("connection_init comes first")
        self.stop(key)
        await self.start(key, payload)

    async def _stop(self, key: str) -> None:
        self.stop(key)
        await self.wire.send({"type": "complete", "id": key})
