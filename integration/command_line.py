"""What the commands share: their options, what comes from the environment, and how they end."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from tqdm import tqdm

from integration.comparison import Difference
from integration.core_client import CoreClient, Credentials
from integration.databases import NO_URL
from integration.errors import Misconfigured, Stop
from integration.mapping import read_mapping
from integration.rows import shown
from integration.sources import Source, open_source

SOURCE = "LAKEPORT_SOURCE"
SHARED = (
    click.option("--source", help=f"URL of base A without a password; with one, put it into {SOURCE}"),
    click.option("--target", default="http://127.0.0.1:5000", show_default=True, help="URL of the core"),
    click.option("--origin", help="name of base A in the core; its database's name, unless given"),
    click.option("--mapping", type=click.Path(path_type=Path), help="TOML file with base A's tables and columns"),
    click.option("--patience", default=300.0, show_default=True, help="seconds to wait for a core that is away"),
)
Command = Callable[..., Any]


@dataclass(frozen=True)
class Ends:
    """Base A, the core, and how the core calls base A."""

    source: Source
    core: CoreClient
    origin: str

    @property
    def facts(self) -> dict[str, str]:
        """What a state is about."""
        return {"source": self.source.name, "target": self.core.url, "origin": self.origin}


def shared_options(command: Command) -> Command:
    """Give a command the options that `open_ends` takes."""
    for option in reversed(SHARED):
        command = option(command)
    return command


@contextmanager
def open_ends(
    source: str | None, target: str, origin: str | None, mapping: Path | None, patience: float
) -> Iterator[Ends]:
    """Both ends. Raises Misconfigured, SourceAway."""
    url = secret_url(source, SOURCE, "--source")
    name = origin or database_name(url)
    credentials = Credentials.from_environment({**asked_for(os.environ), **os.environ})
    with (
        closing(CoreClient(target, credentials, patience, _say)) as core,
        open_source(url, read_mapping(mapping)) as opened,
    ):
        yield Ends(opened, core, name)


def asked_for(environ: Mapping[str, str]) -> dict[str, str]:
    """Name and password as a person at a terminal gives them, where the environment has none."""
    if environ.keys() & {"LAKEPORT_TOKEN", "LAKEPORT_USERNAME", "LAKEPORT_PASSWORD"} or not sys.stdin.isatty():
        return {}
    username = click.prompt("User name", err=True)
    return {
        "LAKEPORT_USERNAME": username,
        "LAKEPORT_PASSWORD": click.prompt("Password", hide_input=True, err=True),
    }


def secret_url(given: str | None, variable: str, option: str) -> str:
    """The URL of a database. Raises Misconfigured where it would show a password to all on this machine."""
    url = given or os.environ.get(variable)
    if not url:
        raise Misconfigured(f"Name the database by {option} URL, or by {variable} in the environment")
    try:
        has_password = make_url(url).password is not None
    except (ArgumentError, ValueError) as error:
        raise Misconfigured(NO_URL) from error
    if given and has_password:
        raise Misconfigured(f"Everybody on this machine sees a password in {option}: put the URL into {variable}")
    return url


def database_name(url: str) -> str:
    """What an origin is called unless it is said. Raises Misconfigured."""
    name = Path(make_url(url).database or "").stem
    if not 1 <= len(name) <= 64:
        raise Misconfigured("The source has no name to take for the origin; give one of 1 to 64 characters as --origin")
    return name


def _say(text: str) -> None:
    """A line beside a progress bar, if there is one."""
    tqdm.write(text, file=sys.stderr)


def tell(difference: Difference) -> None:
    """A line for a difference."""
    click.echo(f"{difference.kind} {shown(difference.external_id)}")


@contextmanager
def ending(command: str) -> Iterator[None]:
    """End with the exit code of what stops the work, after one sentence that says it."""
    try:
        yield
    except Stop as stop:
        click.echo(f"{command}: {stop}", err=True)
        sys.exit(stop.exit_code)
    except KeyboardInterrupt:
        click.echo(f"{command}: interrupted", err=True)
        sys.exit(130)
