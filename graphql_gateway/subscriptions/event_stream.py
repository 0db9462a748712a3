"""GraphQL over server-sent events, distinct connections mode (PROTOCOL.md of the package graphql-sse)."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from graphql_gateway.errors import Failure, Malformed, Overloaded, TooLarge, described
from graphql_gateway.exact_json import dumps
from graphql_gateway.graphql_http import Parameters, given
from graphql_gateway.subscriptions.connections import Connections
from graphql_gateway.subscriptions.operations import EVERY_KIND, READS, Body, Operations, Refused

MEDIA_TYPE = "text/event-stream"
COMPLETE = b"event: complete\ndata:\n\n"
STILL_HERE = b":\n\n"


def wants_event_stream(request: Request) -> bool:
    """Whether a client takes its results as events."""
    return any(MEDIA_TYPE in line.lower() for line in request.headers.getlist("accept"))


@dataclass(frozen=True)
class EventStreams:
    """Answers requests with streams of results."""

    operations: Operations
    connections: Connections
    body_bytes: int
    alive_seconds: float

    async def answer(self, request: Request) -> Response:
        """A stream; a refusal as JSON where the request is no GraphQL request."""
        try:
            self.connections.check()
            parameters = Parameters.read(await given(request, self.body_bytes))
        except Malformed as failure:
            return _refusal(failure, failure.status, request, failure.headers)
        except TooLarge as failure:
            return _refusal(failure, 413, request)
        except Overloaded as failure:
            return _refusal(failure, 503, request)
        allowed = READS if request.method == "GET" else EVERY_KIND
        results = self.operations.results(parameters, self.connections.caller(request), allowed)
        return EventStream(results, self.connections, self.alive_seconds)


class EventStream(Response):
    """Results as they come, until there are no more or the client has left; or until he takes no more of them."""

    def __init__(self, results: AsyncGenerator[Body], connections: Connections, alive_seconds: float) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self.headers["X-Accel-Buffering"] = "no"
        self._results = results
        self._connections = connections
        self._alive_seconds = alive_seconds

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, and listen for the client's end at the same time."""
        with self._connections.one():
            tasks = [asyncio.create_task(self._stream(send)), asyncio.create_task(_disconnected(receive))]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _stream(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                async with asyncio.timeout(self._alive_seconds):
                    await _send(send, chunk)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncGenerator[bytes]:
        yield STILL_HERE
        async with aclosing(self._results) as results, aclosing(self._told(results)) as told:
            try:
                async for chunk in told:
                    yield chunk
            except Refused as refused:
                yield _next({"errors": refused.errors})
        yield COMPLETE

    async def _told(self, results: AsyncGenerator[Body]) -> AsyncGenerator[bytes]:
        while True:
            following = asyncio.ensure_future(anext(results))
            try:
                while not (await asyncio.wait((following,), timeout=self._alive_seconds))[0]:
                    yield STILL_HERE
                body = following.result()
            except StopAsyncIteration:
                return
            finally:
                following.cancel()
                await asyncio.wait((following,))
            yield _next(body)


def _next(body: Body) -> bytes:
    return b"event: next\ndata: " + dumps(body) + b"\n\n"


async def _send(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _refusal(failure: Failure, status: int, request: Request, headers: Mapping[str, str] | None = None) -> Response:
    body = {"errors": described([failure], request.state.request_id)}
    return JSONResponse(body, status, headers)
