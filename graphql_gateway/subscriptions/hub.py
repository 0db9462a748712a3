"""The hub: the feeds of this process, and how subscribers follow them through changes of their rights."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from graphql_gateway.errors import UpstreamUnavailable
from graphql_gateway.rest_client import UNREADABLE, Call
from graphql_gateway.subscriptions.events import Event, FeedKey, Kind
from graphql_gateway.subscriptions.feeds import CALL_SECONDS, ROUTE, Feed, Upstream
from graphql_gateway.subscriptions.subscriber import Subscriber

PAGE = 100


@dataclass(frozen=True)
class Joined:
    """A subscriber is told what comes after this number."""

    sequence: int


@dataclass(frozen=True)
class Moved:
    """A subscriber's rights are others now, and from here on decide what he is told."""


Told = Event | Joined | Moved


@dataclass(frozen=True)
class Hub:
    """The feeds that have members, by their keys."""

    upstream: Upstream
    _feeds: dict[FeedKey, Feed] = field(default_factory=dict)

    async def follow(self, kind: Kind, subscriber: Subscriber) -> AsyncGenerator[Told]:
        """Every event from now on that he may see when it is told, in order and once each.

        Raises Failure when his token ends, when he is too slow, or when the core is away for too long.
        """
        last: int | None = None
        while True:
            subscriber.settle()
            feed = self._feed(FeedKey.of(kind, subscriber.token.worth()))
            try:
                position = await feed.join(subscriber)
                last = position if last is None else last
                with self.upstream.metrics.active.labels(subscriber.operation).track_inprogress():
                    yield Joined(last)
                    async with aclosing(self._told(feed, subscriber, last)) as events:
                        async for event in events:
                            last = event.sequence
                            yield event
            finally:
                feed.leave(subscriber)
            yield Moved()

    async def _told(self, feed: Feed, subscriber: Subscriber, after: int) -> AsyncGenerator[Event]:
        """What the feed has told before he joined it, then what it tells; until his rights are others."""
        async with aclosing(self._missed(feed, subscriber, after)) as missed:
            async for event in missed:
                after = event.sequence
                yield event
        while (told := await subscriber.next()) is not None:
            if told.sequence > after:
                yield told

    def _feed(self, key: FeedKey) -> Feed:
        if key not in self._feeds:
            self._feeds[key] = Feed(key, self.upstream, self._forget)
        return self._feeds[key]

    def _forget(self, feed: Feed) -> None:
        self._feeds.pop(feed.key, None)

    async def _missed(self, feed: Feed, subscriber: Subscriber, after: int) -> AsyncGenerator[Event]:
        """What a feed has told before he joined it, as he may see it now."""
        until, token = feed.position or 0, subscriber.token
        while after < until:
            query = (("type", feed.key.kind.types), ("after", str(after)), ("limit", str(PAGE)))
            call = Call("GET", ROUTE, ROUTE, query)
            page = (await self.upstream.client.send(call, token.caller, time.monotonic() + CALL_SECONDS)).body
            for event in map(Event.read, page["data"]):
                if event.sequence > until:
                    return
                if event.policy != feed.key.policy:
                    await token.check()
                    if token.worth().policy == feed.key.policy:
                        raise UpstreamUnavailable(UNREADABLE)
                    return
                yield event
            after = int(page["next"])
