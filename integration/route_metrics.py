"""What a route tells Prometheus: each metric is declared here."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

LOCALHOST = "127.0.0.1"
BATCH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class RouteMetrics:
    """The metrics of one route."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._rows = Counter(
            "lakeport_sync_rows", "Rows that were applied or parked", ["operation", "outcome"], registry=self._registry
        )
        self._batch_seconds = Histogram(
            "lakeport_sync_batch_seconds",
            "Time until a batch was confirmed",
            buckets=BATCH_SECONDS,
            registry=self._registry,
        )
        self._dead_letters = Counter(
            "lakeport_sync_dead_letters", "Messages that were parked", ["reason"], registry=self._registry
        )
        self._last_success = Gauge(
            "lakeport_sync_last_success_timestamp_seconds",
            "When a batch was confirmed and committed last",
            registry=self._registry,
        )
        self._watermark = Gauge(
            "lakeport_sync_committed_offset", "Offset to go on from", ["partition"], registry=self._registry
        )
        self._lag = Gauge(
            "lakeport_sync_lag_seconds", "Age of the oldest row that is not confirmed", registry=self._registry
        )

    def serve(self, port: int) -> None:
        """Answer on a port of this machine."""
        start_http_server(port, LOCALHOST, self._registry)

    def count(self, operation: str, outcome: str) -> None:
        """A row is applied or parked."""
        self._rows.labels(operation, outcome).inc()

    def count_letter(self, reason: str) -> None:
        """A message is parked."""
        self._dead_letters.labels(reason).inc()

    def time_batch(self) -> AbstractContextManager[object]:
        """Measure a batch."""
        return self._batch_seconds.time()

    def committed(self, partition: int, offset: int) -> None:
        """A watermark moved."""
        self._watermark.labels(str(partition)).set(offset)
        self._last_success.set_to_current_time()

    def measure_lag(self, oldest_ms: Callable[[], int | None]) -> None:
        """Ask for the time of the oldest unconfirmed row whenever the lag is read."""
        self._lag.set_function(lambda: _age_seconds(oldest_ms()))


def _age_seconds(at_ms: int | None) -> float:
    return 0.0 if at_ms is None else max(0.0, time.time() - at_ms / 1_000)
