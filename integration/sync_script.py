"""`python -m integration.sync_script`: bring what changed in base A to the core, as docs/INTEGRATION.md promises."""

import sys
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click

from integration.batches import Deliver, apply
from integration.command_line import Ends, ending, open_ends, shared_options, tell
from integration.comparison import Comparison
from integration.errors import DIFFERENCES_FOUND
from integration.reconcile import Reconcile, check_deletes
from integration.rows import shown
from integration.runs import leave, run, told_parked, watch
from integration.script_metrics import ScriptMetrics
from integration.sync import Sync, Tally
from integration.watermarks import State, open_state

STATE_DIR = Path("var/sync")


@click.command()
@shared_options
@click.option("--state", type=click.Path(path_type=Path), help="file of the watermark [default: var/sync/ORIGIN.db]")
@click.option("--overlap", default=300.0, show_default=True, help="seconds that are read again before the watermark")
@click.option("--from-start", is_flag=True, help="forget the watermark and read everything")
@click.option("--watch", "pause", type=float, metavar="SECONDS", help="go on, with such a pause between two runs")
@click.option("--dry-run", "mode", flag_value="dry-run", help="say what a run would do to each row, and do nothing")
@click.option("--verify", "mode", flag_value="verify", help="compare everything and list what differs")
@click.option("--fix", "mode", flag_value="fix", help="compare everything and make the core like base A")
@click.option("--metrics-file", type=click.Path(path_type=Path), help="file for the node exporter's textfile collector")
@click.option("--delete-most", is_flag=True, help="let --fix delete more than half of what the core has")
def main(
    *,
    mode: str | None,
    state: Path | None,
    overlap: float,
    from_start: bool,
    pause: float | None,
    delete_most: bool,
    metrics_file: Path | None,
    **ends: Any,
) -> None:
    """Bring what changed in base A to the core.

    Credentials come from the environment; at a terminal they are asked for.
    """
    if mode is not None and (from_start or pause is not None):
        raise click.UsageError(f"--from-start and --watch do not go with --{mode}")
    with ending("sync"), open_ends(**ends) as opened, ExitStack() as stack:
        metrics = ScriptMetrics(opened.origin)
        stack.callback(leave, metrics, metrics_file)
        if mode == "verify":
            sys.exit(_verify(opened, metrics))
        with open_state(state or STATE_DIR / f"{opened.origin}.db") as kept:
            if from_start:
                kept.forget()
            kept.check(**opened.facts)
            deliver, reach = partial(apply, opened.core), timedelta(seconds=overlap)
            sync = Sync(opened.source, deliver, kept, opened.origin, reach, metrics)
            if mode == "dry-run":
                sys.exit(_rehearse(sync, partial(apply, opened.core, is_rehearsal=True)))
            kept.bind(**opened.facts)
            if mode == "fix":
                sys.exit(_fix(opened, kept, metrics, may_delete_most=delete_most))
            sys.exit(run(sync) if pause is None else watch(sync, pause, metrics_file))


def _rehearse(sync: Sync, judge: Deliver) -> int:
    tally = Tally()
    for row, verdict in sync.rehearse(sync.plan(), judge):
        outcome = verdict.outcome or "parked"
        tally.outcomes[outcome] += 1
        if outcome != "unchanged":
            click.echo(f"{outcome} {shown(row.external_id)}" + (f": {verdict.detail}" if verdict.detail else ""))
    click.echo(f"{sync.origin}: {tally.text()}; nothing was changed")
    return 0


def _verify(ends: Ends, metrics: ScriptMetrics) -> int:
    comparison = Comparison(ends.core, ends.source, ends.origin)
    found = list(comparison.differences())
    for difference in found:
        tell(difference)
    metrics.compared(found)
    click.echo(f"{ends.origin}: {comparison.text()}, {len(found):,} differences")
    return DIFFERENCES_FOUND if found else 0


def _fix(ends: Ends, state: State, metrics: ScriptMetrics, *, may_delete_most: bool) -> int:
    comparison = Comparison(ends.core, ends.source, ends.origin)
    differences = list(comparison.differences())
    metrics.compared(differences)
    if not may_delete_most:
        check_deletes(differences, comparison.counts["core"])
    for difference in differences:
        tell(difference)
    tally = Reconcile(ends.source, ends.core, state, ends.origin).fix(differences)
    click.echo(f"{ends.origin}: {comparison.text()}, {len(differences):,} differences; {tally.text()}")
    return told_parked(state)


if __name__ == "__main__":
    main(prog_name="lakeport-sync")
