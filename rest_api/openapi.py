"""The API description (OpenAPI 3.1): what flask-smorest derives from the schemas, and what the door adds to it."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from flask_smorest import Api

from rest_api.auth import Admission, Rule

METHODS = ("get", "post", "put", "patch", "delete")
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "description": "a URN that names the code"},
        "title": {"type": "string", "description": "the kind of the refusal"},
        "status": {"type": "integer", "description": "the status of the answer"},
        "detail": {"type": "string", "description": "what is wrong, for a person"},
        "code": {"type": "string", "description": "what is wrong, for a program"},
        "request_id": {"type": "string", "description": "finds this call in logs and audit"},
        "did_you_mean": {"type": "string", "description": "the nearest valid name"},
        "errors": {
            "type": "array",
            "description": "everything that is wrong with the input",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string", "description": "dotted path of the input"},
                    "detail": {"type": "string", "description": "what is wrong with it"},
                },
            },
        },
    },
}
REASONS = {
    400: "The input is malformed or invalid",
    401: "No token, or one that is not valid any more",
    403: "The caller's role or rights do not reach this call",
    404: "There is no such thing, or not for this caller",
    409: "It conflicts with what is there, or with a call that is still running",
    410: "It is not kept any more",
    412: "It has changed since the ETag in If-Match",
    406: "The answer cannot be given in a media type that Accept names",
    408: "The body did not come in time",
    413: "The body is larger than this call takes",
    415: "The body is of another media type than this call takes",
    422: "The Idempotency-Key came with another body before",
    429: "Too many calls; wait as Retry-After says",
    504: "It took too long; ask for less, or try again",
    503: "Overloaded, or a back end is away; wait as Retry-After says",
}
IF_MATCH = {"type": "string", "description": "the ETag that the resource is believed to have; 412 when stale"}
IF_NONE_MATCH = {"type": "string", "description": "the ETag of what the caller has already; 304 while it holds"}
IDEMPOTENCY_KEY = {
    "type": "string",
    "pattern": "^[!-~]{1,255}$",
    "description": "makes a repeated call have one effect and one answer for 24 hours; any text, once per new call",
}
PATHS: dict[str, tuple[str, Any]] = {
    "article_id": ("number of the article", 1),
    "username": ("name of the user", "ada"),
    "name": ("name of the group", "analysts"),
    "dataset": ("name of the dataset", "transactions"),
    "grant_id": ("number of the grant", 1),
    "job_id": ("number of the job", 1),
    "transaction_id": ("id of the transaction", "tx-00000001"),
    "replay_id": ("id of the replay", "00000000-0000-4000-8000-000000000001"),
}
SAMPLE_HOST = "http://127.0.0.1:5000"
SHELL_VARIABLE = re.compile(r"\$[A-Z]+")
ABOUT = """Datasets, articles, users, groups, grants, events, jobs and the audit trail of a Lakeport.

