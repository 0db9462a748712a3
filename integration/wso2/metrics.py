"""Metrics of the WSO2 route, as base A keeps them: `python -m integration.wso2.metrics --metrics-file FILE`."""

from pathlib import Path

import click
from sqlalchemy import text

from integration.command_line import SOURCE, ending, secret_url
from integration.databases import connect
from integration.route_metrics import RouteMetrics

ROUTE = "wso2"
STATE = "select origin, confirmed_at, (select seconds from lakeport_lag) from lakeport_route"
COUNTS = "select operation, outcome, rows from lakeport_counts"
PARKED = "select code, count(*) from lakeport_parked group by code"


def read_metrics(url: str) -> RouteMetrics:
    """What base A counted since the route was set up there. Raises Misconfigured, SourceAway."""
    with connect(url, "Base A") as connection:
        origin, confirmed_at, lag = connection.execute(text(STATE)).one()
        counts = connection.execute(text(COUNTS)).all()
        parked = connection.execute(text(PARKED)).all()
    metrics = RouteMetrics(ROUTE, origin)
    for operation, outcome, rows in counts:
        metrics.count(operation, outcome, rows)
    for code, rows in parked:
        metrics.count_letter(code, rows)
    metrics.parked(sum(rows for _, rows in parked))
    metrics.lagging(float(lag))
    metrics.succeeded(float(confirmed_at))
    return metrics


@click.command()
@click.option("--source", help=f"URL of base A without a password; with one, put it into {SOURCE}")
@click.option("--metrics-file", required=True, type=click.Path(path_type=Path), help="file for the node exporter")
def main(source: str | None, metrics_file: Path) -> None:
    """Write the route's metrics into a file for the node exporter's textfile collector."""
    with ending("metrics"):
        read_metrics(secret_url(source, SOURCE, "--source")).write(metrics_file)


if __name__ == "__main__":
    main()
