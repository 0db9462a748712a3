"""Live figures: read again when what they are made of has changed, once a second at most, for all of one policy."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from graphql_gateway.errors import Failure
from graphql_gateway.rest_client import Call
from graphql_gateway.subscriptions.shared_reads import Read
from graphql_gateway.subscriptions.standings import Token

PERIOD_SECONDS = 1.0


class LiveFigure:
    """A figure as all who have a policy see it; `value` is its last answer, `sequence` up to which event it is good."""

    def __init__(self) -> None:
        self._value: Any = None
        self._sequence = -1
        self._wanted = -1
        self._read_at = 0.0
        self._reader: Token | None = None
        self._reading: asyncio.Task[None] | None = None

    def renew(self) -> None:
        """Have it read again for who comes now, unless it was within the last second: its window goes on."""
        if time.monotonic() - self._read_at > PERIOD_SECONDS:
            self._sequence = -1

    async def value(self, token: Token, read: Read, sequence: int) -> Any:
        """The figure as it is after an event, by `read` under a token where nobody else reads it.

        The same object as long as it was not read again. Raises as `read` does.
        """
        self._wanted = max(self._wanted, sequence)
        while self._sequence < sequence:
            if self._reading is None or self._reading.done():
                self._reader = token
                self._reading = asyncio.create_task(self._read(read))
            try:
                await asyncio.shield(self._reading)
            except Failure:
                if self._reader is token:
                    raise
        return self._value

    async def _read(self, read: Read) -> None:
        await asyncio.sleep(self._read_at + PERIOD_SECONDS - time.monotonic())
        wanted, self._read_at = self._wanted, time.monotonic()
        self._value = await read()
        self._sequence = wanted


@dataclass(frozen=True)
class LiveFigures:
    """The figures that somebody follows."""

    _followed: WeakValueDictionary[tuple[str, str], LiveFigure] = field(default_factory=WeakValueDictionary)

    def of(self, call: Call, policy: str) -> LiveFigure:
        """The one of a call for a policy."""
        key = (call.target, policy)
        found = self._followed.get(key)
        if found is None:
            found = self._followed[key] = LiveFigure()
        return found
