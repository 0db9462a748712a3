"""The core's routes with nothing that governs them: what governance is measured against, never served to anybody."""

import os
from pathlib import Path

from rest_api import database
from rest_api.app import build_app
from rest_api.observability import configure_logging
from rest_api.proxies import TrustedProxies
from rest_api.settings import Settings

APP = "benchmarks.bare_core:create_app_from_environment"


def create_app_from_environment() -> TrustedProxies:
    """The WSGI application: the same routes, database and proxies, without identity, rights, limits and audit."""
    settings = Settings.load(os.environ, Path(".env"))
    configure_logging(settings.log_level)
    app, db, _api = build_app(settings)
    with app.app_context():
        database.prepare(db.engine)
    return TrustedProxies(app, settings.trusted_proxies)
