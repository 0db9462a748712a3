"""What an operator sees: log lines in logfmt, and the metrics of operations and upstream calls."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MAX_OPERATION_NAMES = 100
OTHER = "other"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
Metric = TypeVar("Metric", Counter, Histogram)
CALLS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128)


class LineLogger(structlog.WriteLogger):
    """Writes our own lines to standard error, without the standard library's machinery: every request writes one."""

    def __init__(self, name: str) -> None:
        super().__init__(sys.stderr)
        self.name = name


def configure_logging(level: str) -> None:
    """Write every log line of this process to standard error as logfmt, tracebacks included, secrets never."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.LogfmtRenderer(key_order=["at", "level", "event"], bool_as_flag=False)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # It warns of every connection that a peer closed; the failed calls are counted and answered anyway.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    structlog.configure(
        processors=[*shared, renderer],
        logger_factory=LineLogger,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )


@dataclass
class OperationNames:
    """Keeps the label values of operations few: clients choose the names, so only the first ones become labels."""

    kept: set[str] = field(default_factory=set)

    def label(self, name: str) -> str:
        """The name itself, or `other` when there are too many already."""
        if name in self.kept:
            return name
        if len(self.kept) >= MAX_OPERATION_NAMES or len(name) > 100:
            return OTHER
        self.kept.add(name)
        return name


class Labelled(dict[tuple[str | int, ...], Metric]):
    """A metric by the values of its labels, which are few; its own look-up takes as long as counting does."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric: Any = metric

    def __missing__(self, values: tuple[str | int, ...]) -> Metric:
        return self.setdefault(values, self._metric.labels(*values))


@dataclass(frozen=True)
class GatewayMetrics:
    """The counters and histograms of this process."""

    requests: Labelled[Counter]
    duration: Labelled[Histogram]
    upstream_requests: Labelled[Counter]
    upstream_duration: Labelled[Histogram]
    upstream_errors: Counter
    upstream_calls: Labelled[Histogram]
    upstream_retries: Counter
    upstream_shared: Counter
    breaker_state: Gauge
    clients_gone: Counter
    requests_shared: Counter
    names: OperationNames = field(default_factory=OperationNames)

    @classmethod
    def on(cls, registry: CollectorRegistry) -> "GatewayMetrics":
        """Declare the metrics in a registry."""
        operation, upstream = ("operation",), ("method", "route")
        return cls(
            Labelled(Counter("graphql_requests", "GraphQL requests", ("operation", "outcome"), registry=registry)),
            Labelled(
                Histogram(
                    "graphql_request_duration_seconds", "Time to answer", operation, registry=registry, buckets=SECONDS
                )
            ),
            Labelled(
                Counter("graphql_upstream_requests", "Calls of the core", (*upstream, "status"), registry=registry)
            ),
            Labelled(
                Histogram(
                    "graphql_upstream_duration_seconds",
                    "Time the core took",
                    upstream,
                    registry=registry,
                    buckets=SECONDS,
                )
            ),
            Counter("graphql_upstream_errors", "Calls of the core that failed", (*upstream, "code"), registry=registry),
            Labelled(
                Histogram(
                    "graphql_upstream_calls_per_request",
                    "Calls of the core for one GraphQL request",
                    operation,
                    registry=registry,
                    buckets=CALLS,
                )
            ),
            Counter("graphql_upstream_retries", "Calls of the core sent again", upstream, registry=registry),
            Counter("graphql_upstream_shared", "Calls that another's answer served", upstream, registry=registry),
            Gauge(
                "graphql_upstream_breaker_state",
                "Whether calls of the core are let through: 0 all, 1 a probe, 2 none; of the process that changed last",
                registry=registry,
                multiprocess_mode="mostrecent",
            ),
            Counter("graphql_clients_gone", "Requests whose client left before the answer", registry=registry),
            Counter("graphql_requests_shared", "Requests that another's answer served", registry=registry),
        )

    def observe_call(self, method: str, route: str, seconds: float, status: int | None) -> None:
        """Count one call of the core; `status` where it answered."""
        self.upstream_duration[method, route].observe(seconds)
        if status is not None:
            self.upstream_requests[method, route, status].inc()

    def observe(self, operation: str, outcome: str, seconds: float, calls: int = 0) -> None:
        """Count one answered GraphQL request; `outcome` is ok, error or refused, `calls` those of the core."""
        self.requests[operation, outcome].inc()
        self.duration[operation,].observe(seconds)
        self.upstream_calls[operation,].observe(calls)


def exposition(registry: CollectorRegistry, multiprocess_folder: str) -> Callable[[], bytes]:
    """What writes the metrics in Prometheus' text format: of all processes that share the folder, if there is one."""
    if not multiprocess_folder:
        return lambda: generate_latest(registry)

    def of_all_processes() -> bytes:
        shared = CollectorRegistry()
        MultiProcessCollector(shared, multiprocess_folder)  # type: ignore[no-untyped-call]
        return generate_latest(shared)

    return of_all_processes
