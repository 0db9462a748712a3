"""Builds all demo data: each part whole or not at all, and only what is not there yet."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rest_api.demo.base_a import build_base_a
from rest_api.demo.corruption import Label, corrupt
from rest_api.demo.files import build_exchange_rates, build_stores
from rest_api.demo.purchases import TRANSACTIONS, Transaction, make_transactions
from rest_api.demo.transactions import VERSION_STEPS, VERSIONS, build_labels, build_quarantine, build_transactions

Step = Callable[[int], Any]
SMALL_STEPS = 1_000


@dataclass(frozen=True)
class Plan:
    """Which data: the seed, and the moment its times reach up to. Kept, so that a broken build goes on alike."""

    seed: int
    until: datetime

    @classmethod
    def kept_in(cls, folder: Path, seed: int) -> "Plan":
        """The plan of an earlier build in that folder, or a new one that reaches up to now."""
        path = folder / "demo.json"
        with suppress(FileNotFoundError, ValueError, KeyError):
            kept = json.loads(path.read_text(encoding="utf-8"))
            return cls(kept["seed"], datetime.fromisoformat(kept["until"]))
        plan = cls(seed, datetime.now(UTC).replace(microsecond=0))
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps({"seed": plan.seed, "until": plan.until.isoformat()}), encoding="utf-8")
        unfinished.replace(path)
        return plan


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
        lake = data_dir / "lake"
        self.parts = (
            Part(lake / "transactions", VERSIONS * VERSION_STEPS, self._transactions),
            Part(lake / "transactions_labels", SMALL_STEPS, self._labels),
            Part(lake / "transactions_quarantine", SMALL_STEPS, self._quarantine),
            Part(lake / "reference" / "stores", SMALL_STEPS, self._stores),
            Part(lake / "reference" / "exchange_rates", SMALL_STEPS, self._rates),
            Part(data_dir / "base_a.db", SMALL_STEPS, self._base_a),
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
