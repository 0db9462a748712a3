"""What an operator sees: log lines in logfmt, and the metrics of requests."""

import hmac
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from socket import AF_INET, AF_INET6
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

LABELS = ("method", "url_rule", "status")
UNMATCHED = "unmatched"
"""The one route label of all paths that match no route: a scanner must not make a series of each."""


class LineLogger(structlog.WriteLogger):
    """Writes our own lines to standard error, without the standard library's machinery: every call writes one."""

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
    render = structlog.processors.LogfmtRenderer(key_order=["at", "level", "event"], bool_as_flag=False)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    structlog.configure(
        processors=[*shared, render],
        logger_factory=LineLogger,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )


@dataclass(frozen=True)
class RequestMetrics:
    """The counters and the histogram of HTTP requests, by method, route template and status."""

    total: Counter
    exceptions: Counter
    duration: Histogram
    unauthenticated: Counter

    @classmethod
    def on(cls, registry: CollectorRegistry) -> "RequestMetrics":
        """Declare the metrics in a registry."""
        return cls(
            Counter("flask_http_request", "HTTP requests", LABELS, registry=registry),
            Counter(
                "flask_http_request_exceptions", "HTTP requests answered with 400 or above", LABELS, registry=registry
            ),
            Histogram("flask_http_request_duration_seconds", "Time to answer HTTP requests", LABELS, registry=registry),
            Counter("lakeport_anonymous_refusals", "Anonymous calls refused with 401", registry=registry),
        )

    def observe(self, method: str, url_rule: str | None, status: int, seconds: float) -> None:
        """Count one answered request."""
        labels = (method, url_rule or UNMATCHED, str(status))
        self.total.labels(*labels).inc()
        self.duration.labels(*labels).observe(seconds)
        if status >= 400:
            self.exceptions.labels(*labels).inc()


@dataclass(frozen=True)
class WorkerMetrics:
    """What a worker counts, and how many jobs wait."""

    registry: CollectorRegistry
    finished: Counter
    duration: Histogram
    running: Gauge
    lost: Counter
    looked_at: Gauge

    @classmethod
    def on(cls, count_jobs: Callable[[], float]) -> "WorkerMetrics":
        """Declare the metrics in a registry of their own; `count_jobs` is asked at each scrape how many jobs wait."""
        registry = CollectorRegistry()
        waiting = Gauge("lakeport_jobs_queued", "Jobs that wait for a worker", registry=registry)
        waiting.set_function(count_jobs)
        return cls(
            registry,
            Counter("lakeport_jobs_finished", "Runs of jobs by how they ended", ("type", "state"), registry=registry),
            Histogram("lakeport_job_duration_seconds", "Time a job ran", ("type",), registry=registry),
            Gauge("lakeport_jobs_running", "Jobs this worker runs", registry=registry),
            Counter("lakeport_job_leases_lost", "Jobs that another worker took over", registry=registry),
            Gauge("lakeport_worker_looked_at_timestamp_seconds", "When it last looked for a job", registry=registry),
        )


@dataclass(frozen=True)
class RelayMetrics:
    """What a worker counts of the events that it publishes; any worker tells how far each topic is."""

    published: Counter
    failures: Counter
    publishing: Gauge

    @classmethod
    def on(
        cls,
        registry: CollectorRegistry,
        lags: Mapping[str, Callable[[], float]],
        positions: Mapping[str, Callable[[], float]],
    ) -> "RelayMetrics":
        """Declare the metrics in a registry; `lags` (in seconds) and `positions` are asked by topic at each scrape."""
        lag = Gauge("lakeport_relay_lag_seconds", "Age of the oldest unsent event", ("topic",), registry=registry)
        position = Gauge("lakeport_relay_position", "Sequence through which all is sent", ("topic",), registry=registry)
        for gauge, asked in ((lag, lags), (position, positions)):
            for topic, ask in asked.items():
                gauge.labels(topic).set_function(ask)
        return cls(
            Counter("lakeport_relay_published", "Events that were acknowledged", ("topic",), registry=registry),
            Counter(
                "lakeport_relay_failures", "Attempts to publish that failed", ("topic", "reason"), registry=registry
            ),
            Gauge("lakeport_relay_publishing", "1 where this worker is the one that publishes", registry=registry),
        )


def pipeline_events(registry: CollectorRegistry) -> Counter:
    """What a worker takes into the lake itself, where there is no broker."""
    return Counter("lakeport_pipeline_events", "Events taken into the lake by outcome", ("outcome",), registry=registry)


def replay_verdicts(registry: CollectorRegistry) -> Counter:
    """What a worker finds out about replays."""
    told = "Verdicts of replayed transactions, counted when a replay is settled, and missing ones when they are missed"
    return Counter("lakeport_replay_verdicts", told, ("verdict",), registry=registry)


def may_scrape(authorization: str, token: str) -> bool:
    """Whether an `Authorization` header has the metrics' bearer token; all may where there is none."""
    given = authorization.removeprefix("Bearer ")
    return not token or hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def serve_metrics(registry: CollectorRegistry, host: str, port: int, token: str) -> None:
    """Answer Prometheus from a thread, as long as the process lives. Raises OSError where the port is taken."""
    shown: Callable[..., Iterable[bytes]] = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if may_scrape(environ.get("HTTP_AUTHORIZATION", ""), token):
            return shown(environ, start_response)
        start_response("401 Unauthorized", [("WWW-Authenticate", 'Bearer realm="lakeport"'), ("Content-Length", "0")])
        return []

    server = make_server(host, port, answer, _MetricsServer, _Silent)
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _MetricsServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        super().__init__(address, handler)


class _Silent(WSGIRequestHandler):
    timeout = 5

    def log_message(self, *_: Any) -> None:
        """A scrape is no news."""
