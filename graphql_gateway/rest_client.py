"""The way to the REST core: pooled connections, one deadline for all calls of a request, retries of reads only."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode

import orjson
import requests
from graphql import GraphQLResolveInfo
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3.exceptions import HTTPError, ReadTimeoutError

from graphql_gateway.errors import (
    UNSURE,
    Overloaded,
    Problem,
    Refusal,
    UpstreamTimeout,
    UpstreamUnavailable,
    invalid,
)
from graphql_gateway.observability import GatewayMetrics
from graphql_gateway.trail import Trail

# Servers close idle connections; one that was idle for so long is not trusted with a change that cannot be repeated.
MAX_IDLE_SECONDS = 4.0
CONNECT_SECONDS = 1.0
RETRY_PAUSE_SECONDS = (0.005, 0.03)
CHUNK_BYTES = 65_536
NOT_MODIFIED = 304
MAX_URL_CHARACTERS = 60_000
UNREACHABLE = "The core cannot be reached"
UNREADABLE = "The core gave an answer that cannot be read"


@dataclass(frozen=True)
class Caller:
    """For whom a call is made."""

    authorization: str | None
    request_id: str
    forwarded_for: str | None

    @property
    def headers(self) -> dict[str, str]:
        """What a call says of its caller."""
        given = {
            "Authorization": self.authorization,
            "X-Request-ID": self.request_id,
            "X-Forwarded-For": self.forwarded_for,
        }
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class Call:
    """One call of the core; `route` is its path's template, the label it is counted under.

    With `tag` the answer is 304 where what had that tag is unchanged; `parse` reads the body of an answer.
    """

    method: str
    route: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    body: Any = None
    tag: str | None = None
    parse: Callable[[bytes], Any] = orjson.loads

    @property
    def target(self) -> str:
        """Path and parameters."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


@dataclass(frozen=True)
class Answer:
    """An answer of the core; `body` is parsed, None where there is none; `tag` is its entity tag."""

    status: int
    body: Any
    retry_after_seconds: int | None = None
    tag: str | None = None


class RestClient:
    """Calls the core from a bounded pool of threads, each with a connection of its own."""

    def __init__(
        self, core_url: str, connections: int, waiting_calls: int, answer_bytes: int, metrics: GatewayMetrics
    ) -> None:
        self._core_url = core_url
        self._max_calls = connections + waiting_calls
        self._answer_bytes = answer_bytes
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="upstream")
        self._local = threading.local()
        self._calls = 0

    async def send(self, call: Call, caller: Caller, deadline: float) -> Answer:
        """The core's answer, if it comes before `deadline` (of time.monotonic).

        Raises Refusal for an answer of 400 or above, Overloaded, UpstreamTimeout and UpstreamUnavailable. After the
        last two, a call that is not a GET may have had its effect.
        """
        if len(call.target) > MAX_URL_CHARACTERS:
            raise invalid("The filter is too long")
        if self._calls >= self._max_calls:
            raise Overloaded("The gateway is busy; try again", retry_after_seconds=1)
        self._calls += 1
        started = time.monotonic()
        try:
            answer = await self._in_thread(call, caller, deadline)
        except (UpstreamTimeout, UpstreamUnavailable) as failure:
            self._metrics.upstream_errors.labels(call.method, call.route, failure.code).inc()
            raise
        finally:
            self._calls -= 1
            self._metrics.upstream_duration.labels(call.method, call.route).observe(time.monotonic() - started)
        self._metrics.upstream_requests.labels(call.method, call.route, answer.status).inc()
        return _accepted(call, answer)

    def close(self) -> None:
        """Give the threads up; running calls end at their deadlines."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, call: Call, caller: Caller, deadline: float) -> Answer:
        exchange = asyncio.get_running_loop().run_in_executor(self._threads, self._exchange, call, caller, deadline)
        try:
            return await asyncio.wait_for(exchange, deadline - time.monotonic())
        except TimeoutError as error:
            raise _late(call) from error

    def _exchange(self, call: Call, caller: Caller, deadline: float) -> Answer:
        if call.method != "GET":
            return self._attempt(call, caller, deadline)
        try:
            return self._attempt(call, caller, deadline)
        except UpstreamUnavailable:
            time.sleep(random.uniform(*RETRY_PAUSE_SECONDS))
            return self._attempt(call, caller, deadline)

    def _attempt(self, call: Call, caller: Caller, deadline: float) -> Answer:
        try:
            with self._session().send(
                self._prepared(call, caller),
                stream=True,
                timeout=_timeouts(call, deadline),
                allow_redirects=False,
                proxies={},
            ) as response:
                content = self._content(response, call, deadline)
                body = call.parse(content) if content else None
                wait, tag = _wait(response.headers.get("Retry-After", "")), response.headers.get("ETag")
                return Answer(response.status_code, body, wait, tag)
        except (requests.ReadTimeout, ReadTimeoutError) as error:
            raise _late(call) from error
        except (requests.RequestException, HTTPError) as error:
            raise UpstreamUnavailable(UNREACHABLE + _doubt(call, error)) from error
        except ValueError as error:
            raise UpstreamUnavailable(UNREADABLE + _doubt(call)) from error

    def _prepared(self, call: Call, caller: Caller) -> requests.PreparedRequest:
        prepared: requests.PreparedRequest = self._local.template.copy()
        prepared.method = call.method
        prepared.url = self._core_url + call.target
        prepared.headers.update(caller.headers)
        if call.tag is not None:
            prepared.headers["If-None-Match"] = call.tag
        if call.body is not None:
            content = orjson.dumps(call.body)
            prepared.body = content
            prepared.headers.update({"Content-Type": "application/json", "Content-Length": str(len(content))})
        elif call.method != "GET":
            prepared.headers["Content-Length"] = "0"
        return prepared

    def _content(self, response: requests.Response, call: Call, deadline: float) -> bytes:
        parts, size_bytes = [], 0
        for part in response.raw.stream(CHUNK_BYTES, decode_content=True):
            parts.append(part)
            size_bytes += len(part)
            if size_bytes > self._answer_bytes:
                raise ValueError("the answer is too large")
            if time.monotonic() > deadline:
                raise _late(call)
        return b"".join(parts)

    def _session(self) -> requests.Session:
        """This thread's session, its connection given up where the core may be about to close it."""
        now = time.monotonic()
        if not hasattr(self._local, "session"):
            self._local.session = _Session()
            self._local.template = self._local.session.prepare_request(requests.Request("GET", self._core_url))
        elif now - self._local.used_at > MAX_IDLE_SECONDS:
            self._local.session.close()
        self._local.used_at = now
        session: requests.Session = self._local.session
        return session


