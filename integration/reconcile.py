"""Make the core like base A where they differ: what is missing or differs is sent, what is extra is deleted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from integration.batches import apply, batches
from integration.comparison import Difference
from integration.core_client import CoreClient, Verdict
from integration.errors import CoreRefused, Misconfigured
from integration.rows import Position, Row
from integration.sources import PAGE_ROWS, Source
from integration.sync import Tally, count_outcomes, parked_and_settled
from integration.watermarks import State

LOOKED_UP = 40
"""Ids of one call: a parameter of a URL has room for so many of the longest."""
FEW = 100
MOST_DELETED_SHARE = 0.5


@dataclass(frozen=True)
class Reconcile:
    """Takes the differences of one origin away."""

    source: Source
    core: CoreClient
    state: State
    origin: str

    def fix(self, differences: Sequence[Difference]) -> Tally:
        """Send and delete; what the core holds for newer is repaired with base A's row as it is then."""
        tally = Tally()
        keys = [each.row.position.key for each in differences if each.row is not None]
        for some in _chunks(keys, PAGE_ROWS):
            self._send(some, tally)
        extra = [each.external_id for each in differences if each.kind == "extra"]
        self._apply((row for some in _chunks(extra, LOOKED_UP) for row in self._gone(some)), tally)
        return tally

    def _send(self, keys: Sequence[Any], tally: Tally) -> None:
        stale = self._apply(self.source.current(self.source.articles(), keys).values(), tally)
        again = [row.position.key for row in stale]
        if again:
            tally.outcomes["stale"] -= len(again)
            fresh = self.source.current(self.source.articles(), again).values()
            self._apply([replace(row, is_repair=True) for row in fresh], tally)

    def _apply(self, rows: Iterable[Row], tally: Tally) -> list[Row]:
        """Apply rows; gives those that the core holds for older than its own."""
        stale: list[Row] = []
        for batch in batches(rows, self.origin):
            verdicts = apply(self.core, batch)
            self.state.settle(*parked_and_settled(batch, verdicts))
            count_outcomes(tally, verdicts)
            stale += _stale(zip(batch.rows, verdicts, strict=True))
        return stale

    def _gone(self, external_ids: Sequence[str]) -> Iterator[Row]:
        """Deletes at the versions that the core has: what comes back meanwhile has a newer one, and stays."""
        query = {
            "origin": f"eq.{_quoted(self.origin)}",
            "external_id": f"in.({','.join(map(_quoted, external_ids))})",
            "select": "external_id,external_version",
            "limit": len(external_ids),
        }
        body = self.core.read("/articles", query)
        try:
            for each in body["data"]:
                yield Row(Position(None, each["external_id"]), each["external_version"], is_gone=True)
        except (KeyError, TypeError) as error:
            raise CoreRefused("The core gave a list that cannot be read; it is of another release") from error


def check_deletes(differences: Sequence[Difference], core_rows: int) -> None:
    """Raises Misconfigured where so much would be deleted that base A is more likely a wrong or an empty one."""
    extra = sum(each.kind == "extra" for each in differences)
    if extra > FEW and extra > core_rows * MOST_DELETED_SHARE:
        raise Misconfigured(
            f"{extra:,} of the core's {core_rows:,} rows are not in base A: if it is the right one, add --delete-most"
        )


def _stale(told: Iterable[tuple[Row, Verdict]]) -> list[Row]:
    return [row for row, verdict in told if verdict.outcome == "stale" and not row.is_gone]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))
