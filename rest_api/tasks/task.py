"""What a type of job is, and what it is given when it runs."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from rest_api.services.leases import Effect


@dataclass(frozen=True)
class Outcome:
    """What a job came to; the effect is had in the very transaction that ends it, or never."""

    result: dict[str, Any]
    effect: Effect | None = None


@dataclass(frozen=True)
class Run:
    """One run of a job. `progress(done, total, unit)` raises Stopped when it must end; call it often.

    `transaction()` commits a step only while the job is still this worker's. A step may come twice, after a crash, so
    it must not matter.
    """

    job_id: int
    epoch: int
    arguments: dict[str, Any]
    engine: Engine
    progress: Callable[[int, int | None, str], None]
    transaction: Callable[[], AbstractContextManager[Session]]

    def steps(self, unit: str, step: Callable[[Session], int]) -> int:
        """Take a step after the other, each in its transaction, until one has nothing left to do. Returns the sum."""
        return sum(self._steps(unit, step))

    def _steps(self, unit: str, step: Callable[[Session], int]) -> Iterator[int]:
        done = 0
        while True:
            self.progress(done, None, unit)
            with self.transaction() as session:
                taken = step(session)
            if not taken:
                return
            done += taken
            yield taken


class Task(Protocol):
    """A type of job: the role it takes to ask for it, the names of its arguments, and what it does."""

    @property
    def type(self) -> str: ...

    @property
    def role(self) -> str: ...

    @property
    def parameters(self) -> tuple[str, ...]: ...

    @property
    def schedule(self) -> str | None:
        """When the system asks for it by itself: five fields of cron, in UTC."""

    def run(self, run: Run) -> Outcome:
        """Do it. Raises Stopped, a Refusal that says whether trying again helps, or whatever else goes wrong."""
