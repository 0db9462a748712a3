"""Reads of the core that are made once for all who would be answered alike."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from graphql_gateway.errors import Failure

Read = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class SharedReads:
    """Reads by their keys, each made by who comes first; it lives as long as its answers are of use."""

    _made: dict[str, "asyncio.Future[Any]"] = field(default_factory=dict)

    async def read(self, key: str, read: Read) -> Any:
        """The answer to a read; where another's failed, that of one's own. Raises as `read` does."""
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = asyncio.ensure_future(read())
            made.add_done_callback(_heard)
            return await asyncio.shield(made)
        try:
            return await asyncio.shield(made)
        except Failure:
            return await read()


def _heard(made: "asyncio.Future[Any]") -> None:
    """Its failure is no news where everybody has left meanwhile."""
    if not made.cancelled():
        made.exception()
