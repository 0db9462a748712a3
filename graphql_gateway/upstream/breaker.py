"""A circuit breaker: where nothing comes back any more, calls are refused at once and the core is left in peace."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from graphql_gateway.errors import CircuitOpen

CLOSED, HALF_OPEN, OPEN = 0, 1, 2


@dataclass
class Breaker:
    """Opens after so many failures in a row, then lets one probe through every `open_seconds`; a success closes it.

    A probe that hangs does not keep the next one waiting. `tell` is called with each new state.
    """

    failures_to_open: int
    open_seconds: float
    tell: Callable[[int], object]
    clock: Callable[[], float] = time.monotonic
    _failures: int = 0
    _probe_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for probes."""
        return self._failures >= self.failures_to_open

    def admit(self) -> None:
        """Let a call through. Raises CircuitOpen."""
        if not self.is_open:
            return
        now = self.clock()
        if now < self._probe_at:
            raise CircuitOpen("The core cannot be reached at the moment")
        self._probe_at = now + self.open_seconds
        self.tell(HALF_OPEN)

    def succeed(self) -> None:
        """The core answered, with whatever."""
        if self.is_open:
            self.tell(CLOSED)
        self._failures = 0

    def fail(self) -> None:
        """No answer of the core came."""
        self._failures += 1
        if self.is_open:
            self._probe_at = self.clock() + self.open_seconds
            self.tell(OPEN)
