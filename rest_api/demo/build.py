"""Builds all demo data: each part whole or not at all, and only what is not there yet."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rest_api.demo.base_a import build_base_a
from rest_api.demo.corruption import Label, corrupt
from rest_api.demo.files import build_exchange_rates, build_stores
from rest_api.demo.plan import PLACES, Plan
from rest_api.demo.purchases import TRANSACTIONS, Transaction, make_transactions
from rest_api.demo.transactions import VERSION_STEPS, VERSIONS, build_labels, build_quarantine, build_transactions

Step = Callable[[int], Any]
SMALL_STEPS = 1_000


@dataclass(frozen=True)
class Part:
    """A folder or file of demo data, and what its building takes."""

    path: Path
    steps: int
    build: Callable[[Path, Step], None]

    def is_there(self) -> bool:
        """Whether it was built before."""
        return self.path.exists()

    def make(self, step: Step) -> None:
        """Build it beside its place, under a name that the lake ignores, and put it there when it is whole."""
        unfinished = self.path.with_name(f".{self.path.name}.part")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove(unfinished)
        self.build(unfinished, step)
        unfinished.replace(self.path)


class DemoFiles:
    """The parts of the demo that are files."""

    def __init__(self, data_dir: Path, plan: Plan) -> None:
        self._plan = plan
        made = (
            (VERSIONS * VERSION_STEPS, self._transactions),
            (SMALL_STEPS, self._labels),
            (SMALL_STEPS, self._quarantine),
            (SMALL_STEPS, self._stores),
            (SMALL_STEPS, self._rates),
            (SMALL_STEPS, self._base_a),
        )
        self.parts = tuple(
            Part(data_dir / place, steps, build) for place, (steps, build) in zip(PLACES, made, strict=True)
        )

    def missing(self) -> list[Part]:
        """What is to be built."""
        return [part for part in self.parts if not part.is_there()]

    def steps(self) -> int:
        """How much work is ahead, in rows or what takes as long."""
        missing = self.missing()
        makes_rows = any(part in missing for part in self.parts[:2])
        return sum(part.steps for part in missing) + makes_rows * TRANSACTIONS

    def build(self, step: Step) -> None:
        """Build what is missing."""
        missing = self.missing()
        self._tell = step
        for part in missing:
            part.make(step)

    @cached_property
    def _rows(self) -> tuple[list[Transaction], list[Label]]:
        return corrupt(make_transactions(self._plan.seed, self._plan.until, self._tell), self._plan.seed)

    def _transactions(self, path: Path, step: Step) -> None:
        build_transactions(path, self._plan.seed, self._rows[0], step)

    def _labels(self, path: Path, step: Step) -> None:
        build_labels(path, self._rows[1], self._plan.until)
        step(SMALL_STEPS)

    def _quarantine(self, path: Path, step: Step) -> None:
        build_quarantine(path, self._plan.seed, self._plan.until)
        step(SMALL_STEPS)

    def _stores(self, path: Path, step: Step) -> None:
        build_stores(path, self._plan.seed)
        step(SMALL_STEPS)

    def _rates(self, path: Path, step: Step) -> None:
        build_exchange_rates(path, self._plan.seed, self._plan.until)
        step(SMALL_STEPS)

    def _base_a(self, path: Path, step: Step) -> None:
        build_base_a(path, self._plan.seed, self._plan.until)
        step(SMALL_STEPS)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
