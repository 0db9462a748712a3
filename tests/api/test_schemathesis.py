"""Generated calls of every route: no server error, no answer that the description does not name.

All checks and all phases of schemathesis. In CI a sample with a fixed seed; `LAKEPORT_FULL=1` makes it 200 examples
a route (docs/SCHEMATHESIS.md).
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from flask import Flask
from schemathesis.engine import events as told
from schemathesis.engine import from_schema
from schemathesis.hooks import unregister
from schemathesis.transport.wsgi import WSGITransport

from rest_api.models.user import User
from rest_api.resources import events
from rest_api.services import tokens
from tests.conftest import PASSWORD, log_in

pytestmark = [pytest.mark.parametrize("database_url", ["sqlite"], indirect=True), pytest.mark.timeout(3_600)]
IS_FULL = os.environ.get("LAKEPORT_FULL") == "1"
EXAMPLES = 200 if IS_FULL else 2
LISTS = "^GET /(articles|audit|grants|groups|jobs|users)$"
CONFIG: dict[str, Any] = {
    "seed": 20_261_125,
    # A NUL in a text is refused, which a schema does not say; tests/api/test_bad_input.py does.
    "generation": {"max-examples": EXAMPLES, "database": "none", "allow-x00": False},
    "checks": {
        # Besides the usual ones: events that are not kept, a stale If-Match, an Idempotency-Key used before. No 5xx.
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "3xx", "401", "403", "404", "409", "410", "412", "422", "429"]
        },
    },
    "operations": [
        # A batch with invalid operations is answered with 200, which names them.
        {"include-name": "POST /articles/batch", "checks": {"negative_data_rejection": {"enabled": False}}},
        # Users, columns and folders have to be there, and filters to be written as such: a schema does not say it.
        {"include-name-regex": "^POST /(grants|data)", "checks": {"positive_data_acceptance": {"enabled": False}}},
        {"include-name-regex": "^PUT /data", "checks": {"positive_data_acceptance": {"enabled": False}}},
        # Every value of every parameter takes long where parameters are many.
        {"include-name-regex": LISTS, "phases": {"coverage": {"enabled": IS_FULL}}},
    ],
}
UNLIMITED = {
    "REQUESTS_PER_MINUTE": "10000000",
    "LOGIN_FAILURES_PER_ACCOUNT": "1000",
    "LOGIN_FAILURES_PER_ADDRESS": "100000",
}
# A cursor cannot be made up, and how far `page` may go depends on `limit`; tests/query tells of both.
NOT_GENERATED = ("cursor", "page")
OF_CONNECTIONS = ("allow_redirects", "cert", "max_redirects", "proxies", "timeout", "verify")


class FastClock:
    """A clock for long polls that does not wait: whoever sleeps is later at once."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def seeded(make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> Flask:
    """An app with everything that the samples name, and nothing that makes a call wait."""
    monkeypatch.setattr(events, "time", FastClock())
    app = make_app(**UNLIMITED)
    root = log_in(app, "root")
    root.post("/users", {"username": "ada", "password": PASSWORD, "role": "reader"})
    root.post("/groups", {"name": "analysts"})
    root.post("/articles", {"title": "first", "content": ""})
    root.post("/jobs", {"type": "audit_verification"})
    root.post("/grants", {"principal": "analysts", "dataset": "articles", "privileges": ["read"]})
    return app


@pytest.fixture
def described(seeded: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[schemathesis.BaseSchema]:
    """The app's description, ready to be called in this process as an administrator."""
    send = WSGITransport.send

    def send_in_process(self: WSGITransport, case: Any, **options: Any) -> Any:
        return send(self, case, **{name: value for name, value in options.items() if name not in OF_CONNECTIONS})

    # Its checks of authentication hand on what only real connections know.
    monkeypatch.setattr(WSGITransport, "send", send_in_process)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", seeded, config=schemathesis.Config.from_dict(CONFIG))
    shared = access_token(seeded)

    @schema.auth(refresh_interval=None)
    class Administrator:
        def get(self, case: schemathesis.Case[Any], _: Any) -> str:
            # Revoking ends a login: that of no other call.
            return access_token(seeded) if case.operation.path == "/auth/revoke" else shared

        def set(self, case: schemathesis.Case[Any], token: str, _: Any) -> None:
            case.headers["Authorization"] = f"Bearer {token}"

    def before_call(context: Any, case: schemathesis.Case[Any], kwargs: Any) -> None:
        for name in NOT_GENERATED:
            (case.query or {}).pop(name, None)

    schemathesis.hook(before_call)
    yield schema
    unregister(before_call)


def access_token(app: Flask) -> str:
    """A token of a new login of the administrator, without the work of hashing his password."""
    with app.app_context():
        session = app.extensions["sqlalchemy"].session()
        root = session.query(User).filter_by(username="root").one()
        book = app.extensions["lakeport"].tokens
        issued = book.issue(tokens.begin_family(session, root, book.refresh_lifetime))
        session.commit()
    return str(issued["access_token"])


def findings(event: told.EngineEvent) -> list[str]:
    """What is wrong by an event of the run."""
    if isinstance(event, told.NonFatalError | told.FatalError):
        return [repr(getattr(event, "value", None) or getattr(event, "exception", None))]
    if not isinstance(event, told.ScenarioFinished):
        return []
    return [
        f"{event.recorder.label}: {check.failure_info.failure.title}: {answer_to(event, case_id)}\n"
        f"  {check.failure_info.failure.message}\n  {check.failure_info.code_sample}"
        for case_id, checks in event.recorder.checks.items()
        for check in checks
        if check.failure_info is not None
    ]


def answer_to(event: told.ScenarioFinished, case_id: str) -> str:
    """Status and beginning of what a call was answered with."""
    response = event.recorder.find_response(case_id=case_id)
    return f"{response.status_code} {response.text[:500]}" if response else "no answer"


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
def test_every_answer_is_documented_and_none_is_an_error(described: schemathesis.BaseSchema) -> None:
    wrong: list[str] = []
    called: dict[str, int] = {}
    for event in from_schema(described).execute():
        wrong += findings(event)
        if isinstance(event, told.ScenarioFinished):
            phase = event.phase.value
            called[phase] = called.get(phase, 0) + len(event.recorder.interactions)
    print(called)  # noqa: T201
    assert not wrong, "\n".join(dict.fromkeys(wrong))
    assert {"examples", "coverage", "fuzzing", "stateful"} <= {phase for phase, calls in called.items() if calls}
