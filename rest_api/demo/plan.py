"""What the demo data is: where its parts lie, its seed, and the moment its times reach up to."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PLACES = (
    "lake/transactions",
    "lake/transactions_labels",
    "lake/transactions_quarantine",
    "lake/reference/stores",
    "lake/reference/exchange_rates",
    "base_a.db",
)


@dataclass(frozen=True)
class Plan:
    """Which data: the seed, and the moment its times reach up to. Kept, so that a broken build goes on alike."""

    seed: int
    until: datetime

    @classmethod
    def kept_in(cls, folder: Path, seed: int) -> "Plan":
        """The plan of an earlier build in that folder, or a new one that reaches up to now."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "demo.json"
        with suppress(FileNotFoundError, ValueError, KeyError):
            kept = json.loads(path.read_text(encoding="utf-8"))
            return cls(kept["seed"], datetime.fromisoformat(kept["until"]))
        plan = cls(seed, datetime.now(UTC).replace(microsecond=0))
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps({"seed": plan.seed, "until": plan.until.isoformat()}), encoding="utf-8")
        unfinished.replace(path)
        return plan
