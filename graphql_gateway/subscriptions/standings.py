"""What the tokens of subscribers are worth: each is checked at the core when it comes and every few seconds after."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from graphql_gateway.errors import Failure, UpstreamUnavailable
from graphql_gateway.rest_client import UNREADABLE, Call, Caller, RestClient

WHO_AM_I = Call("GET", "/auth/me", "/auth/me")
GRACE_SECONDS = 2.0
"""How long after its time a check may succeed; then the token counts for nothing."""
CHECK_TIMEOUT_SECONDS = 1.5
RETRY_SECONDS = 0.25
REFUSED = ("UNAUTHENTICATED", "FORBIDDEN")
FRESH_SECONDS = 1.0
"""A check that is no older answers for those who come with the same token."""


@dataclass(frozen=True)
class Standing:
    """Whose a token is, and the fingerprint of his rights."""

    principal_id: int
    policy: str

    @classmethod
    def read(cls, body: Any) -> "Standing":
        """The standing in the core's answer. Raises UpstreamUnavailable."""
        given = body if isinstance(body, dict) else {}
        principal_id, policy = given.get("id"), given.get("policy")
        if not isinstance(principal_id, int) or not isinstance(policy, str):
            raise UpstreamUnavailable(UNREADABLE)
        return cls(principal_id, policy)


class Holder(Protocol):
    """Who depends on a token."""

    def move(self) -> None:
        """The token's standing is another one now."""

    def end(self, failure: Failure) -> None:
        """The token counts for nothing any more."""


@dataclass(frozen=True)
class Pace:
    """How often tokens are checked."""

    check_seconds: float

    @property
    def worth_seconds(self) -> float:
        """How long the outcome of a check counts."""
        return self.check_seconds + GRACE_SECONDS


class Token:
    """A bearer token in use; `standing` and `failure` are what its last check came to."""

    def __init__(self, client: RestClient, caller: Caller, pace: Pace) -> None:
        self.caller = caller
        self.holders: dict[Holder, None] = {}
        self.standing: Standing | None = None
        self.failure: Failure | None = None
        self._client = client
        self._pace = pace
        self._checked_at = 0.0
        self._checking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def held(self, holder: Holder) -> Standing:
        """Its standing, for somebody who will be told of changes. Raises Failure."""
        self.holders[holder] = None
        if time.monotonic() - self._checked_at > FRESH_SECONDS:
            await self.check()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        return self.worth()

    def worth(self) -> Standing:
        """Its standing as last known. Raises Failure."""
        if self.failure is not None or self.standing is None:
            raise self.failure or UpstreamUnavailable(UNREADABLE)
        return self.standing

    async def check(self) -> None:
        """Ask the core now, once for all who want to know at this moment; who depends on it is told the outcome."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check())
        await asyncio.shield(self._checking)

    async def confirm(self, policy: str) -> bool:
        """Whether its rights are those of a policy, by a check that begins now. Raises Failure."""
        if self._checking is not None and not self._checking.done():
            await asyncio.shield(self._checking)
        await self.check()
        return self.worth().policy == policy

    def release(self, holder: Holder) -> None:
        """Somebody does not depend on it any more."""
        self.holders.pop(holder, None)

    def stop(self) -> None:
        """Check it no more."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        while self.failure is None:
            await asyncio.sleep(max(0.0, self._checked_at + self._pace.check_seconds - time.monotonic()))
            await self.check()

    async def _check(self) -> None:
        """Try as long as the last outcome counts, so that a core that is away for a moment ends nothing."""
        started = time.monotonic()
        give_up_at = max(self._checked_at + self._pace.worth_seconds, started + GRACE_SECONDS)
        while True:
            asked_at = time.monotonic()
            outcome = await self._ask(min(give_up_at, asked_at + CHECK_TIMEOUT_SECONDS))
            if _is_final(outcome) or time.monotonic() + RETRY_SECONDS > give_up_at:
                return self._settle(outcome, asked_at)
            await asyncio.sleep(RETRY_SECONDS)

    async def _ask(self, deadline: float) -> Standing | Failure:
        try:
            return Standing.read((await self._client.send(WHO_AM_I, self.caller, deadline)).body)
        except Failure as failure:
            return failure

    def _settle(self, outcome: Standing | Failure, asked_at: float) -> None:
        if isinstance(outcome, Failure):
            self.failure = outcome
            for holder in list(self.holders):
                holder.end(outcome)
            return
        before, self.standing, self._checked_at = self.standing, outcome, asked_at
        if before not in (None, outcome):
            for holder in list(self.holders):
                holder.move()


def _is_final(outcome: Standing | Failure) -> bool:
    return isinstance(outcome, Standing) or outcome.code in REFUSED


@dataclass
class Tokens:
    """The tokens in use in this process; subscribers with the same one share its checks."""

    client: RestClient
    pace: Pace
    _known: dict[str, Token] = field(default_factory=dict)

    def of(self, caller: Caller) -> Token:
        """The token that a caller shows; one that failed is looked at afresh."""
        key = caller.authorization or ""
        found = self._known.get(key)
        if found is None or found.failure is not None:
            found = self._known[key] = Token(self.client, caller, self.pace)
        return found

    def release(self, token: Token, holder: Holder) -> None:
        """Somebody does not depend on a token any more; nobody's is forgotten."""
        token.release(holder)
        if not token.holders:
            token.stop()
            if self._known.get(token.caller.authorization or "") is token:
                del self._known[token.caller.authorization or ""]
