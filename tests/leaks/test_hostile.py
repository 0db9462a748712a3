"""A hundred hostile queries at once over a real server: it stays alive for everybody else, and no worker dies."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.live import ROOT, LiveCore, core

ROWS = 2_000_000
QUERIES = 100
PROBE_SECONDS = 0.1
"""What a probe may take beside what the machine adds, which other work may keep busy."""
JUDGED = 1 if os.environ.get("LAKEPORT_FULL") == "1" else 0.99
"""Which part of the probes must be that quick: all of them on a machine that does nothing else."""
ROWS_URL = "/data/datasets/big/rows"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCore]:
    """A core of one worker over a file of two million rows."""
    folder: Path = tmp_path_factory.mktemp("attacked")
    (folder / "lake" / "big").mkdir(parents=True)
    numbers = pa.array(range(ROWS))
    shuffled = pc.bit_wise_and(pc.multiply(numbers, 2_654_435_761), 2**31 - 1)
    texts = pc.binary_join_element_wise(shuffled.cast(pa.string()), pc.multiply(shuffled, 7).cast(pa.string()), "-")
    table = pa.table({"id": numbers, "a": shuffled, "b": texts, "c": pc.divide(shuffled.cast(pa.float64()), 3.0)})
    pq.write_table(table, folder / "lake" / "big" / "part.parquet")
    with core(folder, QUERY_SECONDS="5") as live:
        yield live


def hostile(number: int) -> tuple[str, str, Any]:
    """One of the queries that cost most."""
    wild = "*".join("%_" for _ in range(200))
    many = ",".join(str(each * 7) for each in range(1_000))
    kinds: tuple[tuple[str, str, Any], ...] = (
        ("GET", f"{ROWS_URL}?a=in.({many})&count=exact", None),
        ("GET", f"{ROWS_URL}?b=like.{quote(wild)}&count=exact", None),
        ("GET", f"{ROWS_URL}?b=ilike.{quote('*9*8*7*6*5*4*3*2*1*')}&order=b.desc,c,a", None),
        ("GET", f"{ROWS_URL}?limit_per=a&limit=10&order=b.desc", None),
        ("GET", f"{ROWS_URL}?order=b,c.desc,a,id&page=10000", None),
        ("POST", "/data/datasets/big/query", {"where": {"or": [{"b": {"like": f"*{each}*"}} for each in range(100)]}}),
        ("POST", "/data/datasets/big/query", {"limit_per": "b", "count": "exact", "order": [{"column": "c"}]}),
        ("GET", f"{ROWS_URL}?{'&'.join(f'b=not.like.*{each}x*' for each in range(90))}&order=c", None),
    )
    return kinds[number % len(kinds)]


@dataclass(frozen=True)
class Probes:
    """How many seconds each answer took, in ascending order."""

    seconds: list[float]

    def share(self, part: float) -> float:
        """What a part of the answers took at most."""
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * part))]

    def __str__(self) -> str:
        p50, p99, worst = (round(self.share(part) * 1_000, 1) for part in (0.5, 0.99, 1))
        return f"p50 {p50} ms, p99 {p99} ms, worst {worst} ms"


@contextmanager
def probed(live: LiveCore) -> Iterator[list[Probes]]:
    """What `/health/live` took, and a bare server beside it, asked in turn from another process; known at the end."""
    found: list[Probes] = []
    with _bare_server() as port:
        command = [sys.executable, "-m", "tests.leaks.probes", str(urlsplit(live.url).port), port]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                yield found
            finally:
                told, _ = process.communicate(b"enough")
    assert process.returncode == 0
    found += [Probes(sorted(seconds)) for seconds in json.loads(told)]


@contextmanager
def _bare_server() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.leaks.bare_server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the server's workers are told apart on Linux only")
def test_a_hundred_hostile_queries_leave_the_server_alive(attacked: LiveCore) -> None:
    token = attacked.log_in("admin", attacked.admin_password)
    workers = _children(attacked)
    with probed(attacked) as found, ThreadPoolExecutor(QUERIES) as pool:
        statuses = Counter(pool.map(lambda number: _status(attacked, token, number), range(QUERIES)))
    health, bare = found
    told = f"{dict(statuses)}; /health/live {health}, {len(health.seconds)} probes; a bare server {bare}"
    print(f"{told}; load {os.getloadavg()[0]:.1f}")  # noqa: T201
    assert health.share(JUDGED) < PROBE_SECONDS + bare.share(1), told
    assert _children(attacked) == workers
    assert attacked.call("GET", f"{ROWS_URL}?limit=1", token=token)[0] == 200


def _status(live: LiveCore, token: str, number: int) -> int:
    method, path, body = hostile(number)
    status, answer = live.call(method, path, body, token)
    assert status in (200, 503, 504), (number % 8, status, answer)
    return status


def _children(live: LiveCore) -> list[str]:
    """The processes of the server that answer."""
    task = Path(f"/proc/{live.process.pid}/task/{live.process.pid}/children").read_text()
    return re.findall("[0-9]+", task)
