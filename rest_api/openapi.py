"""The API description (OpenAPI 3.1): what flask-smorest derives from the schemas, and what the door adds to every route."""

import json
import shlex
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from flask import Flask
from flask_smorest import Api

from rest_api.auth import Admission, Rule

METHODS = ("get", "post", "put", "patch", "delete")
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "description": "a URN that names the code"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong, for a person"},
        "code": {"type": "string", "description": "what is wrong, for a program"},
        "request_id": {"type": "string", "description": "finds this call in logs and audit"},
        "did_you_mean": {"type": "string", "description": "the nearest valid name"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
HEADERS = {
    "If-Match": ("the ETag that the resource is believed to have; 412 when stale", 412),
}
SAMPLE_HOST = "http://127.0.0.1:5000"


def describe(app: Flask, api: Api) -> dict[str, Any]:
    """The whole description of an app whose routes are all registered."""
    spec: dict[str, Any] = api.spec.to_dict()
    components = spec.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components.pop("responses", None)
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    admissions = _admissions(app)
    for path, method, operation in operations(spec):
        _complete(spec, path, method, operation, admissions[path, method])
    return spec


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation of a description: path, method in small letters, and the operation object."""
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _admissions(app: Flask) -> dict[tuple[str, str], Admission]:
    from flask_smorest.spec.plugins import FlaskPlugin

    views: dict[str, Any] = app.view_functions
    return {
        (FlaskPlugin.flaskpath2openapi(rule.rule), method.lower()): views[rule.endpoint].admission
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def _complete(spec: dict[str, Any], path: str, method: str, operation: dict[str, Any], admission: Admission) -> None:
    operation["operationId"] = _operation_id(path, method)
    operation["responses"] = _responses(operation, admission, path, method)
    operation["security"] = [] if admission.rule is Rule.ANYONE else [{"bearer": []}]
    operation["x-role"] = admission.rule.name.lower()
    for header, (description, status) in HEADERS.items():
        if status in admission.refuses:
            operation.setdefault("parameters", []).append(
                {"name": header, "in": "header", "description": description, "schema": {"type": "string"}}
            )
    sample = _sample(spec, path, method, operation, admission)
    operation["x-codeSamples"] = [{"lang": "Shell", "source": sample}]
    operation["description"] = f"{operation.get('description', '')}\n\n```sh\n{sample}\n```".strip()


def _operation_id(path: str, method: str) -> str:
    words = [word.strip("{}") for word in path.split("/") if word]
    return "_".join([method, *words]).replace("-", "_").replace(".", "_")


def _responses(operation: dict[str, Any], admission: Admission, path: str, method: str) -> dict[str, Any]:
    responses = {status: answer for status, answer in operation.get("responses", {}).items() if status != "default"}
    responses = {status: answer for status, answer in responses.items() if int(status) < 400}
    statuses = set(admission.refuses)
    if admission.is_recorded:
        statuses |= {400, 413, 429, 503}
    if admission.rule is not Rule.ANYONE:
        statuses |= {401, 403}
    if "requestBody" in operation:
        statuses |= {415}
    if "{" in path:
        statuses |= {404}
    if method == "post" and admission.rule is not Rule.ANYONE:
        statuses |= {409, 422}
    for status in sorted(statuses):
        responses[str(status)] = _problem_response(status)
    return responses


def _problem_response(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": HTTPStatus(status).phrase,
        "content": {"application/problem+json": {"schema": schema}},
    }


def _sample(spec: dict[str, Any], path: str, method: str, operation: dict[str, Any], admission: Admission) -> str:
    """A call that works when pasted, with $TOKEN set as the README shows."""
    parts = ["curl", "-sS"]
    if method != "get":
        parts += ["-X", method.upper()]
    if admission.rule is not Rule.ANYONE:
        parts += ["-H", '"Authorization: Bearer $TOKEN"']
    body = _body_example(spec, operation)
    if body is not None:
        parts += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(json.dumps(body))]
    return " ".join([*parts, f"{SAMPLE_HOST}{_path_example(path, operation)}"])


def _path_example(path: str, operation: dict[str, Any]) -> str:
    examples = {"article_id": "1", "username": "ada", "name": "analysts", "job_id": "1"}
    for name, value in examples.items():
        path = path.replace("{" + name + "}", value)
    return path


def _body_example(spec: dict[str, Any], operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else content.get("example") or _example(spec, content["schema"])


def _example(spec: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _example(spec, spec["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    if "example" in schema:
        return schema["example"]
    if schema.get("type") == "array":
        return [_example(spec, schema["items"])]
    if schema.get("type") == "object":
        given = {name: _example(spec, each) for name, each in schema.get("properties", {}).items()}
        return {name: value for name, value in given.items() if value is not None}
    return None
