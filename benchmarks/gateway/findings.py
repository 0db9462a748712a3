"""What the loads come to beside their targets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.gateway.gateways import HIVE, OURS, PLAIN, TAILCALL
from benchmarks.gateway.load import CONNECTIONS, Load
from benchmarks.report import Finding

DISTINCT, IDENTICAL = "distinct users", "one caller, identical requests"
COLUMNS = (
    f"requests, {CONNECTIONS} connections",
    "upstream",
    "gateway",
    "a second",
    "p50 ms",
    "p95 ms",
    "CPU ms a request",
    "upstream calls a request",
    "CPUs used by the upstream",
)
# How many times as fast as these.
FASTER = ((DISTINCT, HIVE, 2.0), (DISTINCT, PLAIN, 3.0), (IDENTICAL, TAILCALL, 1.0))


@dataclass(frozen=True)
class Measured:
    """What a gateway did over an upstream; `upstream_calls` are those of one request, None where nobody counted."""

    work: str
    upstream: str
    gateway: str
    load: Load
    upstream_calls: int | None


def row(measured: Measured) -> tuple[str, ...]:
    """A row of the table."""
    load = measured.load
    figures = (f"{load.per_second:.0f}", f"{load.p50:.2f}", f"{load.p95:.2f}", f"{load.cpu_ms:.2f}")
    calls = "" if measured.upstream_calls is None else str(measured.upstream_calls)
    named = (measured.work, measured.upstream, measured.gateway)
    return *named, *figures, calls, f"{load.upstream_share:.2f}"


def findings(measured: Sequence[Measured]) -> Iterator[Finding]:
    """Ours beside each peer over each upstream: by requests a second, and by the gateway's own CPU."""
    loads = {(each.upstream, each.work, each.gateway): each.load for each in measured}
    for upstream in dict.fromkeys(each.upstream for each in measured):
        for work, peer, target in FASTER:
            ours, theirs = loads[upstream, work, OURS], loads[upstream, work, peer]
            what = f"{work}, over {upstream}: beside {peer}"
            yield _ratio(what, ours.per_second / theirs.per_second, "times as many a second", target)
            yield _ratio(f"{what}, by CPU", theirs.cpu_ms / ours.cpu_ms, "times as many a CPU second", target)


def _ratio(what: str, ratio: float, unit: str, target: float) -> Finding:
    return Finding(what, f"{ratio:.2f} {unit}", f"at least {target:g}", ratio >= target)
