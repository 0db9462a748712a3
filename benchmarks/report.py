"""How a benchmark tells what it found: a table, and whether each target was met."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.open_loop import Latency


@dataclass(frozen=True)
class Finding:
    """A figure beside its target."""

    what: str
    found: str
    target: str
    is_met: bool

    @property
    def verdict(self) -> str:
        """yes or no; nothing where there is no target."""
        return "" if self.target == "none" else "yes" if self.is_met else "no"


@dataclass(frozen=True)
class Report:
    """What one benchmark found."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    findings: Sequence[Finding]

    def text(self) -> str:
        """It as Markdown."""
        findings = [(each.what, each.found, each.target, each.verdict) for each in self.findings]
        return "\n\n".join(
            (
                f"## {self.title}",
                _table(self.columns, self.rows),
                _table(("asked", "found", "target", "met"), findings),
            )
        )


LATENCY_COLUMNS = ("call", "calls", "p50 ms", "p95 ms", "p99 ms", "p50 from slice to slice, ms")


def latency_row(name: str, slices: Sequence[Latency]) -> tuple[str, ...]:
    """A row of a table of latencies: medians over the slices, and the middle half of their p50."""
    low, _, high = statistics.quantiles([each.p50 for each in slices], n=4, method="inclusive")
    figures = (typical(slices, name) for name in ("p50", "p95", "p99"))
    return (
        name,
        str(sum(each.calls for each in slices)),
        *(f"{figure:.2f}" for figure in figures),
        f"{low:.2f} to {high:.2f}",
    )


def typical(slices: Sequence[Latency], percentile: str) -> float:
    """A percentile of a typical slice."""
    return float(statistics.median(getattr(each, percentile) for each in slices))


def added(with_it: Sequence[Latency], without: Sequence[Latency], percentile: str, target_ms: float) -> Finding:
    """What something adds to a percentile: the median over neighbouring slices, and the middle half of them."""
    pairs = zip(with_it, without, strict=True)
    differences = [getattr(one, percentile) - getattr(other, percentile) for one, other in pairs]
    low, median, high = statistics.quantiles(differences, n=4, method="inclusive")
    found = f"{median:+.2f} ms ({low:+.2f} to {high:+.2f})"
    return Finding(f"added at {percentile}", found, f"at most {target_ms} ms", median <= target_ms)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    lines = (columns, ["-" * width for width in widths], *rows)
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
