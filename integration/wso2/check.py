"""Check a WSO2 Micro Integrator project: `python -m integration.wso2.check FOLDER`; 1 where something is wrong."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from integration.wso2.project import Finding, Project, read_project
from integration.wso2.rules import delivery, references, shape

RULES = (*shape.RULES, *references.RULES, *delivery.RULES)


def findings(project: Project) -> Iterator[Finding]:
    """All that is wrong, file by file as rules find it."""
    yield from project.unreadable
    for rule in RULES:
        yield from rule(project)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Say in plain sentences what is wrong with the project in FOLDER."""
    try:
        project = read_project(folder)
    except FileNotFoundError as error:
        click.echo(f"check: {error}", err=True)
        sys.exit(2)
    found = list(findings(project))
    for finding in found:
        click.echo(str(finding))
    if found:
        sys.exit(1)
    click.echo(f"{len(project.artifacts)} artifacts, nothing wrong")


if __name__ == "__main__":
    main()
