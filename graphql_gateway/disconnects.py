"""Clients that leave: nobody works on for an answer that nobody takes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Receive


@asynccontextmanager
async def ended_when_gone(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block when the client closes his connection; his request's body has been read before.

    Raises ClientDisconnect.
    """
    running = asyncio.current_task()
    is_gone = False

    async def watch() -> None:
        nonlocal is_gone
        while (await receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        if running is not None:
            running.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not is_gone or running is None:
            raise
        running.uncancel()
        raise ClientDisconnect from None
    finally:
        watching.cancel()
