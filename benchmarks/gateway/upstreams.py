"""What the gateways call: the core, or what repeats its answers and counts the calls."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.gateway.recorder import COUNTS
from benchmarks.lake.peers import started
from tests import live

CORE, RECORDER = "the core", "its answers repeated"


@dataclass(frozen=True)
class Upstream:
    """A running upstream; `pid` is its first process."""

    name: str
    url: str
    pid: int


@dataclass(frozen=True)
class Recorder(Upstream):
    """One that repeats the core's answers."""

    @property
    def counts(self) -> Counter[str]:
        """How many calls it was asked so far, by method and path."""
        status, text, _ = live.call("GET", self.url + COUNTS)
        assert status == 200, text
        return Counter(orjson.loads(text))

    @property
    def calls(self) -> int:
        """How many there were of all kinds."""
        return self.counts.total()


@contextmanager
def recorder(core_url: str, folder: Path) -> Iterator[Recorder]:
    """A recorder before a core."""

    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.gateway.recorder", core_url, str(port)]

    with started(command, COUNTS, folder, PYTHONPATH=str(live.ROOT)) as server:
        yield Recorder(RECORDER, server.url, server.process.pid)
