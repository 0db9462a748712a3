"""`/openapi.json` and `/docs`: the API's description, and Swagger UI over it from our own files."""

from pathlib import Path

import orjson
from flask import Blueprint, Response, current_app, send_from_directory

from rest_api.auth import Rule, allow
from rest_api.errors import NotFound

blueprint = Blueprint("documentation", __name__)
FILES = ("swagger-ui-bundle.js", "swagger-ui.css")
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Lakeport API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
# Swagger UI writes style attributes and shows its icons as data: images.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@blueprint.get("/openapi.json")
@allow(Rule.ANYONE)
def openapi() -> Response:
    """The description of every route."""
    return Response(orjson.dumps(current_app.extensions["lakeport"].description()), mimetype="application/json")


@blueprint.get("/docs")
@allow(Rule.ANYONE)
def page() -> Response:
    """The page of Swagger UI."""
    return _with_policy(Response(PAGE, mimetype="text/html"))


@blueprint.get("/docs/start.js")
@allow(Rule.ANYONE, is_recorded=False)
def start() -> Response:
    """What starts Swagger UI."""
    return _with_policy(Response(START, mimetype="text/javascript"))


@blueprint.get("/docs/<name>")
@allow(Rule.ANYONE, is_recorded=False)
def asset(name: str) -> Response:
    """A static file of Swagger UI."""
    folder: Path = current_app.extensions["lakeport"].settings.web_dir / "swagger"
    if name not in FILES or not (folder / name).is_file():
        raise NotFound("There is no such file")
    return _with_policy(send_from_directory(folder, name, max_age=3_600))


def _with_policy(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = CONTENT_POLICY
    return response
