"""Exchanges with the core: identical reads of one caller at one moment are one, and what nobody waits for is ended."""

import asyncio
import time
from collections.abc import Callable

from graphql_gateway.upstream.breaker import Breaker
from graphql_gateway.upstream.connection import Broken, Connection, Late, Message, Reply
from graphql_gateway.upstream.lines import Exchange, Lines, Outcome, ShareKey


class Exchanges:
    """All that is on its way to the core; used on the event loop's thread only."""

    def __init__(self, connect: Callable[[], Connection], connections: int, waiting: int, breaker: Breaker) -> None:
        self._lines = Lines(connect, connections, waiting, self._landed)
        self._breaker = breaker
        self._shared: dict[ShareKey, Exchange] = {}

    def running(self, key: ShareKey | None) -> Message | None:
        """The read with this key that is on its way."""
        exchange = self._shared.get(key) if key else None
        return exchange.message if exchange else None

    async def reply(self, message: Message, deadline: float, key: ShareKey | None = None) -> Reply:
        """The reply to a message, or to one under the same key that is on its way.

        A caller who is cancelled leaves; with the last one the exchange ends, but for a change that has been sent.
        Raises Broken, Late, Unreadable, Overloaded and CircuitOpen.
        """
        exchange = self._shared.get(key) if key else None
        return await self._wait(exchange or self._start(message, key), deadline)

    def close(self) -> None:
        """Give the idle connections up; running exchanges end at their deadlines."""
        self._lines.close()

    def _landed(self, exchange: Exchange, outcome: Outcome) -> None:
        """Hand an outcome to all who wait for it."""
        if exchange.is_over:
            return
        self._judge(outcome)
        self._close(exchange)
        for waiter in exchange.waiters:
            if waiter.done():
                continue
            if isinstance(outcome, Reply):
                waiter.set_result(outcome)
            else:
                waiter.set_exception(outcome)

    def _start(self, message: Message, key: ShareKey | None) -> Exchange:
        self._breaker.admit()
        exchange = Exchange(message, key)
        self._lines.start(exchange)
        if key:
            self._shared[key] = exchange
        return exchange

    async def _wait(self, exchange: Exchange, deadline: float) -> Reply:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Reply] = loop.create_future()
        exchange.waiters.add(waiter)
        timer = loop.call_later(max(0, deadline - time.monotonic()), self._expire, exchange, waiter)
        try:
            reply = await waiter
        except asyncio.CancelledError:
            # A change that is at the core is not torn: it has until the deadline to end as it likes.
            if exchange.is_read or exchange.line is None:
                timer.cancel()
                self._leave(exchange, waiter)
            raise
        except Exception:
            timer.cancel()
            raise
        timer.cancel()
        return reply

    def _expire(self, exchange: Exchange, waiter: asyncio.Future[Reply]) -> None:
        was_sent = exchange.line is not None
        if not waiter.done():
            waiter.set_exception(Late(was_sent=was_sent))
        if was_sent and len(exchange.waiters) == 1:
            self._breaker.fail()
        self._leave(exchange, waiter)

    def _leave(self, exchange: Exchange, waiter: asyncio.Future[Reply]) -> None:
        exchange.waiters.discard(waiter)
        if exchange.waiters or exchange.is_over:
            return
        self._close(exchange)
        self._lines.drop(exchange)

    def _close(self, exchange: Exchange) -> None:
        """Nobody joins any more; after a change, none of its caller's reads that began before it ended."""
        exchange.is_over = True
        if exchange.key and self._shared.get(exchange.key) is exchange:
            del self._shared[exchange.key]
        if exchange.is_read:
            return
        owner = exchange.message.headers.get("Authorization")
        for key in [key for key in self._shared if key.authorization == owner]:
            del self._shared[key]

    def _judge(self, outcome: Outcome) -> None:
        if isinstance(outcome, Broken | Late) or (isinstance(outcome, Reply) and _is_sick(outcome)):
            self._breaker.fail()
        else:
            self._breaker.succeed()


def _is_sick(reply: Reply) -> bool:
    """Whether a failure is not even the core's own account of it."""
    return reply.status >= 500 and reply.problem is None
