"""`python -m integration.diff`: where base A and the core differ, with `--database` also base A and its tables."""

import sys
from typing import Any

import click

from integration.command_line import Ends, ending, open_ends, secret_url, shared_options, tell
from integration.comparison import Comparison
from integration.errors import DIFFERENCES_FOUND
from integration.tables import table_differences

DATABASE = "LAKEPORT_DATABASE"


@click.command()
@shared_options
@click.option("--database", help="URL of the core's own database without a password: look at its tables too")
@click.option("--tables", is_flag=True, help=f"look at the tables of {DATABASE}, a URL in the environment, too")
def main(database: str | None, tables: bool, **ends: Any) -> None:  # noqa: FBT001  (what click gives)
    """Compare base A with the core. The exit code is 4 where they differ."""
    with ending("diff"), open_ends(**ends) as opened:
        found = _with_the_core(opened)
        if database or tables:
            found += _with_the_tables(opened, secret_url(database, DATABASE, "--database"))
        sys.exit(DIFFERENCES_FOUND if found else 0)


def _with_the_core(ends: Ends) -> int:
    comparison = Comparison(ends.core, ends.source, ends.origin)
    found = list(comparison.differences())
    for difference in found:
        tell(difference)
    click.echo(f"{ends.origin}, by the core's digests: {comparison.text()}, {len(found):,} differences")
    return len(found)


def _with_the_tables(ends: Ends, url: str) -> int:
    found = list(table_differences(ends.source, url, ends.origin))
    for difference in found:
        tell(difference)
    click.echo(f"{ends.origin}, by the core's tables: {len(found):,} differences")
    return len(found)


if __name__ == "__main__":
    main()
