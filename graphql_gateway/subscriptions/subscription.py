"""What the source of a subscription field is given: its feeds, and the core as its subscriber may call it."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLResolveInfo

from graphql_gateway.errors import Failure
from graphql_gateway.rest_client import Call, Core
from graphql_gateway.subscriptions.events import Kind
from graphql_gateway.subscriptions.hub import Hub, Told
from graphql_gateway.subscriptions.live_figures import LiveFigures
from graphql_gateway.subscriptions.subscriber import Subscriber


class RightsChanged(Failure):
    """What was read may be what other rights give: it is told to nobody."""

    code = "POLICY_CHANGED"


@dataclass(frozen=True)
class Subscription:
    """One subscriber's; `core` gives the core with a new deadline."""

    hub: Hub
    figures: LiveFigures
    subscriber: Subscriber
    core: Callable[[], Core]

    @property
    def policy(self) -> str:
        """The fingerprint of his rights as last known. Raises Failure."""
        return self.subscriber.token.worth().policy

    def follow(self, kind: Kind) -> AsyncGenerator[Told]:
        """As Hub.follow."""
        return self.hub.follow(kind, self.subscriber)

    async def read_under(self, policy: str, call: Call) -> dict[str, Any]:
        """What all who have a policy are answered. Raises Failure, RightsChanged where he has another one now."""
        answer = await self.core().read(call)
        if not await self.subscriber.token.confirm(policy):
            raise RightsChanged("Your rights have changed")
        return answer


Source = GraphQLResolveInfo[Subscription]
"""What the source of a subscription field is told."""