class _Session(requests.Session):
    """A session that carries nothing from one caller's call to another's."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies = RequestsCookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        self.headers.clear()
        self.headers.update(
            {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "lakeport-gateway"}
        )
        self.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1))
        self.mount("https://", HTTPAdapter(pool_connections=1, pool_maxsize=1))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow nobody elsewhere: a caller's token goes to the core only."""


@dataclass(frozen=True)
class Core:
    """The core, as the resolvers of one request call it."""

    client: RestClient
    caller: Caller
    deadline: float
    trail: Trail = field(default_factory=Trail)

    @property
    def calls(self) -> int:
        """The calls sent for this request so far, those whose answer was shared among them."""
        return self.trail.calls

    async def answer(self, call: Call) -> Answer:
        """The core's answer. Raises as RestClient.send does."""
        with self.trail.call(call.method, call.route):
            return await self.client.send(call, self.caller, self.deadline)

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


def _accepted(call: Call, answer: Answer) -> Answer:
    if 200 <= answer.status < 300 or (answer.status == NOT_MODIFIED and call.tag is not None):
        return answer
    problem = Problem.read(answer.status, answer.body)
    if answer.status < 400 or problem is None:
        raise UpstreamUnavailable(UNREADABLE)
    raise Refusal(problem, answer.retry_after_seconds)


def _wait(retry_after: str) -> int | None:
    return int(retry_after) if retry_after.isdecimal() and len(retry_after) < 10 else None


def _timeouts(call: Call, deadline: float) -> tuple[float, float]:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _late(call)
    return min(left, CONNECT_SECONDS), left


def _late(call: Call) -> UpstreamTimeout:
    return UpstreamTimeout("The core did not answer in time" + _doubt(call))


def _doubt(call: Call, error: Exception | None = None) -> str:
    """What is to be said of a change that failed on its way; nothing where it never left."""
    has_left = call.method != "GET" and not _is_unconnected(error)
    return UNSURE if has_left else ""


def _is_unconnected(error: Exception | None) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error is not None and error.args else None
    return type(reason).__name__ in ("NewConnectionError", "NameResolutionError")
