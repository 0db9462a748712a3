"""The way to the REST core: one deadline for all calls of a request, retries of what can be repeated only."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any
from urllib.parse import urlencode

import orjson
from graphql import GraphQLResolveInfo

from graphql_gateway.errors import (
    UNSURE,
    Failure,
    Problem,
    Refusal,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreadable,
    invalid,
)
from graphql_gateway.exact_json import dumps
from graphql_gateway.observability import GatewayMetrics
from graphql_gateway.trail import Step, Trail
from graphql_gateway.upstream.breaker import Breaker
from graphql_gateway.upstream.connection import Broken, Connection, Late, Message, Reply, Unreadable
from graphql_gateway.upstream.exchanges import Exchanges
from graphql_gateway.upstream.lines import ShareKey
from graphql_gateway.upstream.retries import Retries

NOT_MODIFIED = 304
MAX_URL_CHARACTERS = 60_000
MAX_AT_ONCE = 8
SAFE = "(),"
"""Delimiters that mean nothing in a URL's parameters, and much in ours (RFC 3986, section 2.2)."""
UNREACHABLE = "The core cannot be reached"
UNREADABLE = "The core gave an answer that cannot be read"
# A refusal without a word of the core's own is one still: whoever took it for a failure would call again and again.
UNKNOWN_CALLER = Problem(401, "UNAUTHENTICATED", "The token was not accepted", ("The token was not accepted",))
FIXED_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "lakeport-gateway"}


@dataclass(frozen=True)
class Caller:
    """For whom a call is made."""

    authorization: str | None
    request_id: str
    forwarded_for: str | None

    @cached_property
    def headers(self) -> dict[str, str]:
        """What a call says of its caller, after what every call says."""
        given = {
            "Authorization": self.authorization,
            "X-Request-ID": self.request_id,
            "X-Forwarded-For": self.forwarded_for,
        }
        return {**FIXED_HEADERS, **{name: value for name, value in given.items() if value}}


@dataclass(frozen=True)
class Call:
    """One call of the core; `route` is its path's template, the label it is counted under.

    With `tag` the answer is 304 where what had that tag is unchanged; `parse` reads the body of an answer; `key` is the
    idempotency key of this very call, in place of that of its request.
    """

    method: str
    route: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    body: Any = None
    tag: str | None = None
    parse: Callable[[bytes], Any] = orjson.loads
    key: str | None = None

    @cached_property
    def target(self) -> str:
        """Path and parameters."""
        return f"{self.path}?{urlencode(self.query, safe=SAFE)}" if self.query else self.path


@dataclass(frozen=True)
class Answer:
    """An answer of the core; `body` is parsed, None where there is none; `tag` is its entity tag."""

    status: int
    body: Any
    retry_after_seconds: int | None = None
    tag: str | None = None


class RestClient:
    """Calls the core over a bounded number of connections, and leaves it in peace while it does not answer."""

    def __init__(  # noqa: PLR0917
        self,
        core_url: str,
        connections: int,
        waiting_calls: int,
        answer_bytes: int,
        metrics: GatewayMetrics,
        breaker_failures: int,
        breaker_seconds: float,
    ) -> None:
        self._metrics = metrics
        connect = partial(Connection, core_url, answer_bytes)
        breaker = Breaker(breaker_failures, breaker_seconds, metrics.breaker_state.set)
        self._exchanges = Exchanges(connect, connections, waiting_calls, breaker)

    async def send(self, call: Call, caller: Caller, deadline: float, trail: Trail | None = None) -> Answer:
        """The core's answer, if it comes before `deadline` (of time.monotonic).

        Raises Refusal for an answer of 400 or above, Overloaded, UpstreamTimeout and UpstreamUnavailable. After the
        last two, a call that is not a GET may have had its effect.
        """
        if len(call.target) > MAX_URL_CHARACTERS:
            raise invalid("The filter is too long")
        trail = trail or Trail()
        started = time.monotonic()
        with trail.call(call.method, call.route) as step:
            try:
                reply = await self._reply(_sending(call, caller, step, trail, deadline), trail)
                step.status = reply.status
                answer = _accepted(call, reply)
            except (UpstreamTimeout, UpstreamUnavailable) as failure:
                step.failure = failure.code
                self._metrics.upstream_errors.labels(call.method, call.route, failure.code).inc()
                raise
            finally:
                self._metrics.observe_call(call.method, call.route, time.monotonic() - started, step.status)
        return answer

    def close(self) -> None:
        """Give the idle connections up; running calls end at their deadlines."""
        self._exchanges.close()

    async def _reply(self, sending: "_Sending", trail: Trail) -> Reply:
        """The reply to the last attempt; each one before was lost, or asked to come again."""
        attempts = 0
        while True:
            attempts += 1
            try:
                reply = await self._attempt(sending, trail)
            except Failure as failure:
                pause = sending.retries.pause_after_failure(failure, attempts, time.monotonic())
                if pause is None:
                    raise
            else:
                pause = sending.retries.pause_after_reply(reply, attempts, time.monotonic())
                if pause is None:
                    return reply
            trail.retries += 1
            self._metrics.upstream_retries.labels(sending.call.method, sending.call.route).inc()
            await asyncio.sleep(pause)

    async def _attempt(self, sending: "_Sending", trail: Trail) -> Reply:
        call = sending.call
        running = self._exchanges.running(sending.share_key)
        if running is not None:
            trail.share(running.headers["X-Request-ID"])
            self._metrics.upstream_shared.labels(call.method, call.route).inc()
        try:
            return await self._exchanges.reply(sending.message, sending.deadline, sending.share_key)
        except Late as error:
            raise UpstreamTimeout("The core did not answer in time" + _doubt(call, error.was_sent)) from error
        except Broken as error:
            raise UpstreamUnavailable(UNREACHABLE + _doubt(call, error.was_sent)) from error
        except Unreadable as error:
            raise UpstreamUnreadable(UNREADABLE + _doubt(call)) from error


