"""The last words of a start: what a person does next."""

from launcher import web_assets
from launcher.installation import Installation
from launcher.monitoring import url as prometheus_url

PLACEHOLDER = "the password of admin"
FIRST_CALL = """\
  PASSWORD='{password}'
  TOKEN=$(curl -s {core}/auth/token -H 'Content-Type: application/json' \\
    -d "{{\\"username\\": \\"admin\\", \\"password\\": \\"$PASSWORD\\"}}" \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')
  curl -s "{core}/articles?select=id,title&limit=3" -H "Authorization: Bearer $TOKEN"
  curl -s "{core}/data/datasets" -H "Authorization: Bearer $TOKEN"
"""
FIRST_QUERY = """\
  mutation {{ login(username: "admin", password: "{password}") {{ success errors accessToken }} }}

  then {{"Authorization": "Bearer <accessToken>"}} under HTTP HEADERS, and

  {{ getArticles(limit: 3) {{ success errors articles {{ id title author {{ username }} }} }} }}
"""


def greet(installation: Installation, password: str | None, *, has_prometheus: bool, is_plain: bool) -> str:
    """The text; `password` is the administrator's if it was made in this start."""
    bold, end = ("", "") if is_plain else ("\033[1m", "\033[0m")
    core, gateway = installation.core_url, installation.gateway_url
    shown = password or PLACEHOLDER
    parts = [
        f"{bold}Lakeport is running.{end} Ctrl-C stops it; ./start.sh starts it again with all its data.",
        _table(_addresses(installation, has_prometheus=has_prometheus)),
        _table(_login(password)),
        f"{bold}A first REST call{end}, in another terminal:",
        FIRST_CALL.format(password=shown, core=core),
        f"{bold}A first GraphQL query{end}, in the Playground at {gateway}/graphql:",
        FIRST_QUERY.format(password=shown),
    ]
    return "\n\n".join(part.rstrip("\n") for part in ["", *parts]) + "\n"


def _addresses(installation: Installation, *, has_prometheus: bool) -> list[tuple[str, str]]:
    core, gateway = installation.core_url, installation.gateway_url
    pages = [
        ("GraphQL Playground", f"{gateway}/graphql"),
        ("GraphiQL", f"{gateway}/graphiql"),
        ("REST documentation", f"{core}/docs"),
    ]
    missing = [("Explorers", "their files are missing; run ./start.sh again when the network is there")]
    rows = pages if web_assets.is_complete(installation.web_dir) else missing
    if installation.reach != installation.address:
        rows = [*rows, ("From elsewhere", "the same ports at this machine's address; put HTTPS in front")]
    rows = [*rows, ("Metrics", f"{core}/metrics   {gateway}/metrics")]
    if has_prometheus:
        rows.append(("Prometheus", prometheus_url(installation.prometheus_port)))
    return [*rows, ("Logs", str(installation.logs_dir))]


def _login(password: str | None) -> list[tuple[str, str]]:
    if password:
        return [("User name", "admin"), ("Password", f"{password}   (shown this once: keep it)")]
    return [("User name", "admin"), ("Password", "as shown at the first start, or as you gave it")]


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"  {name:<20}{value}" for name, value in rows)
