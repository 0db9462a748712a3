"""The API's description: valid, complete, and its samples work when pasted."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from flask import Flask
from sqlalchemy import text

from rest_api.demo.people import GROUP, MEMBERS, PEOPLE
from rest_api.openapi import PATHS, SAMPLE_HOST, operations
from tests.api.lake import with_lake
from tests.api.replaying import KEY, TABLE, asked
from tests.conftest import PASSWORD, Caller, log_in

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
# What describes the API is no part of it.
UNDESCRIBED = {"/openapi.json", "/docs", "/docs/start.js", "/docs/<name>"}
SHELL = 'curl() { printf "%s\\0" "$@"; }; TOKEN=$1 PASSWORD=$2; '


@pytest.fixture
def description(app: Flask) -> dict[str, Any]:
    return dict(app.test_client().get("/openapi.json").json or {})


def test_it_is_valid_openapi_3_1(description: dict[str, Any]) -> None:
    assert description["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(description).validate()
    names = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(names) == len(set(names))


def test_it_describes_every_route(app: Flask, description: dict[str, Any]) -> None:
    described = {(path, method) for path, method, _ in operations(description)}
    routes = {
        (re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS") and rule.rule not in UNDESCRIBED
    }
    assert described == routes


def test_every_route_says_what_it_does_how_it_refuses_and_gives_a_sample(description: dict[str, Any]) -> None:
    silent = [
        (method, path)
        for path, method, operation in operations(description)
        if not (operation.get("summary") and operation["x-codeSamples"][0]["source"] in operation["description"])
    ]
    assert silent == []


def test_every_route_names_its_answers(description: dict[str, Any]) -> None:
    for path, method, operation in operations(description):
        answers = operation["responses"]
        assert any(status < "300" for status in answers), (method, path)
        assert all(answer["description"] for answer in answers.values()), (method, path)
        assert operation["security"] == [] or {"401", "403"} <= set(answers), (method, path)
        refusals = {status: answer for status, answer in answers.items() if status >= "400"}
        assert all("application/problem+json" in answer["content"] for answer in refusals.values()), (method, path)


def test_every_input_and_output_has_a_text_or_an_example(description: dict[str, Any]) -> None:
    silent = [
        where for where, described in _described(description) if not described.keys() & {"description", "example"}
    ]
    assert silent == []


def test_every_example_is_valid(description: dict[str, Any]) -> None:
    wrong = []
    for where, described in _described(description):
        schema = described.get("schema", described)
        if "example" in described and "$ref" not in schema and not jsonschema_rs.is_valid(schema, described["example"]):
            wrong.append(where)
    assert wrong == []


def _described(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every parameter, and every member of a body or an answer, with its place."""
    for path, item in description["paths"].items():
        for each in (item, *(item[method] for method in item if method != "parameters")):
            yield from ((f"{path} {parameter['name']}", parameter) for parameter in each.get("parameters", []))
            yield from _members(path, each)
    yield from _members("components", description["components"]["schemas"])


def _members(where: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, list):
        for inner in value:
            yield from _members(where, inner)
    if not isinstance(value, dict):
        return
    properties = value.get("properties")
    if isinstance(properties, dict) and value.get("type") == "object":
        yield from ((f"{where} {name}", member) for name, member in properties.items())
    for name, inner in value.items():
        yield from _members(f"{where} {name}", inner)


@dataclass(frozen=True)
class Pasted:
    """What curl was told."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


def paste(sample: str, token: str) -> Pasted:
    """What a shell hands to curl when the sample is pasted into it."""
    command = ["bash", "-euc", SHELL + sample, "bash", token, PASSWORD]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    options: dict[str, list[str]] = {"-X": [], "-H": [], "-d": [], "-F": []}
    assert words.pop(0) == "-sS"
    while words[0] in options:
        options[words.pop(0)].append(words.pop(0))
    [url] = words
    assert url.startswith(f"{SAMPLE_HOST}/")
    headers = dict(header.split(": ", 1) for header in options["-H"])
    method, body = next(iter(options["-X"]), "GET"), form(options["-F"]) or next(iter(options["-d"]), None)
    return Pasted(method, url.removeprefix(SAMPLE_HOST), headers, body)


def form(fields: list[str]) -> dict[str, Any] | None:
    """What curl makes of its -F options."""
    pairs = (field.split("=", 1) for field in fields)
    return {name: _form_value(*value.split(";filename=")) for name, value in pairs} or None


def _form_value(content: str, filename: str | None = None) -> Any:
    return content if filename is None else (BytesIO(content.encode()), filename)


@pytest.fixture
def seeded(app: Flask) -> Flask:
    """An app with the administrator, people and group of a first start, an article and a job."""
    with_lake(app)
    root = log_in(app, "root")
    users = {"admin": "admin", **PEOPLE}
    answers = [
        *(root.post("/users", {"username": name, "password": PASSWORD, "role": users[name]}) for name in users),
        root.post("/groups", {"name": GROUP}),
        *(root.put(f"/groups/{GROUP}/members/{name}") for name in MEMBERS),
        root.post("/articles", {"title": "first", "content": ""}),
        root.post("/jobs", {"type": "audit_verification", "arguments": {}}),
        root.post("/grants", {"principal": GROUP, "dataset": "articles", "privileges": ["read"]}),
    ]
    assert {answer.status_code for answer in answers} == {201, 202, 204}
    return with_replay(app, root)


def with_replay(app: Flask, admin: Caller) -> Flask:
    """The app with the replay of the transaction that samples name."""
    transaction_id, replay_id = PATHS["transaction_id"][1], PATHS["replay_id"][1]
    assert admin.put(TABLE, KEY).status_code == 200
    row = {"transaction_id": transaction_id, "timestamp": "2026-11-01T12:00:00Z"}
    assert admin.post(f"{TABLE}/rows", {"rows": [row]}).status_code == 201
    given = asked(admin.post(f"/transactions/{transaction_id}/replay"))
    with app.extensions["lakeport"].door.engine.begin() as connection:
        connection.execute(text("update replays set id = :new where id = :old"), {"new": replay_id, "old": given})
    return app


def test_every_sample_works_when_pasted(seeded: Flask, description: dict[str, Any]) -> None:
    # Deleting comes late, and the change of the password, which ends all other logins, last.
    def lateness(found: tuple[str, str, Any]) -> tuple[bool, bool, int]:
        path, method, _ = found
        return path == "/users/me/password", method == "delete", -len(path)

    wrong = []
    admin, leaving = log_in(seeded, "admin"), log_in(seeded, "admin")
    for path, method, operation in sorted(operations(description), key=lateness):
        caller = leaving if path == "/auth/revoke" else admin
        pasted = paste(operation["x-codeSamples"][0]["source"], caller.tokens["access_token"])
        answer = seeded.test_client().open(pasted.path, method=pasted.method, headers=pasted.headers, data=pasted.body)
        documented = str(answer.status_code) in operation["responses"]
        if not (200 <= answer.status_code < 300 and documented and pasted.method == method.upper()):
            wrong.append((method, path, answer.status_code, answer.get_data(as_text=True)))
    assert wrong == []
