"""What an operator sees of subscriptions."""

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from graphql_gateway.observability import OperationNames


@dataclass(frozen=True)
class SubscriptionMetrics:
    """Gauges and counters of this process; `names` keeps the operations that become labels few."""

    active: Gauge
    streams: Gauge
    delivered: Counter
    ended: Counter
    names: OperationNames

    @classmethod
    def on(cls, registry: CollectorRegistry, names: OperationNames) -> "SubscriptionMetrics":
        """Declare the metrics in a registry."""
        operation = ("operation",)
        mode: Literal["livesum"] = "livesum"
        return cls(
            Gauge(
                "graphql_subscriptions_active", "Subscriptions", operation, registry=registry, multiprocess_mode=mode
            ),
            Gauge("graphql_event_streams", "Streams of the core", registry=registry, multiprocess_mode=mode),
            Counter("graphql_subscription_events", "Events told to subscribers", operation, registry=registry),
            Counter("graphql_subscriptions_ended", "Subscriptions ended by an error", ("code",), registry=registry),
            names,
        )
