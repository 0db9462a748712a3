"""Connections to the core: over TLS, cut at any moment, and with bytes that nobody asked for."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from graphql_gateway.upstream import connection as module
from graphql_gateway.upstream.connection import Broken, Connection, Message, Reply
from graphql_gateway.upstream.lines import Exchange, Line, Outcome
from tests import loops
from tests.gateway.certificates import make_certificate

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MESSAGE = Message("GET", "/articles", {"Accept": "application/json"})
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: "a"\r\n\r\ngood'
GOOD = Reply(200, b"good", None, '"a"')
POISON = b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"poison"'
STEPS = range(20)


class Told:
    """A line, and what came of the exchanges it was given."""

    def __init__(self, url: str) -> None:
        self.line = Line(Connection(url, 1_000), self._landed)
        self._landing: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def exchange(self) -> Outcome:
        """What comes of one exchange."""
        self.begin()
        return await self.outcome()

    def begin(self) -> None:
        """Give the line an exchange."""
        self._landing = asyncio.get_running_loop().create_future()
        self.line.take(Exchange(MESSAGE, None))

    async def outcome(self) -> Outcome:
        """What came of it, at once."""
        async with asyncio.timeout(5):
            return await self._landing

    def _landed(self, _line: Line, _exchange: Exchange, outcome: Outcome) -> None:
        self._landing.set_result(outcome)


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> Any:
    """The port of a server; each connection is counted."""
    writers: list[asyncio.StreamWriter] = []

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await handler(reader, writer)

    server = await asyncio.start_server(counted, "localhost", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], writers
    finally:
        server.close()
        await asyncio.sleep(0.02)  # one that was accepted just now is made only in the next turns of the loop
        for writer in writers:
            writer.transport.abort()


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request."""
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: "a"\r\n\r\ngood')


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await reader.read()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path / "certificate.pem")


def test_a_core_behind_tls_is_called_over_one_connection(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEFAULT_CA_BUNDLE_PATH", str(certificate))

    async def asked() -> None:
        async with serving(answering, _server_context(certificate)) as (port, writers):
            told = Told(f"https://localhost:{port}")
            for _ in range(3):
                assert await told.exchange() == GOOD
            assert len(writers) == 1
            told.line.abort()
            await asyncio.sleep(0.01)

    loops.run(asked())


def test_a_core_whose_certificate_nobody_vouches_for_is_not_told_anything(certificate: Path) -> None:
    async def asked() -> None:
        async with serving(answering, _server_context(certificate)) as (port, writers):
            outcome = await Told(f"https://localhost:{port}").exchange()
            assert isinstance(outcome, Broken)
            assert not outcome.was_sent
            assert not writers

    loops.run(asked())


@pytest.mark.parametrize("pause", [0, 0.05], ids=["with the answer", "after it"])
def test_bytes_that_nobody_asked_for_are_no_answer_to_the_next_question(pause: float) -> None:
    async def saying_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER + POISON * (not pause))
            await asyncio.sleep(pause)
            writer.write(POISON * bool(pause))

    async def asked() -> None:
        async with serving(saying_more) as (port, writers):
            told = Told(f"http://localhost:{port}")
            for _ in range(3):
                assert await told.exchange() == GOOD
                await asyncio.sleep(2 * pause)
            assert len(writers) == (3 if pause else 1)
            told.line.abort()
            await asyncio.sleep(0.01)

    loops.run(asked())


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_exchange_that_is_cut_at_any_moment_ends_there(scheme: str, steps: int) -> None:
    async def asked() -> None:
        # Over TLS this server does not even answer the first word, so that the connection is never made.
        async with serving(silent) as (port, _):
            told = Told(f"{scheme}://localhost:{port}")
            told.begin()
            for _ in range(steps):
                await asyncio.sleep(0)
            told.line.abort()
            assert isinstance(await told.outcome(), Broken)

    loops.run(asked())


def _server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
