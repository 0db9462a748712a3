"""Whether the gateway's memory grows with the requests that it answers."""

from collections.abc import Sequence
from pathlib import Path

import orjson
import uvloop

from benchmarks.gateway.load import Target, prepared, run
from benchmarks.gateway.upstreams import Upstream
from benchmarks.lake.memory import Memory
from benchmarks.report import Finding
from tests import live

FULL, SAMPLED = 1_000_000, 40_000
WARM_UP = 20_000
SAMPLES = 10
TARGET_MIB = 5 * 1_000_000 / (1 << 20)
# More names and documents than a gateway could keep: what it remembers of them must be bounded.
OPERATIONS = 1_000


def measure(upstream: Upstream, tokens: Sequence[str], folder: Path, count: int) -> Finding:
    """Send so many requests to a gateway that has answered some already, and look at its memory meanwhile."""
    with live.gateway(upstream.url, folder / "memory") as gateway:
        target = _target(gateway, upstream, tokens)
        sizes = [_mib_after(target, gateway.process.pid, WARM_UP)]
        sizes += [_mib_after(target, gateway.process.pid, count // SAMPLES) for _ in range(SAMPLES)]
    grown = sizes[-1] - sizes[0]
    what = f"memory over {count:,} requests, after {WARM_UP:,} to warm up"
    found = f"{grown:+.1f} MiB: {', '.join(f'{size:.1f}' for size in sizes)}"
    return Finding(what, found, "below 5 MB more", grown < TARGET_MIB)


def _mib_after(target: Target, pid: int, count: int) -> float:
    uvloop.run(run(target, target.first(count)))
    return Memory.of(pid).now


def _target(gateway: live.Live, upstream: Upstream, tokens: Sequence[str]) -> Target:
    url = f"{gateway.url}/graphql"
    requests = [prepared(url, _body(number), tokens[number % len(tokens)]) for number in range(OPERATIONS)]
    status, expected, _ = live.call("POST", url, _body(0), {"Authorization": f"Bearer {tokens[0]}"})
    assert status == 200, expected
    assert '"author_' in expected, expected
    return Target(url, requests, expected.encode(), gateway.process.pid, upstream.pid)


def _body(number: int) -> bytes:
    fields = "article { id title author { id username } }"
    return orjson.dumps({"query": f"query Read{number} {{ getArticle(id: 1) {{ {fields} }} }}"})
