"""Playground and GraphiQL: our own pages over the files of their packages, with no other host involved."""

import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

MISSING = "The files of this page are not installed; run: python -m launcher.web_assets\n"
# Both write style attributes, show their icons as data: images and fonts; neither evaluates code.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
FIRST_QUERIES = """\
# 1. Put your password into the mutation and run it:
#    the button asks which of the two to run.
# 2. Copy the accessToken of its answer into the
#    headers at the bottom of this page:
#
#    {"Authorization": "Bearer <accessToken>"}
#
# 3. Run the query.

mutation LogIn {
  login(username: "admin", password: "") {
    success
    errors
    accessToken
    refreshToken
    expiresIn
  }
}

query FirstArticles {
  getArticles(limit: 5, orderBy: {id: ASC}) {
    success
    errors
    articles {
      id
      title
      author {
        username
      }
    }
    next
  }
}
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
{links}
<link rel="stylesheet" href="{start}.css">
</head>
<body>
<div id="root"></div>
{scripts}
<script src="{start}.js"></script>
</body>
</html>
"""
STYLE = "html, body, #root { height: 100%; margin: 0; overflow: hidden; }\n"
START_PLAYGROUND = """const endpoint = new URL("/graphql", window.location.href).href;
GraphQLPlayground.init(document.getElementById("root"), {
  endpoint,
  subscriptionEndpoint: endpoint.replace(/^http/, "ws"),
  setTitle: false,
  shareEnabled: false,
  settings: {
    "request.credentials": "omit",
    "schema.polling.enable": false,
    "tracing.hideTracingResponse": true,
  },
  tabs: [{ endpoint, name: "Lakeport", query: FIRST_QUERIES, headers: {} }],
});
"""
START_GRAPHIQL = """const root = ReactDOM.createRoot(document.getElementById("root"));
const url = new URL("/graphql", window.location.href).href;
const fetcher = GraphiQL.createFetcher({ url, subscriptionUrl: url.replace(/^http/, "ws") });
root.render(
  React.createElement(GraphiQL, {
    fetcher,
    defaultQuery: FIRST_QUERIES,
    defaultEditorToolsVisibility: "headers",
    shouldPersistHeaders: false,
  }),
);
"""


@dataclass(frozen=True)
class Explorer:
    """A page, the files it is made of, and what starts it."""

    name: str
    title: str
    styles: tuple[str, ...]
    scripts: tuple[str, ...]
    start: str
    web_dir: Path

    @property
    def _folder(self) -> Path:
        return self.web_dir / self.name

    async def page(self, _request: Request) -> Response:
        """The page."""
        if not all((self._folder / name).is_file() for name in (*self.styles, *self.scripts)):
            return PlainTextResponse(MISSING, 503)
        links = (f'<link rel="stylesheet" href="{self._url(name)}">' for name in self.styles)
        scripts = (f'<script src="{self._url(name)}"></script>' for name in self.scripts)
        page = PAGE.format(
            title=self.title, links="\n".join(links), scripts="\n".join(scripts), start=self._url("start")
        )
        return _governed(Response(page, media_type="text/html"))

    async def file(self, request: Request) -> Response:
        """A file of the page; 404 for any other name."""
        name = request.path_params["name"]
        if name == "start.js":
            return _governed(Response(self.start, media_type="text/javascript"))
        if name == "start.css":
            return _governed(Response(STYLE, media_type="text/css"))
        path = self._folder / name
        if name not in (*self.styles, *self.scripts) or not path.is_file():
            return PlainTextResponse("There is no such file\n", 404)
        media_type = mimetypes.guess_type(name)[0]
        return _governed(FileResponse(path, media_type=media_type, headers={"Cache-Control": "public, max-age=3600"}))

    def _url(self, name: str) -> str:
        return f"/explorers/{self.name}/{name}"


def playground(web_dir: Path) -> Explorer:
    """GraphQL Playground."""
    start = _with_queries(START_PLAYGROUND)
    return Explorer("playground", "Lakeport Playground", ("index.css",), ("middleware.js",), start, web_dir)


def graphiql(web_dir: Path) -> Explorer:
    """GraphiQL."""
    scripts = ("react.production.min.js", "react-dom.production.min.js", "graphiql.min.js")
    start = _with_queries(START_GRAPHIQL)
    return Explorer("graphiql", "Lakeport GraphiQL", ("graphiql.min.css",), scripts, start, web_dir)


def wants_page(request: Request) -> bool:
    """Whether a browser opened the endpoint, rather than a client asking it something."""
    accepts_html = any("text/html" in line for line in request.headers.getlist("accept"))
    return request.method in ("GET", "HEAD") and accepts_html and "query" not in request.query_params


def _with_queries(start: str) -> str:
    return f"const FIRST_QUERIES = `{FIRST_QUERIES}`;\n{start}"


def _governed(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = CONTENT_POLICY
    return response
