"""What all tests share: settings for a temporary folder, an app on each database, and callers with tokens."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from rest_api.app import create_app
from rest_api.database import create_engine_for
from rest_api.models import metadata
from rest_api.services import events, users
from rest_api.settings import Settings

pytest_plugins = [
    "tests.servers",
    "tests.ci_no_skips",
    "tests.live",
    "tests.mariadb",
    "tests.npm.running",
    "tests.gateway.demo",
    "tests.integration.kafka.running",
    "tests.integration.kafka.lanes",
    "tests.integration.synapse.running",
    "tests.integration.kafka.flows",
]
PASSWORD = "correct horse battery staple"
# Checking a hash takes what making it took; one made cheaply keeps some thousand logins short.
_HASHED = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
NAMES = {"admin": "root", "editor": "ed", "reader": "rita"}


def settings_for(data_dir: Path, **more: str) -> Settings:
    """Settings with random secrets and a data folder; `more` are names as in the environment."""
    environ = {
        "DATA_DIR": str(data_dir),
        "JWT_SECRETS": f"k1:{secrets.token_urlsafe(48)}",
        "AUDIT_KEY": secrets.token_urlsafe(48),
        "MASK_KEY": secrets.token_urlsafe(48),
        "CURSOR_KEY": secrets.token_urlsafe(48),
        "WORKER_METRICS_PORT": "0",
        **more,
    }
    return Settings.load(environ)


@dataclass(frozen=True)
class Caller:
    """A client of the API with somebody's token."""

    client: FlaskClient
    username: str
    tokens: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    def call(self, method: str, path: str, **more: Any) -> TestResponse:
        more["headers"] = {**self.headers, **more.get("headers", {})}
        return self.client.open(path, method=method, **more)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.call("GET", path, **more)

    def post(self, path: str, json: Any = None, **more: Any) -> TestResponse:
        return self.call("POST", path, json=json, **more)

    def put(self, path: str, json: Any = None, **more: Any) -> TestResponse:
        return self.call("PUT", path, json=json, **more)

    def patch(self, path: str, json: Any = None, **more: Any) -> TestResponse:
        return self.call("PATCH", path, json=json, **more)

    def delete(self, path: str, **more: Any) -> TestResponse:
        return self.call("DELETE", path, **more)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lakeport.db"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def make_app(tmp_path: Path, database_url: str) -> Iterator[Callable[..., Flask]]:
    """Makes apps on the database, with its tables and one user of each role."""
    apps: list[Flask] = []

    def make(**more: str) -> Flask:
        settings = settings_for(tmp_path, DATABASE_URL=database_url, **more)
        settings.heads_dir.mkdir(exist_ok=True)
        if not apps:
            prepare_database(database_url)
        app = create_app(settings)
        apps.append(app)
        return app

    yield make
    for app in apps:
        with app.app_context():
            app.extensions["sqlalchemy"].engine.dispose()


def prepare_database(url: str) -> None:
    """Make the tables and the users `root`, `ed` and `rita`."""
    engine = create_engine_for(url)
    metadata.create_all(engine)
    with Session(engine) as session:
        events.install(session)
        for role, name in NAMES.items():
            users.create_user(session, name, _HASHED, role)
        session.commit()
    engine.dispose()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The app with default settings."""
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without a token."""
    return app.test_client()


def log_in(app: Flask, username: str, password: str = PASSWORD) -> Caller:
    """A caller with fresh tokens."""
    client = app.test_client()
    answer = client.post("/auth/token", json={"username": username, "password": password})
    assert answer.status_code == 200, answer.json
    return Caller(client, username, dict(answer.json or {}))


@pytest.fixture
def admin(app: Flask) -> Caller:
    return log_in(app, "root")


@pytest.fixture
def editor(app: Flask) -> Caller:
    return log_in(app, "ed")


@pytest.fixture
def reader(app: Flask) -> Caller:
    return log_in(app, "rita")