@dataclass(frozen=True)
class Core:
    """The core, as the resolvers of one request call it."""

    client: RestClient
    caller: Caller
    deadline: float
    trail: Trail = field(default_factory=Trail)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_AT_ONCE))
    """For calls of which a request makes one for each object, since the core takes no more objects in one."""

    @property
    def calls(self) -> int:
        """The calls sent for this request so far, those whose answer was shared among them."""
        return self.trail.calls

    async def answer(self, call: Call) -> Answer:
        """The core's answer. Raises as RestClient.send does."""
        return await self.client.send(call, self.caller, self.deadline, self.trail)

    async def send(self, call: Call) -> Any:
        """The body of the core's answer. Raises as RestClient.send does."""
        return (await self.answer(call)).body

    async def read(self, call: Call) -> dict[str, Any]:
        """The object in the core's answer. Raises as RestClient.send does."""
        body = await self.send(call)
        if not isinstance(body, dict):
            raise UpstreamUnavailable(UNREADABLE)
        return body


Info = GraphQLResolveInfo[Core]
"""What a resolver is told; its `context` is the way to the core."""


@dataclass(frozen=True)
class _Sending:
    """A call as it is sent, once or more often; `share_key` where others' calls may be served by it."""

    call: Call
    message: Message
    share_key: ShareKey | None
    retries: Retries

    @property
    def deadline(self) -> float:
        return self.retries.deadline


def _sending(call: Call, caller: Caller, step: Step, trail: Trail, deadline: float) -> _Sending:
    content = None if call.body is None else dumps(call.body)
    change_key = call.key or (trail.keys.take(call.method, call.target) if caller.authorization else None)
    said = _said(call, content, change_key)
    message = Message(
        call.method, call.target, {**caller.headers, **said, "traceparent": step.span.traceparent}, content
    )
    is_repeatable = call.method == "GET" or (call.method == "POST" and change_key is not None)
    return _Sending(call, message, _share_key(call, caller), Retries(is_repeatable, deadline))


def _said(call: Call, content: bytes | None, change_key: str | None) -> Mapping[str, str]:
    """The headers of a call that are its own."""
    if call.method == "GET":
        return {} if call.tag is None else {"If-None-Match": call.tag}
    said = {"Content-Length": str(len(content or b""))}
    if content is not None:
        said["Content-Type"] = "application/json"
    if change_key is not None:
        said["Idempotency-Key"] = change_key
    return said


def _share_key(call: Call, caller: Caller) -> ShareKey | None:
    """Reads without a token are never shared: nothing would say whose they are."""
    if call.method != "GET" or not caller.authorization:
        return None
    return ShareKey(caller.authorization, caller.forwarded_for, call.target, call.tag)


def _accepted(call: Call, reply: Reply) -> Answer:
    if 200 <= reply.status < 300 or (reply.status == NOT_MODIFIED and call.tag is not None):
        return Answer(reply.status, _parsed(call, reply), reply.retry_after_seconds, reply.tag)
    problem = reply.problem if reply.status >= 400 else None
    if problem is not None:
        raise Refusal(problem, reply.retry_after_seconds)
    if reply.status == 401:
        raise Refusal(UNKNOWN_CALLER)
    raise UpstreamUnreadable(UNREADABLE + _doubt(call))


def _parsed(call: Call, reply: Reply) -> Any:
    try:
        return call.parse(reply.content) if reply.content else None
    except ValueError as error:
        raise UpstreamUnreadable(UNREADABLE + _doubt(call)) from error


def _doubt(call: Call, was_sent: bool = True) -> str:  # noqa: FBT001
    """What is to be said of a change that failed on its way; nothing where it never left."""
    return UNSURE if was_sent and call.method != "GET" else ""
