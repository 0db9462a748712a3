"""A subscription that is stopped stops, whatever it does at that moment."""

import asyncio
from typing import Any, cast

import pytest
from starlette.websockets import WebSocket

from graphql_gateway.subscriptions.wire import Wire
from tests import loops

STEPS = range(12)


class Prompt:
    """A client who takes every message at once."""

    async def send_text(self, _text: str) -> None:
        """Take a message."""
        await asyncio.sleep(0)


async def _stopped_after(steps: int) -> bool:
    """Whether somebody who sends for ever ends when he is stopped after so many steps of the loop."""

    async def telling() -> None:
        wire = Wire(cast(WebSocket, Prompt()), message_bytes=100, send_seconds=5.0)
        while True:
            await wire.send({"type": "next"})

    task: asyncio.Task[Any] = asyncio.create_task(telling())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    for _ in STEPS:
        await asyncio.sleep(0)
    return task.cancelled() or not task.cancel()


@pytest.mark.parametrize("steps", STEPS)
def test_an_operation_is_stopped_at_any_moment_of_a_message(steps: int) -> None:
    # asyncio.wait_for of Python 3.11 forgets a cancellation that comes when what it waits for has just ended.
    assert loops.run(_stopped_after(steps))
