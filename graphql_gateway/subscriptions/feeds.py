"""A feed: one stream of the core under one member's token, told to all its members."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from graphql_gateway.errors import Failure, Refusal, UpstreamUnavailable
from graphql_gateway.rest_client import UNREADABLE, Call, Caller, RestClient
from graphql_gateway.rest_stream import OPENED, Frame, RestStreams
from graphql_gateway.subscriptions.events import Event, FeedKey, read_policy
from graphql_gateway.subscriptions.metrics import SubscriptionMetrics
from graphql_gateway.subscriptions.standings import REFUSED, Token
from graphql_gateway.subscriptions.subscriber import Subscriber

ROUTE = "/events"
# No event has this type, so that the answer is empty and says after which number to go on.
NEWEST = Call("GET", ROUTE, ROUTE, (("type", "none"), ("limit", "1")))
CALL_SECONDS = 2.0
PATIENCE_SECONDS = 10.0
"""How long a feed may be cut off from the core before its members are told."""
PAUSE_SECONDS = (0.05, 0.25)
MAX_PAUSE_SECONDS = 1.0
"""Whatever the core asks for: events wait as long, and one small call a second is no burden."""
AHEAD = 16
"""Events that may wait for the fastest member before more are told."""
AHEAD_SECONDS, MAX_AHEAD_SECONDS = 0.002, 1.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Upstream:
    """The ways to the core that feeds take."""

    client: RestClient
    streams: RestStreams
    metrics: SubscriptionMetrics

    async def newest(self, caller: Caller) -> int:
        """The number of the newest event that there is. Raises Failure."""
        body = (await self.client.send(NEWEST, caller, time.monotonic() + CALL_SECONDS)).body
        number = body.get("next") if isinstance(body, dict) else None
        if not isinstance(number, str) or not number.isdecimal():
            raise UpstreamUnavailable(UNREADABLE)
        return int(number)

    async def event_at(self, sequence: int, key: FeedKey, caller: Caller) -> Event | None:
        """The event of a number, as a caller may see it; None where he may not. Raises Failure."""
        query = (("type", key.kind.types), ("after", str(sequence - 1)), ("limit", "1"))
        body = (await self.client.send(Call("GET", ROUTE, ROUTE, query), caller, time.monotonic() + CALL_SECONDS)).body
        if not isinstance(body, dict) or body.get("policy") != key.policy:
            raise UpstreamUnavailable(UNREADABLE)
        events = [Event.read(each) for each in body["data"]]
        return next((each for each in events if each.sequence == sequence), None)


class Feed:
    """The events of a key, told to its members in order and once each; `position` is the last one's number."""

    def __init__(self, key: FeedKey, upstream: Upstream, forget: Callable[["Feed"], None]) -> None:
        self.key = key
        self.position: int | None = None
        self._upstream = upstream
        self._forget = forget
        self._members: dict[Subscriber, None] = {}
        self._changed = asyncio.Event()
        self._beginning = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._bearer: Token | None = None
        self._following: asyncio.Task[None] | None = None
        self._cut_off_at: float | None = None

    async def join(self, member: Subscriber) -> int:
        """Become a member; every event after the number given back will wait for him. Raises Failure."""
        self._members[member] = None
        self._changed.set()
        async with self._beginning:
            if self.position is None:
                self.position = await self._upstream.newest(member.token.caller)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return self.position

    def leave(self, member: Subscriber) -> None:
        """Be no member; where he brought the token of the stream, another's takes over."""
        self._members.pop(member, None)
        self._changed.set()
        if not self._members:
            self._stop()
        elif self._bearer not in self._tokens() and self._following is not None:
            self._following.cancel()

    def _stop(self) -> None:
        self._forget(self)
        for task in (self._following, self._task):
            if task is not None:
                task.cancel()

    def _tokens(self) -> dict[Token, None]:
        return {member.token: None for member in self._members}

    async def _run(self) -> None:
        while True:
            self._bearer = self._next_bearer()
            if self._bearer is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            self._following = asyncio.create_task(self._follow(self._bearer))
            await asyncio.wait((self._following,))
            if not self._following.cancelled():
                await self._recover(self._bearer, self._following.exception())

    def _next_bearer(self) -> Token | None:
        """A token that is good for this feed: another one than the last, where there are several."""
        good = [token for token in self._tokens() if token.failure is None and self._is_of(token)]
        others = [token for token in good if token is not self._bearer]
        return next(iter(others or good), None)

    def _is_of(self, token: Token) -> bool:
        return token.standing is not None and self.key == FeedKey.of(self.key.kind, token.standing)

    async def _follow(self, bearer: Token) -> None:
        """Tell what comes until the stream ends or speaks of other rights. Raises Failure."""
        query = (("type", self.key.kind.types), ("after", str(self.position)))
        frames = self._upstream.streams.frames(Call("GET", ROUTE, ROUTE, query), bearer.caller)
        with self._upstream.metrics.streams.track_inprogress():
            async with aclosing(frames):
                async for frame in frames:
                    if not await self._tell(frame, bearer):
                        return
                    await self._keep_pace()

    async def _tell(self, frame: Frame, bearer: Token) -> bool:
        """Whether to go on after this frame. Raises Failure."""
        if frame is OPENED:
            self._cut_off_at = None
            return True
        if frame.event == "end":
            return False
        if frame.event == "policy":
            return self._goes_on(frame)
        event = Event.parse(frame.data)
        if event.policy != self.key.policy:
            return False
        if event.sequence > (self.position or 0):
            told = await self._witnessed(event, bearer)
            self.position = event.sequence
            self._offer(told)
        return True

    def _offer(self, event: Event | None) -> None:
        for member in list(self._members):
            if event is not None:
                member.offer(event)

    async def _witnessed(self, event: Event, bearer: Token) -> Event | None:
        """An event as all who have these rights may see it; None where only its causer may. Raises Failure.

        Nobody has caused an event but one: what two principals are told alike, everybody of their rights is told.
        """
        witness = self._witness(bearer) if self.key.kind.tells_causer_more else None
        if witness is None:
            return event
        try:
            return event.common(await self._upstream.event_at(event.sequence, self.key, witness.caller))
        except Failure:
            await witness.check()
            raise

    def _witness(self, bearer: Token) -> Token | None:
        """The token of another principal, where there is one."""
        principals = {token.standing.principal_id: token for token in self._tokens() if token.standing is not None}
        own = bearer.standing.principal_id if bearer.standing is not None else None
        return next((token for principal, token in principals.items() if principal != own), None)

    def _goes_on(self, frame: Frame) -> bool:
        """Whether the stream still speaks of our rights; then everything up to the frame's id was told."""
        if read_policy(frame.data) != self.key.policy:
            return False
        if frame.id.isdecimal():
            self.position = max(self.position or 0, int(frame.id))
        return True

    async def _keep_pace(self) -> None:
        """Be not much ahead of the fastest member, so that only those are too slow who are slower than others."""
        ends_at = time.monotonic() + MAX_AHEAD_SECONDS
        await asyncio.sleep(0)
        while min((each.waiting for each in self._members), default=0) > AHEAD and time.monotonic() < ends_at:
            await asyncio.sleep(AHEAD_SECONDS)

    async def _recover(self, bearer: Token, error: BaseException | None) -> None:
        """After the stream has ended: see whether the token did, or be patient with the core."""
        if error is not None and not isinstance(error, Failure):
            log.error("a feed failed", exc_info=error)
            error = Failure("An internal error occurred")
        if error is None or (isinstance(error, Failure) and error.code in REFUSED):
            await bearer.check()
        elif isinstance(error, Refusal) and error.problem.status < 429:
            return self._end_all(error)
        now = time.monotonic()
        self._cut_off_at = self._cut_off_at or now
        if now - self._cut_off_at > PATIENCE_SECONDS:
            self._end_all(error or UpstreamUnavailable(UNREADABLE))
        await asyncio.sleep(min(_wait_seconds(error) + random.uniform(*PAUSE_SECONDS), MAX_PAUSE_SECONDS))
        return None

    def _end_all(self, failure: Failure) -> None:
        for member in list(self._members):
            member.end(failure)


def _wait_seconds(error: BaseException | None) -> float:
    return float(error.retry_after_seconds or 0) if isinstance(error, Failure) else 0.0
