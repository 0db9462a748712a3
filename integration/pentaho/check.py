"""`python -m integration.pentaho.check FILE…`: what is wrong with transformations and jobs, as PDI would read them."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import click

from integration.pentaho.documents import Document, Unreadable, read
from integration.pentaho.findings import Finding
from integration.pentaho.jobs import Started, job, properties_that_differ, set_by, started
from integration.pentaho.secrets import secrets, variables
from integration.pentaho.structure import structure
from integration.pentaho.transformations import transformation


def check(path: Path) -> list[Finding]:
    """Everything that is wrong with a file; of a job also whether its transformations fit."""
    try:
        document = read(path)
    except Unreadable as error:
        return [Finding(path.name, "", str(error))]
    return [Finding(path.name, where, sentence) for where, sentence in dict.fromkeys(_said(document))]


def _said(document: Document) -> Iterator[tuple[str, str]]:
    if not document.is_job:
        return chain(structure(document), transformation(document), secrets(document), variables(document, ()))
    begun: Started = started(document)
    return chain(
        structure(document),
        job(document, begun),
        properties_that_differ(document),
        secrets(document),
        variables(document, set_by(document, begun)),
    )


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def main(files: Sequence[Path]) -> None:
    """Say in a sentence each what is wrong with FILES, .ktr and .kjb; exit code 1 if anything is."""
    findings = [finding for path in files for finding in check(path)]
    for finding in findings:
        click.echo(finding)
    if findings:
        raise SystemExit(1)
    click.echo(f"{len(files)} files, nothing wrong")


if __name__ == "__main__":
    main()
