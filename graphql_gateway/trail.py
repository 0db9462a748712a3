"""What one request has asked of the core so far: how many calls, of which routes, and how long they took."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from graphql_gateway.tracing import Passing, Span
from graphql_gateway.upstream.idempotency import ChangeKeys


def _untraced() -> Span:
    return Passing().request(())


@dataclass
class Step:
    """One call of the trail, and what came of it."""

    span: Span
    status: int | None = None
    failure: str | None = None

    def end(self) -> None:
        """Close the span."""
        self.span.end({} if self.status is None else {"http.response.status_code": self.status}, failure=self.failure)


@dataclass
class Trail:
    """Kept for one request, on the event loop's thread; `shared` counts the calls that another one's answer served."""

    span: Span = field(default_factory=_untraced)
    keys: ChangeKeys = field(default_factory=lambda: ChangeKeys(None))
    served_by: set[str] = field(default_factory=set)
    """The ids of other requests, under which the core has a call that served this one too."""
    calls: int = 0
    shared: int = 0
    retries: int = 0
    seconds: float = 0.0
    """The time during which at least one call was open; calls at the same moment count once."""
    stages: dict[str, float] = field(default_factory=dict)
    routes: Counter[str] = field(default_factory=Counter)
    _open: int = 0
    _since: float = 0.0

    @contextmanager
    def call(self, method: str, route: str) -> Iterator[Step]:
        """Count a call and the time until the block ends."""
        step = Step(self.span.call(method, route))
        self.calls += 1
        self.routes[f"{method} {route}"] += 1
        if not self._open:
            self._since = time.monotonic()
        self._open += 1
        try:
            yield step
        finally:
            self._open -= 1
            if not self._open:
                self.seconds += time.monotonic() - self._since
            step.end()

    def share(self, request_id: str) -> None:
        """Count a call that is served by one on its way, of the request with this id."""
        self.shared += 1
        self.served_by.add(request_id)

    def end(self, operation: str, *, failure: str | None = None) -> None:
        """Close the span of the whole request."""
        self.span.end({"graphql.operation.name": operation}, name=f"graphql {operation}", failure=failure)

    def logged(self) -> dict[str, Any]:
        """What the request's log line says of its calls."""
        return {"calls": self.calls, **({"served_by": ",".join(sorted(self.served_by))} if self.served_by else {})}

    def described(self) -> dict[str, Any]:
        """What a client is shown who debugs: templates of routes, never a path or a host."""
        return {
            "calls": self.calls,
            "shared": self.shared,
            "retries": self.retries,
            "milliseconds": round(self.seconds * 1e3, 3),
            "routes": dict(sorted(self.routes.items())),
        }

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of the request."""
        started = time.monotonic()
        yield
        self.stages[name] = time.monotonic() - started

    def server_timing(self, total_seconds: float) -> str:
        """The `Server-Timing` header (W3C), in milliseconds; waiting for the core is in `upstream` and in its stage."""
        seconds = {"total": total_seconds, **self.stages, "upstream": self.seconds}
        return ", ".join(f"{name};dur={taken * 1e3:.1f}" for name, taken in seconds.items())
