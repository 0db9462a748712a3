"""The last words of a start: what a person does next."""

import sys
from pathlib import Path
from shlex import quote

from launcher import web_assets
from launcher.installation import Installation
from launcher.monitoring import url as prometheus_url
from launcher.setup import Passwords, has_demo

PLACEHOLDER, PLACEHOLDER_OF_SHOPS = "the password of admin", "the password of shops"
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

LIVE_EVENTS = """\
  cd {root}
  LAKEPORT_USERNAME=shops LAKEPORT_PASSWORD='{password}' {python} -m integration.feed --target {core}

  and what it sells shows in the figures of the last minutes, in the terminal of the first REST call:

  curl -s "{core}/analytics/spend?window=5m" -H "Authorization: Bearer $TOKEN"
"""
FIRST_SYNC = """\
  {root}/lakeport-sync --source {source} --target {core}
"""
ROOT = Path(__file__).resolve().parents[1]


def greet(installation: Installation, passwords: Passwords, *, has_prometheus: bool, is_plain: bool) -> str:
    """The text, with the passwords that were made in this start."""
    password = passwords.administrator
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
    if has_demo(installation):
        sells = passwords.shops or PLACEHOLDER_OF_SHOPS
        source = quote(f"sqlite:///{installation.data_dir / 'base_a.db'}")
        parts += [
            f"{bold}A first sync{end}, of another database's articles; it asks for name and password:",
            FIRST_SYNC.format(root=quote(str(ROOT)), source=source, core=core),
            f"{bold}Shops that sell all the time{end}, in one more terminal; Ctrl-C ends them:",
            LIVE_EVENTS.format(root=quote(str(ROOT)), python=_python(), password=sells, core=core),
        ]
    return "\n\n".join(part.rstrip("\n") for part in ["", *parts]) + "\n"


def _python() -> str:
    """How this Python is called from ROOT."""
    program = Path(sys.executable)
    return quote(str(program.relative_to(ROOT) if program.is_relative_to(ROOT) else program))


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
