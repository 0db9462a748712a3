"""What routes tell Prometheus: each metric and its labels are declared here, the same for all routes.

`route` is which way the rows take, `origin` where they come from: base A's name in the core, or a topic.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server, write_to_textfile

LOCALHOST = "127.0.0.1"
BATCH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class RouteMetrics:
    """The metrics of one route and origin, counted from the start of the process."""

    def __init__(self, route: str, origin: str) -> None:
        self._registry = CollectorRegistry()
        self._own = (route, origin)
        self._rows = Counter(
            "lakeport_sync_rows",
            "Rows that were applied or parked",
            ["route", "origin", "operation", "outcome"],
            registry=self._registry,
        )
        self._batch_seconds = Histogram(
            "lakeport_sync_batch_seconds",
            "Time until a batch was confirmed",
            ["route", "origin"],
            buckets=BATCH_SECONDS,
            registry=self._registry,
        ).labels(route, origin)
        self._dead_letters = Counter(
            "lakeport_sync_dead_letters",
            "Rows or messages that were parked",
            ["route", "origin", "reason"],
            registry=self._registry,
        )
        self._parked = self._gauge("lakeport_sync_parked_rows", "Rows that are parked and tried again")
        self._lag = self._gauge("lakeport_sync_lag_seconds", "Age of the oldest row that is not confirmed").labels(
            *self._own
        )
        self._success = self._gauge(
            "lakeport_sync_last_success_timestamp_seconds", "When all was confirmed last"
        ).labels(*self._own)
        self._watermark = self._gauge(
            "lakeport_sync_watermark_timestamp_seconds", "Time of the last row confirmed, by its source", "stream"
        )
        self._offset = self._gauge("lakeport_sync_committed_offset", "Offset to go on from", "partition")
        self._differences = self._gauge("lakeport_sync_differences", "What the last comparison found", "kind")

    def serve(self, port: int) -> None:
        """Answer on a port of this machine."""
        start_http_server(port, LOCALHOST, self._registry)

    def write(self, path: Path) -> None:
        """Write a file for the node exporter, whole or not at all."""
        write_to_textfile(str(path), self._registry)

    def time_batch(self) -> AbstractContextManager[object]:
        """Measure a batch until it is confirmed."""
        return self._batch_seconds.time()

    def count(self, operation: str, outcome: str, rows: int = 1) -> None:
        """Rows are applied or parked."""
        self._rows.labels(*self._own, operation, outcome).inc(rows)

    def count_letter(self, reason: str, letters: int = 1) -> None:
        """Rows or messages are parked."""
        self._dead_letters.labels(*self._own, reason).inc(letters)

    def parked(self, rows: int) -> None:
        """So many rows are parked."""
        self._parked.labels(*self._own).set(rows)

    def moved(self, stream: str, watermark_seconds: float) -> None:
        """The watermark of a stream, in seconds since 1970."""
        self._watermark.labels(*self._own, stream).set(watermark_seconds)

    def committed(self, partition: int, offset: int) -> None:
        """The offset to go on from moved."""
        self._offset.labels(*self._own, str(partition)).set(offset)

    def succeeded(self, at_seconds: float | None = None) -> None:
        """All that was read is confirmed, now or at that time since 1970."""
        self._success.set(time.time() if at_seconds is None else at_seconds)

    def lagging(self, seconds: float) -> None:
        """What was there this long before is confirmed."""
        self._lag.set(seconds)

    def measure_lag(self, oldest_ms: Callable[[], int | None]) -> None:
        """Ask for the time of the oldest unconfirmed row whenever the lag is read."""
        self._lag.set_function(lambda: _age_seconds(oldest_ms()))

    def compared(self, differences: Mapping[str, int]) -> None:
        """How many differences of each kind a comparison found."""
        for kind, number in differences.items():
            self._differences.labels(*self._own, kind).set(number)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, ["route", "origin", *labels], registry=self._registry)


def _age_seconds(at_ms: int | None) -> float:
    return 0.0 if at_ms is None else max(0.0, time.time() - at_ms / 1_000)
