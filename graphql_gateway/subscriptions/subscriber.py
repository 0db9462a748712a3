"""A subscriber: what waits to be told to him, and what ends him."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from graphql_gateway.errors import Failure, Overloaded
from graphql_gateway.subscriptions.events import Event
from graphql_gateway.subscriptions.standings import Token

MAX_WAITING = 256


class TooSlow(Overloaded):
    """He takes events more slowly than they come."""

    code = "TOO_SLOW"


@dataclass(eq=False)
class Subscriber:
    """One subscription of a client under a token; `operation` is the label it is counted under."""

    token: Token
    operation: str
    _waiting: deque[Event] = field(default_factory=deque)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _failure: Failure | None = None
    _is_moved: bool = False

    @property
    def waiting(self) -> int:
        """How many events wait for him."""
        return len(self._waiting)

    def offer(self, event: Event) -> None:
        """Let an event wait for him; one too many ends him."""
        if len(self._waiting) >= MAX_WAITING:
            return self.end(TooSlow("The subscription takes its events too slowly"))
        self._waiting.append(event)
        self._woken.set()
        return None

    def move(self) -> None:
        """His rights are others now: what waits was filtered under those that he had."""
        self._is_moved = True
        self._waiting.clear()
        self._woken.set()

    def end(self, failure: Failure) -> None:
        """Nothing is told to him any more."""
        self._failure = self._failure or failure
        self._waiting.clear()
        self._woken.set()

    def settle(self) -> None:
        """Begin with the feed of his rights as they are now."""
        self._is_moved = False
        self._waiting.clear()

    async def next(self) -> Event | None:
        """The next event; None when his rights are others now. Raises what ended him."""
        while not self._waiting and not self._is_moved and self._failure is None:
            self._woken.clear()
            await self._woken.wait()
        if self._failure is not None:
            raise self._failure
        return None if self._is_moved else self._waiting.popleft()
