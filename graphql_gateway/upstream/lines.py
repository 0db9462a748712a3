"""Lines to the core, each over a connection of its own, and who may use which when."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from greenlet import greenlet

from graphql_gateway.errors import Overloaded
from graphql_gateway.upstream.connection import Connection, Message, Reply

Outcome = Reply | Exception


class ShareKey(NamedTuple):
    """What must be the same for two reads to be one: whose they are, from where he called, and what he asked for."""

    authorization: str
    forwarded_for: str | None
    target: str
    tag: str | None


@dataclass(eq=False)
class Exchange:
    """A message on its way, and who waits for the reply to it."""

    message: Message
    key: ShareKey | None
    waiters: set[asyncio.Future[Reply]] = field(default_factory=set)
    line: "Line | None" = None
    is_over: bool = False

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing, so that it can be ended anywhere."""
        return self.message.method == "GET"


class Line:
    """Does one exchange after the other, each in a greenlet."""

    def __init__(self, connection: Connection, landed: Callable[["Line", Exchange, Outcome], None]) -> None:
        self._connection = connection
        self._landed = landed
        self._loop = asyncio.get_running_loop()

    def take(self, exchange: Exchange) -> None:
        """Begin an exchange; the one before has landed."""
        exchange.line = self
        greenlet(self._run).switch(exchange)

    def abort(self) -> None:
        """End the running exchange; without one, the connection."""
        self._connection.abort()

    def _run(self, exchange: Exchange) -> None:
        self._loop.call_soon(self._landed, self, exchange, self._outcome(exchange))

    def _outcome(self, exchange: Exchange) -> Outcome:
        try:
            return self._connection.exchange(exchange.message)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            return error


class Lines:
    """A bounded number of lines, the one used last first, and a bounded queue before them."""

    def __init__(
        self, connect: Callable[[], Connection], size: int, waiting: int, landed: Callable[[Exchange, Outcome], None]
    ) -> None:
        self._connect = connect
        self._size = size
        self._waiting = waiting
        self._landed = landed
        self._lines: list[Line] = []
        self._idle: list[Line] = []
        self._queue: deque[Exchange] = deque()

    def start(self, exchange: Exchange) -> None:
        """Begin an exchange, or let it wait for a line. Raises Overloaded."""
        line = self._free()
        if line is not None:
            line.take(exchange)
        elif len(self._queue) < self._waiting:
            self._queue.append(exchange)
        else:
            raise Overloaded("The gateway is busy; try again", retry_after_seconds=1)

    def drop(self, exchange: Exchange) -> None:
        """End an exchange that nobody waits for, before it is sent if it has not been."""
        if exchange.line is not None:
            exchange.line.abort()
        else:
            self._queue.remove(exchange)

    def close(self) -> None:
        """Give the idle connections up; running exchanges end at their deadlines."""
        for line in self._idle:
            line.abort()

    def _free(self) -> Line | None:
        if self._idle:
            return self._idle.pop()
        if len(self._lines) == self._size:
            return None
        line = Line(self._connect(), self._end)
        self._lines.append(line)
        return line

    def _end(self, line: Line, exchange: Exchange, outcome: Outcome) -> None:
        exchange.line = None
        if self._queue:
            line.take(self._queue.popleft())
        else:
            self._idle.append(line)
        self._landed(exchange, outcome)
