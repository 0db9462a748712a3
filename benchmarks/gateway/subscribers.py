"""Many subscribers of one feed: how many streams of the core they share, and whether each is told of each change."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.gateway.upstreams import Recorder
from benchmarks.report import Finding
from tests import live
from tests.gateway.subscribing import ARTICLES, TRANSPORT_WS, subscribers

SUBSCRIBERS, CHANGES = 1_000, 5
CONNECTING_AT_ONCE = 20
PATIENCE_SECONDS = 60
STREAMS = "STREAM /events"


def measure(recorder: Recorder, core: live.LiveCore, tokens: Sequence[str], folder: Path) -> Finding:
    """Let them subscribe before `recorder`, create articles in its core, and see who is told."""
    editor = core.add_user("editor")
    callers = [tokens[number % len(tokens)] for number in range(SUBSCRIBERS)]
    with live.gateway(recorder.url, folder / "subscribed") as gateway:
        told = uvloop.run(_Audience(gateway, recorder, core, editor).told(callers))
    shared = "1 stream" if told.streams == 1 else f"{told.streams} streams"
    slowest = statistics.median(told.seconds) * 1_000
    served = f"{told.times:,} of {SUBSCRIBERS * CHANGES:,} times told, the last one within {slowest:.0f} ms"
    what = f"{SUBSCRIBERS:,} subscribers with one policy, {CHANGES} changes of articles"
    is_met = told.streams == 1 and told.times == SUBSCRIBERS * CHANGES
    return Finding(what, f"{shared}; {served}", "1 stream, all told", is_met)


@dataclass(frozen=True)
class _Told:
    """Streams opened for it, how often somebody was told, and for each change the seconds until the last one was."""

    streams: int
    times: int
    seconds: Sequence[float]


@dataclass(frozen=True)
class _Audience:
    """Those who subscribe to a gateway, and who changes what they hear of."""

    gateway: live.Live
    recorder: Recorder
    core: live.LiveCore
    editor: str

    async def told(self, tokens: Sequence[str]) -> _Told:
        """What became of the changes."""
        turns, before = asyncio.Semaphore(CONNECTING_AT_ONCE), self.recorder.counts[STREAMS]
        sockets = await asyncio.gather(*(self._subscribed(token, turns) for token in tokens))
        try:
            await self._wait_for(len(sockets))
            changes = [await self._change(f"Change {number}", sockets) for number in range(CHANGES)]
            # Before they leave: when the one whose token carries the stream goes, another takes over with a new one.
            streams = self.recorder.counts[STREAMS] - before
        finally:
            await asyncio.gather(*(socket.close() for socket in sockets))
        return _Told(streams, sum(times for times, _ in changes), [seconds for _, seconds in changes])

    async def _wait_for(self, number: int) -> None:
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while await asyncio.to_thread(subscribers, self.gateway) < number and time.monotonic() < ends_at:
            await asyncio.sleep(0.1)

    async def _subscribed(self, token: str, turns: asyncio.Semaphore) -> ClientConnection:
        url = f"{self.gateway.url.replace('http', 'ws', 1)}/graphql"
        async with turns:
            protocol = Subprotocol(TRANSPORT_WS["protocol"])
            socket = await connect(url, subprotocols=[protocol], proxy=None, compression=None)
            await _send(socket, type="connection_init", payload={"Authorization": f"Bearer {token}"})
            assert (await _receive(socket))["type"] == "connection_ack"
            await _send(socket, type=TRANSPORT_WS["subscribe"], id="1", payload={"query": ARTICLES})
        return socket

    async def _change(self, title: str, sockets: Sequence[ClientConnection]) -> tuple[int, float]:
        """How many are told of a change, and after how many seconds."""
        started = time.perf_counter()
        article = {"title": title, "content": ""}
        status, answer = await asyncio.to_thread(self.core.call, "POST", "/articles", article, self.editor)
        assert status == 201, answer
        told = await asyncio.gather(*(_is_told(socket, title) for socket in sockets))
        return sum(told), time.perf_counter() - started


async def _is_told(socket: ClientConnection, title: str) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = await _receive(socket)
    except TimeoutError:
        return False
    assert message["type"] == TRANSPORT_WS["next"], message
    return bool(message["payload"]["data"]["articleChanged"]["article"]["title"] == title)


async def _send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(orjson.dumps(message).decode())


async def _receive(socket: ClientConnection) -> dict[str, Any]:
    """The next message but signs of life."""
    while True:
        message: dict[str, Any] = orjson.loads(await socket.recv())
        if message["type"] == "ping":
            await _send(socket, type="pong")
        else:
            return message
