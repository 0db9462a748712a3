"""What the script tells Prometheus, in a file for the node exporter: each metric is declared here."""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, write_to_textfile

from integration.comparison import Difference
from integration.core_client import Verdict
from integration.rows import Row

BATCH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
KINDS = ("missing", "extra", "differs")


class ScriptMetrics:
    """The metrics of one origin, counted from the start of the process."""

    def __init__(self, origin: str) -> None:
        self._registry = CollectorRegistry()
        self._origin = origin
        self._rows = Counter(
            "lakeport_sync_rows",
            "Rows that were applied or parked",
            ["origin", "operation", "outcome"],
            registry=self._registry,
        )
        self._batch_seconds = Histogram(
            "lakeport_sync_batch_seconds",
            "Time until a batch was confirmed",
            ["origin"],
            buckets=BATCH_SECONDS,
            registry=self._registry,
        )
        self._parked = self._gauge("lakeport_sync_parked_rows", "Rows that are parked")
        self._lag = self._gauge("lakeport_sync_lag_seconds", "What was in base A this long before is confirmed")
        self._success = self._gauge("lakeport_sync_last_success_timestamp_seconds", "When a run was complete last")
        self._watermark = self._gauge(
            "lakeport_sync_watermark_timestamp_seconds", "Watermark, by base A's times", "stream"
        )
        self._differences = self._gauge("lakeport_sync_differences", "What the last comparison found", "kind")

    def time_batch(self) -> AbstractContextManager[object]:
        """Measures a batch until it is confirmed."""
        return self._batch_seconds.labels(self._origin).time()

    def count(self, told: Iterable[tuple[Row, Verdict]]) -> None:
        """Count what became of rows."""
        for row, verdict in told:
            operation = "delete" if row.is_gone else "upsert"
            self._rows.labels(self._origin, operation, verdict.outcome or "parked").inc()

    def moved(self, stream: str, watermark_us: int) -> None:
        """The watermark of a stream, in µs since 1970."""
        self._watermark.labels(self._origin, stream).set(watermark_us / 1e6)

    def ran(self, seconds: float, parked: int) -> None:
        """A run that took so long is complete."""
        self._lag.labels(self._origin).set(seconds)
        self._parked.labels(self._origin).set(parked)
        self._success.labels(self._origin).set(time.time())

    def compared(self, differences: Iterable[Difference]) -> None:
        """What a comparison found."""
        found = [each.kind for each in differences]
        for kind in KINDS:
            self._differences.labels(self._origin, kind).set(sum(each == kind for each in found))

    def write(self, path: Path | None) -> None:
        """Write the file, whole or not at all; nothing without a path."""
        if path is not None:
            write_to_textfile(str(path), self._registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, ["origin", *labels], registry=self._registry)
