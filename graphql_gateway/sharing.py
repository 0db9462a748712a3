"""Queries on their way: whoever asks with the same token what is being answered already gets that very answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from graphql import ExecutionResult


class Question(NamedTuple):
    """What must be the same for two queries to be one: whose it is, from where he called, and what he asked for."""

    authorization: str
    forwarded_for: str | None
    query: str
    operation_name: str | None
    variables: bytes


@dataclass
class Answering:
    """A question that is being answered, for whom it is answered first, and how many wait for it."""

    task: "asyncio.Task[ExecutionResult]"
    request_id: str
    waiters: int = 0


@dataclass(frozen=True)
class Sharing:
    """Answers each question once for all who ask before it is answered; nothing is kept after that.

    `count` is called for each request that another one's answer serves.
    """

    count: Callable[[], None]
    _running: dict[Question, Answering] = field(default_factory=dict)

    def join(self, question: Question) -> str | None:
        """The id of the request that a question is being answered for, of which one more is to be served."""
        running = self._running.get(question)
        if running is None:
            return None
        self.count()
        return running.request_id

    def forget(self, authorization: str | None) -> None:
        """Let answers on their way serve nobody who comes from now on: their caller has changed something."""
        for question in [each for each in self._running if each.authorization == authorization]:
            del self._running[question]

    async def answer(
        self, question: Question, request_id: str, run: Callable[[], Awaitable[ExecutionResult]]
    ) -> ExecutionResult:
        """The answer that is on its way, or that of `run`, which ends early only when nobody waits any more."""
        running = self._running.get(question) or self._begin(question, request_id, run)
        running.waiters += 1
        try:
            return await asyncio.shield(running.task)
        finally:
            running.waiters -= 1
            if not running.waiters:
                self._end(question, running)

    def _begin(self, question: Question, request_id: str, run: Callable[[], Awaitable[ExecutionResult]]) -> Answering:
        running = Answering(asyncio.ensure_future(run()), request_id)
        self._running[question] = running
        running.task.add_done_callback(lambda _: self._end(question, running))
        return running

    def _end(self, question: Question, running: Answering) -> None:
        if self._running.get(question) is running:
            del self._running[question]
        running.task.cancel()
