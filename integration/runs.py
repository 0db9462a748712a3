"""Runs as an operator sees them: a bar, a line that tells what was done, and an exit code."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click
from tqdm import tqdm

from integration.errors import ROWS_PARKED, Away
from integration.script_metrics import ScriptMetrics
from integration.sync import Sync
from integration.watermarks import State, summary


def run(sync: Sync) -> int:
    """Bring what changed since the last run."""
    plan = sync.plan()
    with tqdm(total=plan.rows, unit=" rows", disable=None, desc=sync.origin) as bar:
        tally = sync.run(plan, bar.update)
    click.echo(f"{sync.origin}: {tally.text()}")
    return told_parked(sync.state)


def watch(sync: Sync, pause_seconds: float, metrics_file: Path | None) -> NoReturn:
    """Run for ever, with such a pause between two runs; outages are outlived."""
    while True:
        with _outliving_outages():
            run(sync)
        leave(sync.metrics, metrics_file)
        time.sleep(pause_seconds)


def leave(metrics: ScriptMetrics, path: Path | None) -> None:
    """Leave metrics in a file, if there shall be one. What was synced is synced without it, so a line tells of it."""
    try:
        metrics.write(path)
    except OSError as error:
        click.echo(f"sync: the metrics file {path} cannot be written: {error.strerror}", err=True)


@contextmanager
def _outliving_outages() -> Iterator[None]:
    try:
        yield
    except Away as away:
        click.echo(f"sync: {away}; it is tried again", err=True)


def told_parked(state: State) -> int:
    """Tell of parked rows; the exit code says whether there are any."""
    parked = state.parked()
    if not parked:
        return 0
    click.echo(f"{len(parked):,} rows are parked, the others are in step:\n{summary(parked)}", err=True)
    return ROWS_PARKED