Log in with `POST /auth/token` and send the access token as `Authorization: Bearer …`. In the samples, `$TOKEN` is
such a token and `$PASSWORD` the caller's password. Errors are problem documents (RFC 9457) with a `code`.
Texts hold no NUL characters; bodies are JSON in UTF-8 without repeated keys.
"""


def describe(app: Flask, api: Api) -> dict[str, Any]:
    """The whole description of an app whose routes are all registered."""
    spec: dict[str, Any] = api.spec.to_dict()
    components = spec.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components.pop("responses", None)
    for (schema, *_), name in api.ma_plugin.converter.refs.items():
        components["schemas"][name] |= getattr(schema, "constraints", {})  # not all schemas are ours
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    spec["info"]["description"] = ABOUT
    admissions = _admissions(app)
    for item in spec["paths"].values():
        _complete_path(item)
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
    operation.setdefault("parameters", []).extend(_headers(method, admission))
    sample = _sample(spec, path, method, operation, admission)
    operation["x-codeSamples"] = [{"lang": "Shell", "source": sample}]
    operation["description"] = f"{operation.get('description', '')}\n\n```sh\n{sample}\n```".strip()


def _complete_path(item: dict[str, Any]) -> None:
    for parameter in item.get("parameters", []):
        parameter["description"], parameter["example"] = PATHS[parameter["name"]]


def _headers(method: str, admission: Admission) -> Iterator[dict[str, Any]]:
    """The request headers that change what the call does."""
    if admission.rule is Rule.ANYONE:
        return
    if 412 in admission.refuses:
        yield _header("If-Match", IF_MATCH)
    if method == "get":
        yield _header("If-None-Match", IF_NONE_MATCH)
    if method == "post" and not admission.only_reads:
        yield _header("Idempotency-Key", IDEMPOTENCY_KEY)


def _header(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": schema["description"], "schema": schema}


def _operation_id(path: str, method: str) -> str:
    words = [word.strip("{}") for word in path.split("/") if word]
    return "_".join([method, *words]).replace("-", "_").replace(".", "_")


def _responses(operation: dict[str, Any], admission: Admission, path: str, method: str) -> dict[str, Any]:
    given = operation.get("responses", {})
    responses = {status: answer for status, answer in given.items() if status != "default" and int(status) < 400}
    for made in {"201", "202"} & set(responses):
        responses[made]["headers"] = _answer_header("Location", "path of what came of it")
    if method == "get" and admission.rule is not Rule.ANYONE:
        responses["304"] = {"description": "What the caller has already, by its ETag, still holds"}
    for status in sorted(_refusals(operation, admission, path, method)):
        responses[str(status)] = _problem_response(status)
    return responses


def _refusals(operation: dict[str, Any], admission: Admission, path: str, method: str) -> set[int]:
    statuses = set(admission.refuses)
    if admission.is_recorded:
        statuses |= {400, 408, 413, 429, 503, 504}
    if admission.rule is not Rule.ANYONE:
        statuses |= {401, 403}
    if "requestBody" in operation:
        statuses |= {415}
    if "{" in path:
        statuses |= {404}
    if method == "post" and admission.rule is not Rule.ANYONE and not admission.only_reads:
        statuses |= {409, 422}
    return statuses


def _problem_response(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    response: dict[str, Any] = {
        "description": REASONS[status],
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status == 401:
        response["headers"] = _answer_header("WWW-Authenticate", "how to authenticate")
    if status in (429, 503):
        response["headers"] = _answer_header("Retry-After", "seconds to wait before the next try")
    return response


def _answer_header(name: str, description: str) -> dict[str, Any]:
    return {name: {"description": description, "required": True, "schema": {"type": "string"}}}


def _sample(spec: dict[str, Any], path: str, method: str, operation: dict[str, Any], admission: Admission) -> str:
    """A call that works when pasted, with $TOKEN and $PASSWORD set as the README shows."""
    parts = ["curl", "-sS"]
    if method != "get":
        parts += ["-X", method.upper()]
    if admission.rule is not Rule.ANYONE:
        parts += ["-H", '"Authorization: Bearer $TOKEN"']
    body = _body_example(spec, operation)
    if body is not None:
        parts += ["-H", "'Content-Type: application/json'", "-d", _in_shell(json.dumps(body))]
    for name, value in _form_example(operation).items():
        parts += ["-F", shlex.quote(f"{name}={value}")]
    needed = _needed_parameters(operation)
    url = f"{SAMPLE_HOST}{_path_example(path)}"
    return " ".join([*parts, shlex.quote(f"{url}?{urlencode(needed)}") if needed else url])


def _form_example(operation: dict[str, Any]) -> dict[str, str]:
    """The fields of a form that have an example."""
    content = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
    properties = content["schema"]["properties"] if content else {}
    return {name: each["example"] for name, each in properties.items() if "example" in each}


def _needed_parameters(operation: dict[str, Any]) -> list[tuple[str, Any]]:
    """The parameters that a URL cannot do without, with their examples."""
    given = [each for each in operation.get("parameters", []) if each.get("in") == "query" and each.get("required")]
    return [(each["name"], each["example"]) for each in given]


def _in_shell(text: str) -> str:
    """The text as one word of a shell, in which its variables have their values."""
    return SHELL_VARIABLE.sub(lambda found: f"'\"{found[0]}\"'", shlex.quote(text))


def _path_example(path: str) -> str:
    return path.format_map({name: example for name, (_, example) in PATHS.items()})


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
