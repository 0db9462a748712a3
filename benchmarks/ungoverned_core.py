"""The core as it is served, but for three things: the JWT check, rights and the audit. Never served to anybody."""

from unittest.mock import patch

from flask import Response, g

from rest_api import app, auth
from rest_api.door import Door
from rest_api.proxies import TrustedProxies
from rest_api.services.audit_trail import Wait, no_wait

APP = "benchmarks.ungoverned_core:create_app_from_environment"


def create_app_from_environment() -> TrustedProxies:
    """The WSGI application. It counts, queues, dresses and logs as the core does; whoever calls gets in."""
    patch.object(auth, "authenticate", _nobody).start()
    patch.object(auth, "authorize", _let_in).start()
    patch.object(Door, "_settle", _forget).start()
    return app.create_app_from_environment()


def _nobody(_admission: auth.Admission | None) -> None:
    g.principal = None


def _let_in(_admission: auth.Admission | None) -> None:
    """Whoever it is."""


def _forget(door: Door, _response: Response) -> Wait:
    door.db.session.remove()
    return no_wait
