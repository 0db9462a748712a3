"""`python -m integration.sync_script`: bring what changed in base A to the core, as docs/INTEGRATION.md promises."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from tqdm import tqdm

from integration.core_client import CoreClient, Credentials
from integration.errors import ROWS_PARKED, Misconfigured, Stop
from integration.mapping import read_mapping
from integration.sources import NO_URL, open_source
from integration.sync import Sync, Tally
from integration.watermarks import open_state, summary

SOURCE = "LAKEPORT_SOURCE"
STATE_DIR = Path("var/sync")


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    source: str
    target: str
    origin: str
    mapping: Path | None
    state: Path
    overlap: timedelta
    patience_seconds: float
    is_from_start: bool


@click.command()
@click.option("--source", help=f"URL of base A without a password; with one, put it into {SOURCE}")
@click.option("--target", default="http://127.0.0.1:5000", show_default=True, help="URL of the core")
@click.option("--origin", help="name of base A in the core; its database's name, unless given")
@click.option("--mapping", type=click.Path(path_type=Path), help="TOML file with base A's tables and columns")
@click.option("--state", type=click.Path(path_type=Path), help="file of the watermark [default: var/sync/ORIGIN.db]")
@click.option("--overlap", default=300.0, show_default=True, help="seconds that are read again before the watermark")
@click.option("--patience", default=300.0, show_default=True, help="seconds to wait for a core that is away")
@click.option("--from-start", is_flag=True, help="forget the watermark and read everything")
@click.option("--watch", type=float, metavar="SECONDS", help="go on, with such a pause between two runs")
@click.option("--dry-run", is_flag=True, help="say what a run would do to each row, and do nothing")
def main(watch: float | None, dry_run: bool, **given: object) -> None:  # noqa: FBT001  (what click gives)
    """Bring what changed in base A to the core. Credentials come from the environment."""
    with ending():
        options = _options(**given)  # type: ignore[arg-type]
        with _opened(options) as sync:
            if dry_run:
                sys.exit(_rehearse(sync))
            code = _run(sync)
            while watch is not None:
                time.sleep(watch)
                code = _run(sync)
            sys.exit(code)


@contextmanager
def ending() -> Iterator[None]:
    """End with the exit code of what stops the work, after one sentence that says it."""
    try:
        yield
    except Stop as stop:
        click.echo(f"sync: {stop}", err=True)
        sys.exit(stop.exit_code)
    except KeyboardInterrupt:
        click.echo("sync: interrupted; the next run goes on from here", err=True)
        sys.exit(130)


def source_url(given: str | None) -> str:
    """The URL of base A. Raises Misconfigured where it would show a password to all on this machine."""
    if not given:
        if not os.environ.get(SOURCE):
            raise Misconfigured(f"Name base A by --source URL, or by {SOURCE} in the environment")
        return os.environ[SOURCE]
    try:
        has_password = make_url(given).password is not None
    except (ArgumentError, ValueError) as error:
        raise Misconfigured(NO_URL) from error
    if has_password:
        raise Misconfigured(f"Everybody on this machine sees a password in --source: put the URL into {SOURCE}")
    return given


def _options(
    *,
    source: str | None,
    target: str,
    origin: str | None,
    mapping: Path | None,
    state: Path | None,
    overlap: float,
    patience: float,
    from_start: bool,
) -> Options:
    url = source_url(source)
    named = origin or _database_name(url)
    where = state or STATE_DIR / f"{named}.db"
    return Options(url, target, named, mapping, where, timedelta(seconds=overlap), patience, from_start)


def _database_name(url: str) -> str:
    name = Path(make_url(url).database or "").stem
    if not 1 <= len(name) <= 64:
        raise Misconfigured(
            "The source has no name that could be the origin; give one of 1 to 64 characters as --origin"
        )
    return name


@contextmanager
def _opened(options: Options) -> Iterator[Sync]:
    credentials = Credentials.from_environment(os.environ)
    with (
        closing(CoreClient(options.target, credentials, options.patience_seconds)) as core,
        open_source(options.source, read_mapping(options.mapping)) as source,
        open_state(options.state) as state,
    ):
        if options.is_from_start:
            state.forget()
        state.belongs_to(source=source.name, target=core.url, origin=options.origin)
        yield Sync(source, core, state, options.origin, options.overlap)


def _run(sync: Sync) -> int:
    plan = sync.plan()
    with tqdm(total=plan.rows, unit=" rows", disable=None, desc=sync.origin) as bar:
        tally = sync.run(plan, bar.update)
    return _told(sync, tally)


def _told(sync: Sync, tally: Tally) -> int:
    parked = sync.state.parked()
    click.echo(f"{sync.origin}: {tally.text()}")
    if not parked:
        return 0
    click.echo(f"{len(parked):,} rows are parked, the others are in step:\n{summary(parked)}", err=True)
    return ROWS_PARKED


def _rehearse(sync: Sync) -> int:
    tally = Tally()
    for row, verdict in sync.rehearse(sync.plan()):
        outcome = verdict.outcome or "parked"
        tally.outcomes[outcome] += 1
        if outcome != "unchanged":
            click.echo(f"{outcome} {row.external_id}" + (f": {verdict.detail}" if verdict.detail else ""))
    click.echo(f"{sync.origin}: {tally.text()}; nothing was changed")
    return 0


if __name__ == "__main__":
    main()
