"""The answers of operations: a result, or a refusal that is data rather than an error."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from graphql_gateway.errors import Refusal

Resolver = Callable[..., Awaitable[dict[str, Any]]]


def answering(*statuses: int) -> Callable[[Resolver], Resolver]:
    """Make the core's refusals with these statuses `success: false`; all others stay top-level errors."""

    def decorate(resolve: Resolver) -> Resolver:
        @wraps(resolve)
        async def answer(*args: Any, **arguments: Any) -> dict[str, Any]:
            try:
                return {"success": True, "errors": [], "code": None, **await resolve(*args, **arguments)}
            except Refusal as refusal:
                if refusal.problem.status not in statuses:
                    raise
                return {"success": False, "errors": refusal.problem.texts, "code": refusal.code}

        return answer

    return decorate
