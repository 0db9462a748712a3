"""What a route that reads base A tells Prometheus of its runs and comparisons."""

from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from integration.comparison import Difference
from integration.core_client import Verdict
from integration.route_metrics import RouteMetrics
from integration.rows import Row

ROUTE = "script"
KINDS = ("missing", "extra", "differs")


class ScriptMetrics:
    """The metrics of one origin, counted from the start of the process."""

    def __init__(self, origin: str, route: str = ROUTE) -> None:
        self._route = RouteMetrics(route, origin)

    def time_batch(self) -> AbstractContextManager[object]:
        """Measures a batch until it is confirmed."""
        return self._route.time_batch()

    def count(self, told: Iterable[tuple[Row, Verdict]]) -> None:
        """Count what became of rows."""
        counts: Counter[tuple[str, str]] = Counter()
        for row, verdict in told:
            counts["delete" if row.is_gone else "upsert", verdict.outcome or "parked"] += 1
            if verdict.outcome is None:
                self._route.count_letter(verdict.code)
        for (operation, outcome), rows in counts.items():
            self._route.count(operation, outcome, rows)

    def moved(self, stream: str, watermark_us: int) -> None:
        """The watermark of a stream, in µs since 1970."""
        self._route.moved(stream, watermark_us / 1e6)

    def ran(self, seconds: float, parked: int) -> None:
        """A run that took so long is complete."""
        self._route.lagging(seconds)
        self._route.parked(parked)
        self._route.succeeded()

    def compared(self, differences: Iterable[Difference]) -> None:
        """What a comparison found."""
        found: Counter[str] = Counter(each.kind for each in differences)
        self._route.compared({kind: found[kind] for kind in KINDS})

    def write(self, path: Path | None) -> None:
        """Write the file, whole or not at all; nothing without a path."""
        if path is not None:
            self._route.write(path)
