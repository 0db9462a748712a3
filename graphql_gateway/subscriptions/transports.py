"""Subscriptions, wired: everything that they need, and the ways in."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from graphql_gateway.admission import Admission
from graphql_gateway.observability import GatewayMetrics
from graphql_gateway.proxies import TrustedProxies
from graphql_gateway.rest_client import RestClient
from graphql_gateway.rest_stream import RestStreams
from graphql_gateway.serving import Serving
from graphql_gateway.settings import Settings
from graphql_gateway.subscriptions.connections import Connections
from graphql_gateway.subscriptions.conversation import Limits
from graphql_gateway.subscriptions.event_stream import EventStreams
from graphql_gateway.subscriptions.feeds import Upstream
from graphql_gateway.subscriptions.hub import Hub
from graphql_gateway.subscriptions.live_figures import LiveFigures
from graphql_gateway.subscriptions.metrics import SubscriptionMetrics
from graphql_gateway.subscriptions.operations import Operations
from graphql_gateway.subscriptions.sockets import Sockets
from graphql_gateway.subscriptions.standings import Pace, Tokens


@dataclass(frozen=True)
class Resources:
    """What a gateway process has of everything."""

    settings: Settings
    client: RestClient
    metrics: GatewayMetrics
    registry: CollectorRegistry


@dataclass(frozen=True)
class Transports:
    """The ways to subscribe."""

    sockets: Sockets
    event_streams: EventStreams

    @classmethod
    def over(
        cls, resources: Resources, admission: Admission, serving: Serving, proxies: TrustedProxies
    ) -> "Transports":
        """Those of a gateway."""
        settings, client = resources.settings, resources.client
        counted = SubscriptionMetrics.on(resources.registry, resources.metrics.names)
        streams = RestStreams(settings.core_url, settings.subscription_streams, settings.gateway_answer_bytes)
        operations = Operations(
            admission,
            serving,
            client,
            Hub(Upstream(client, streams, counted)),
            LiveFigures(),
            Tokens(client, Pace(settings.subscription_check_seconds)),
            counted,
            settings.gateway_deadline_seconds,
        )
        connections = Connections(settings.subscription_connections, proxies)
        limits = Limits(
            settings.subscription_init_seconds,
            settings.subscription_idle_seconds,
            settings.subscription_alive_seconds,
            settings.subscriptions_per_connection,
        )
        return cls(
            Sockets(operations, connections, limits, settings.graphql_body_bytes, settings.subscription_origins),
            EventStreams(operations, connections, settings.graphql_body_bytes, settings.subscription_alive_seconds),
        )
