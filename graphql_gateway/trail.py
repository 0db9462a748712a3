"""What one request has asked of the core so far: how many calls, of which routes, and how long they took."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Trail:
    """Kept for one request, on the event loop's thread; `shared` counts the calls that another one's answer served."""

    calls: int = 0
    shared: int = 0
    retries: int = 0
    seconds: float = 0.0
    """The time during which at least one call was open; calls at the same moment count once."""
    routes: Counter[str] = field(default_factory=Counter)
    _open: int = 0
    _since: float = 0.0

    @contextmanager
    def call(self, method: str, route: str) -> Iterator[None]:
        """Count a call and the time until the block ends."""
        self.calls += 1
        self.routes[f"{method} {route}"] += 1
        if not self._open:
            self._since = time.monotonic()
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self.seconds += time.monotonic() - self._since

    def described(self) -> dict[str, Any]:
        """What a client is shown who debugs: templates of routes, never a path or a host."""
        return {
            "calls": self.calls,
            "shared": self.shared,
            "retries": self.retries,
            "milliseconds": round(self.seconds * 1e3, 3),
            "routes": dict(sorted(self.routes.items())),
        }
