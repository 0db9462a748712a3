"""The gateway: everything is wired here and nowhere else."""

import gc
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from graphql_gateway import explorers, health
from graphql_gateway.admission import Admission
from graphql_gateway.documents import Documents
from graphql_gateway.door import Door
from graphql_gateway.endpoint import GraphQLEndpoint
from graphql_gateway.limits import Limits
from graphql_gateway.observability import GatewayMetrics, configure_logging, exposition
from graphql_gateway.persisted import persisted_documents
from graphql_gateway.proxies import TrustedProxies
from graphql_gateway.rest_client import RestClient
from graphql_gateway.schemas import Schemas
from graphql_gateway.serving import Serving
from graphql_gateway.settings import Settings, SettingsError
from graphql_gateway.sharing import Sharing
from graphql_gateway.subscriptions.event_stream import wants_event_stream
from graphql_gateway.subscriptions.transports import Resources, Transports
from graphql_gateway.tracing import Tracer, open_tracer
from graphql_gateway.uploads import Uploads

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app_from_environment() -> ASGIApp:
    """The ASGI application that the server runs; wrong settings end the process with code 2, one line each."""
    try:
        settings = Settings.load(os.environ, Path(".env"))
        configure_logging(settings.log_level)
        return create_app(settings)
    except SettingsError as error:
        for mistake in error.mistakes:
            sys.stderr.write(f"setting {mistake}\n")
        sys.exit(2)


def create_app(settings: Settings) -> ASGIApp:
    """The gateway with all that governs it. It starts and stays live without the core.

    Raises SettingsError for trusted documents that are none.
    """
    registry = CollectorRegistry()
    metrics = GatewayMetrics.on(registry)
    proxies = TrustedProxies(settings.trusted_proxies)
    client = _client(settings, metrics)
    tracer = open_tracer(settings.otel_exporter_otlp_endpoint)
    endpoint = _endpoint(settings, client, proxies, metrics, tracer)
    playground, graphiql = explorers.playground(settings.web_dir), explorers.graphiql(settings.web_dir)
    resources = Resources(settings, client, metrics, registry)
    transports = Transports.over(resources, endpoint.admission, endpoint.serving, proxies)

    async def graphql(request: Request) -> Response:
        if explorers.wants_page(request):
            return await playground.page(request)
        return await (transports.event_streams if wants_event_stream(request) else endpoint).answer(request)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        # What was made at the start lives as long as the process: looking for garbage there is a tenth of each request.
        gc.collect()
        gc.freeze()
        yield
        client.close()
        tracer.close()

    shown = exposition(registry, settings.prometheus_multiproc_dir)
    routes = [
        Route("/graphql", graphql, methods=METHODS),
        WebSocketRoute("/graphql", transports.sockets.answer),
        Route("/graphiql", graphiql.page),
        Route("/explorers/playground/{name}", playground.file),
        Route("/explorers/graphiql/{name}", graphiql.file),
        Route("/health", health.live),
        Route("/health/live", health.live),
        Route("/health/ready", health.Readiness(client).answer),
        Route("/metrics", health.Metrics(shown, settings.metrics_token).answer),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _problem, Exception: _problem})
    app.router.redirect_slashes = False  # it would send callers to whatever host they named
    return Door(app, proxies)


def _client(settings: Settings, metrics: GatewayMetrics) -> RestClient:
    return RestClient(
        settings.core_url,
        settings.gateway_connections,
        settings.gateway_waiting_calls,
        settings.gateway_answer_bytes,
        metrics,
        settings.gateway_breaker_failures,
        settings.gateway_breaker_seconds,
    )


def _endpoint(
    settings: Settings, client: RestClient, proxies: TrustedProxies, metrics: GatewayMetrics, tracer: Tracer
) -> GraphQLEndpoint:
    limits = Limits.of(settings)
    schemas, sharing = Schemas(lambda schema: Documents(schema, limits)), Sharing(metrics.requests_shared.inc)
    return GraphQLEndpoint(
        Admission(schemas, persisted_documents(settings, limits), settings.graphql_cost),
        Serving(schemas, sharing),
        limits,
        client,
        Uploads(settings.core_url, settings.gateway_uploads, settings.gateway_upload_seconds, metrics),
        proxies,
        metrics,
        tracer,
        settings.gateway_deadline_seconds,
    )


def _problem(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    phrase = HTTPStatus(status).phrase
    code = "internal" if status == HTTPStatus.INTERNAL_SERVER_ERROR else phrase.lower().replace(" ", "_")
    response = health.problem(status, code, phrase, phrase, request.state.request_id)
    response.headers.update(getattr(error, "headers", None) or {})
    return response
