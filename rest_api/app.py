"""The core: everything is wired here and nowhere else."""

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from flask import Flask, Response
from flask.json.provider import JSONProvider
from flask_migrate import Migrate
from flask_smorest import Api
from flask_sqlalchemy import SQLAlchemy
from prometheus_client import CollectorRegistry
from prometheus_flask_exporter import PrometheusMetrics
from sqlalchemy import Engine

from rest_api import auth, database, problems
from rest_api.auth import TokenBook
from rest_api.backends.lake import Lake, lake_of
from rest_api.backends.storage import workplaces
from rest_api.bodies import BodyReader
from rest_api.door import Door
from rest_api.limits import Queue, RateLimit
from rest_api.models import metadata
from rest_api.observability import RequestMetrics, configure_logging
from rest_api.openapi import describe
from rest_api.places import Places
from rest_api.proxies import TrustedProxies
from rest_api.query.cursors import CursorSealer
from rest_api.resources import (
    accesses,
    analytics,
    articles,
    audit,
    datasets,
    digests,
    documentation,
    events,
    exports,
    grants,
    groups,
    health,
    jobs,
    replays,
    row_writes,
    rows,
    uploads,
    users,
    versions,
)
from rest_api.resources import auth as auth_resource
from rest_api.resources.wire import IdConverter
from rest_api.services import changes
from rest_api.services import events as event_service
from rest_api.services.audit_trail import AuditTrail
from rest_api.services.datasets import Datasets
from rest_api.services.ingestion import Ingestion
from rest_api.services.logins import LoginGate
from rest_api.services.uploads import Uploads
from rest_api.services.writes import Writes
from rest_api.settings import Settings
from rest_api.statements import DriverConnections

VERSION = "0.1.0"
MIGRATIONS = Path(__file__).parent / "migrations"
RESOURCES = (
    auth_resource,
    articles,
    digests,
    datasets,
    rows,
    row_writes,
    uploads,
    versions,
    exports,
    accesses,
    analytics,
    grants,
    users,
    groups,
    replays,
    events,
    jobs,
    audit,
    health,
)


@dataclass(frozen=True)
class Lakeport:
    """What routes ask for by `current_app.extensions["lakeport"]`."""

    settings: Settings
    tokens: TokenBook
    cursors: CursorSealer
    login_gate: LoginGate
    exporter: PrometheusMetrics
    door: Door
    lake: Lake
    datasets: Datasets
    writes: Writes
    ingestion: Ingestion
    uploads: Uploads
    description: Callable[[], dict[str, Any]]


class Core(Flask):
    """The Flask app. Nothing in it is a coroutine, so that no call need ask."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


class OrjsonProvider(JSONProvider):
    """JSON by orjson: times in UTC with `Z`, decimals as numbers."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return self.encode(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Any:
        body = self._prepare_response_obj(args, kwargs)
        return Response(self.encode(body), mimetype="application/json")

    @staticmethod
    def encode(value: Any) -> bytes:
        """The bytes of a JSON value."""
        return orjson.dumps(value, default=float, option=orjson.OPT_UTC_Z)


def create_app_from_environment() -> TrustedProxies:
    """The WSGI application that the server runs. Raises SettingsError."""
    settings = Settings.load(os.environ, Path(".env"))
    configure_logging(settings.log_level)
    app = create_app(settings)
    lakeport: Lakeport = app.extensions["lakeport"]
    lakeport.lake.writing.sweep()
    workplaces.sweep(settings.uploads_dir)
    changes.recover_at_start(lakeport.door.engine, lakeport.lake.catalog)
    _spare_the_collector()
    return TrustedProxies(app, settings.trusted_proxies)


def _spare_the_collector() -> None:
    # What the start made lasts as long as the process. Each full collection would go through it, and all threads wait.
    gc.collect()
    gc.freeze()


def create_app(settings: Settings) -> Flask:
    """The core with all that governs it. Raises RuntimeError for a route without a rule."""
    app, db, api = build_app(settings)
    registry = CollectorRegistry()
    with app.app_context():
        engine = db.engine
    database.prepare(engine)
    # A call's transaction waits while the lake is read for it, but not longer.
    database.bound(engine, settings.statement_seconds, settings.statement_seconds + settings.query_seconds)
    event_service.install(db.session.session_factory)
    connections = DriverConnections(engine)
    door = Door(
        settings=settings,
        db=db,
        engine=engine,
        trail=AuditTrail(settings.audit_key.encode(), settings.heads_dir, connections),
        rates=RateLimit(settings.requests_per_minute),
        queue=Queue(settings.running_requests, settings.queue_seconds),
        places=Places(settings.waiting_requests, settings.waiting_requests_per_user),
        uploads=Places(settings.receiving_uploads, settings.receiving_uploads_per_user),
        bodies=BodyReader(settings.sending_clients),
        metrics=RequestMetrics.on(registry),
    )
    lake = lake_of(settings, engine)
    app.extensions["lakeport"] = Lakeport(
        settings=settings,
        lake=lake,
        datasets=Datasets(lake.catalog),
        writes=Writes(engine, lake),
        ingestion=Ingestion(engine, lake),
        uploads=Uploads(engine, lake, Writes(engine, lake)),
        tokens=auth.configure_tokens(app, settings, engine, connections),
        cursors=CursorSealer(settings.cursor_key.encode()),
        login_gate=_login_gate(settings, engine),
        exporter=PrometheusMetrics(app=None, path=None, export_defaults=False, registry=registry),
        door=door,
        description=cache(lambda: describe(app, api)),
    )
    problems.install(app)
    door.install(app)
    auth.require_admissions(app)
    return app


def build_app(settings: Settings) -> tuple[Flask, SQLAlchemy, Api]:
    """The routes on their database, with nothing that governs them yet."""
    app = Core("lakeport", static_folder=None)
    app.json = OrjsonProvider(app)
    app.url_map.converters["id"] = IdConverter
    app.config.update(
        SQLALCHEMY_DATABASE_URI=database.driver_url(settings.database_url),
        SQLALCHEMY_ENGINE_OPTIONS=database.engine_options(settings.database_url),
        API_TITLE="Lakeport",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
    )
    db = SQLAlchemy(app, metadata=metadata, session_options={"expire_on_commit": False})
    Migrate(app, db, directory=str(MIGRATIONS), compare_type=True)
    api = Api(app)
    for resource in RESOURCES:
        api.register_blueprint(resource.blueprint)
    app.register_blueprint(documentation.blueprint)
    return app, db, api


def _login_gate(settings: Settings, engine: Engine) -> LoginGate:
    return LoginGate(
        engine,
        settings.login_failures_per_account,
        settings.login_failures_per_address,
        settings.login_window_seconds,
    )
