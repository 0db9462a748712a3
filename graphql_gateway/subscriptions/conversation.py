"""What both WebSocket protocols have in common: a beginning in time, operations by their ids, an end."""

import asyncio
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from graphql_gateway.errors import Failure, Malformed, Overloaded, described
from graphql_gateway.graphql_http import Parameters
from graphql_gateway.rest_client import Caller
from graphql_gateway.subscriptions.operations import Operations, Refused
from graphql_gateway.subscriptions.wire import Left, Wire

NORMAL, INTERNAL = 1000, 1011
MAX_ID_CHARACTERS = 128
MAX_BYTES_TOGETHER = 131_072
"""Of the messages that running operations came with, where there are several: they are kept, and their documents."""
AUTHORIZATION = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,8191}")
Message = dict[str, Any]
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Limits:
    """How long a client may take, and how much he may ask for on one socket."""

    init_seconds: float
    idle_seconds: float
    alive_seconds: float
    operations: int


@dataclass
class Conversation(ABC):
    """One socket's conversation in one protocol."""

    wire: Wire
    operations: Operations
    limits: Limits
    caller: Caller
    is_begun: bool = False
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    sizes_bytes: dict[asyncio.Task[None], int] = field(default_factory=dict)
    """Of the messages that brought the operations which have not ended yet, those that were stopped among them."""
    busy_at: float = field(default_factory=time.monotonic)

    @abstractmethod
    async def take(self, message: Message) -> None:
        """Do as a message says. Raises Malformed for one that the protocol does not know."""

    @abstractmethod
    async def refuse(self, failure: Malformed) -> None:
        """Answer a message that cannot be read."""

    @abstractmethod
    async def keep_alive(self) -> None:
        """Show the client, and whatever is between, that we are there."""

    @abstractmethod
    def late(self) -> None:
        """Close the socket of a client who did not begin in time."""

    @abstractmethod
    def result(self, key: str, body: Message) -> Message:
        """The message with a result."""

    @abstractmethod
    def errors(self, key: str, errors: list[Message]) -> list[Message]:
        """The messages that end an operation with errors."""

    async def run(self) -> None:
        """Talk until one side has enough."""
        tasks: list[asyncio.Future[Any]] = [asyncio.create_task(each) for each in self._parts()]
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            await asyncio.wait({*tasks, self.wire.closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            every = [*tasks, *self.sizes_bytes]
            for task in every:
                task.cancel()
            await asyncio.gather(*every, return_exceptions=True)
        self.wire.close(NORMAL, "")
        await self.wire.shut()

    def begin(self, payload: object) -> None:
        """Take over the token in a payload. Raises Malformed."""
        given = _authorization(payload)
        if given is not None:
            self.caller = replace(self.caller, authorization=given)
        self.is_begun, self.busy_at = True, time.monotonic()

    async def start(self, key: str, payload: object) -> None:
        """Run an operation beside the others. Raises Malformed."""
        parameters = Parameters.read(payload)
        failure = self._excess()
        if failure is not None:
            return await self._end(key, [failure])
        task = asyncio.create_task(self._operate(key, parameters))
        self.running[key], self.sizes_bytes[task] = task, self.wire.heard_bytes
        task.add_done_callback(lambda done: self._finished(key, done))
        return None

    def stop(self, key: str) -> None:
        """End an operation, if it runs."""
        task = self.running.pop(key, None)
        if task is not None:
            task.cancel()

    def _excess(self) -> Failure | None:
        """Why one operation more is too much."""
        if len(self.running) >= self.limits.operations:
            return Overloaded(f"A connection has at most {self.limits.operations} operations at once")
        if self.running and self.wire.heard_bytes + sum(self.sizes_bytes.values()) > MAX_BYTES_TOGETHER:
            return Overloaded(f"The operations of a connection have at most {MAX_BYTES_TOGETHER} bytes at once")
        return None

    def _parts(self) -> list[Coroutine[Any, Any, None]]:
        return [self._listen(), self._watch()]

    async def _listen(self) -> None:
        while True:
            try:
                await self.take(await self.wire.receive())
            except Malformed as failure:
                await self.refuse(failure)
            except Left:
                return

    async def _watch(self) -> None:
        await asyncio.sleep(self.limits.init_seconds)
        if not self.is_begun:
            return self.late()
        while self.running or time.monotonic() - self.busy_at < self.limits.idle_seconds:
            await self.keep_alive()
            await asyncio.sleep(self.limits.alive_seconds)
        return self.wire.close(NORMAL, "Nothing was asked for")

    async def _operate(self, key: str, parameters: Parameters) -> None:
        try:
            async with aclosing(self.operations.results(parameters, self.caller)) as results:
                async for body in results:
                    await self.wire.send(self.result(key, body))
            await self.wire.send({"type": "complete", "id": key})
        except Refused as refused:
            for message in self.errors(key, refused.errors):
                await self.wire.send(message)

    async def _end(self, key: str, failures: list[Failure]) -> None:
        for message in self.errors(key, described(failures, self.caller.request_id)):
            await self.wire.send(message)

    def _finished(self, key: str, task: asyncio.Task[None]) -> None:
        self.busy_at = time.monotonic()
        self.sizes_bytes.pop(task, None)
        if self.running.get(key) is task:
            del self.running[key]
        self._ended(task)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("unexpected error on a socket", exc_info=error)
            self.wire.close(INTERNAL, "An internal error occurred")


def id_of(message: Message) -> str:
    """The id of a message's operation. Raises Malformed."""
    key = message.get("id")
    if not isinstance(key, str) or not 0 < len(key) <= MAX_ID_CHARACTERS:
        raise Malformed(f"id takes a text of 1 to {MAX_ID_CHARACTERS} characters")
    return key


def _authorization(payload: object) -> str | None:
    """The token in the payload of a beginning: as a member, or as a header in it. Raises Malformed."""
    if payload is None:
        return None
    if not isinstance(payload, dict):
        raise Malformed("The payload of connection_init is an object")
    headers = payload.get("headers")
    given = {**_lower(headers if isinstance(headers, dict) else {}), **_lower(payload)}.get("authorization")
    if given in (None, ""):
        return None
    if not isinstance(given, str) or not AUTHORIZATION.fullmatch(given):
        raise Malformed("Authorization takes a text such as Bearer …")
    return given


def _lower(members: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in members.items()}
