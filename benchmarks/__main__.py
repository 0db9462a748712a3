"""`python -m benchmarks [NAME …]`: measures, prints Markdown; all without a name (`--help` lists them)."""

import argparse
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks import batch, execution, governance, graphql
from benchmarks.gateway import comparison as gateway
from benchmarks.gateway import memory
from benchmarks.lake import comparison
from benchmarks.report import Report
from benchmarks.sync import comparison as sync
from benchmarks.sync import kafka, replaying

BENCHMARKS: dict[str, Callable[[Path], Report]] = {
    "governance": governance.run,
    "graphql": graphql.run,
    "execution": execution.run,
    "batch": batch.run,
    "lake": comparison.run,
    "gateway": gateway.run,
    "sync": sync.measure,
    "replay": replaying.run,
    "kafka": kafka.measure,
}


def main() -> int:
    """Run what is asked for. The exit code is 1 where a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--folder", type=Path, help="where the databases lie: on the disk to measure")
    parser.add_argument("--rows", type=int, default=comparison.ROWS, help="rows of the lake; fewer for a quick look")
    parser.add_argument("--articles", type=int, default=sync.ROWS, help="articles to sync; fewer for a quick look")
    parser.add_argument("--full", action="store_true", help=f"{memory.FULL:,} requests for the memory")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}")
    memory_requests = memory.FULL if given.full else memory.SAMPLED
    benchmarks = BENCHMARKS | {
        "lake": partial(comparison.run, row_count=given.rows),
        "gateway": partial(gateway.run, memory_requests=memory_requests),
        "sync": partial(sync.measure, rows=given.articles),
    }
    is_met = True
    for name in given.names or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="lakeport-", dir=given.folder) as folder:
            report = benchmarks[name](Path(folder))
        print(f"\n{report.text()}", flush=True)
        is_met = is_met and all(finding.is_met for finding in report.findings)
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
