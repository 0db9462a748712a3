"""A closed-loop load that costs little: each of some connections sends its next request as soon as it is answered."""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice, takewhile
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from benchmarks.lake.memory import children

CONNECTIONS = 8
SLICES = 4
SLICE_SECONDS = 2.0
WARM_UP_CALLS = 400
HEAD_END = b"\r\n\r\n"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Target:
    """What is loaded: prepared requests in turn, all of which must be answered by `expected`, byte for byte.

    `pid` is the first process of the gateway, `upstream_pid` that of what it calls.
    """

    url: str
    requests: Sequence[bytes]
    expected: bytes
    pid: int
    upstream_pid: int

    def first(self, count: int) -> Iterator[bytes]:
        """So many requests."""
        return islice(cycle(self.requests), count)

    def during(self, seconds: float) -> Iterator[bytes]:
        """Requests until some seconds from now."""
        until = time.perf_counter() + seconds
        return takewhile(lambda _: time.perf_counter() < until, cycle(self.requests))


@dataclass(frozen=True)
class Load:
    """What the connections saw: seconds of each call; all the time; CPU seconds of gateway and upstream meanwhile."""

    calls: tuple[float, ...] = ()
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    upstream_cpu_seconds: float = 0.0

    @property
    def p50(self) -> float:
        """Milliseconds of half of the calls, at most."""
        return statistics.median(self.calls) * 1_000

    @property
    def p95(self) -> float:
        """Milliseconds of 95 of 100 calls, at most."""
        return sorted(self.calls)[min(len(self.calls) - 1, round(len(self.calls) * 0.95))] * 1_000

    @property
    def per_second(self) -> float:
        """Calls answered in a second."""
        return len(self.calls) / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of the gateway's CPU a call."""
        return self.cpu_seconds / len(self.calls) * 1_000

    @property
    def upstream_share(self) -> float:
        """How much of one core the upstream used."""
        return self.upstream_cpu_seconds / self.seconds

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.calls + other.calls,
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            self.upstream_cpu_seconds + other.upstream_cpu_seconds,
        )


def prepared(url: str, body: bytes, token: str) -> bytes:
    """A GraphQL request of a token's bearer, as it goes over the wire."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        "Accept: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(head).encode() + HEAD_END + body


async def interleaved(targets: Mapping[str, Target]) -> dict[str, Load]:
    """Load each of the targets, their turns alternating in slices, each going first as often as the others."""
    for target in targets.values():
        await run(target, target.first(max(WARM_UP_CALLS, len(target.requests))))
    loads = dict.fromkeys(targets, Load())
    names = list(targets)
    for turn in range(SLICES):
        for place in range(len(names)):
            name = names[(place + turn) % len(names)]
            loads[name] += await run(targets[name], targets[name].during(SLICE_SECONDS))
    return loads


async def run(target: Target, requests: Iterator[bytes]) -> Load:
    """Send all the requests to a target. Raises RuntimeError for an answer that is not the expected one."""
    before = cpu_seconds(target.pid), cpu_seconds(target.upstream_pid)
    started = time.perf_counter()
    calls = await asyncio.gather(*(_client(target, requests) for _ in range(CONNECTIONS)))
    elapsed = time.perf_counter() - started
    used = cpu_seconds(target.pid) - before[0], cpu_seconds(target.upstream_pid) - before[1]
    return Load(tuple(each for one in calls for each in one), elapsed, *used)


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process and all below it have used."""
    return sum(_cpu_seconds(each) for each in (pid, *children(pid)))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def _client(target: Target, requests: Iterator[bytes]) -> list[float]:
    parts = urlsplit(target.url)
    assert parts.hostname
    loop = asyncio.get_running_loop()
    connection = _Connection(requests, target.expected, loop.create_future())
    transport, _ = await loop.create_connection(lambda: connection, parts.hostname, parts.port or 80)
    try:
        await connection.done
    finally:
        transport.close()
    return connection.calls


@dataclass
class _Connection(asyncio.Protocol):
    """Sends request after request while there are any, and compares what comes back."""

    requests: Iterator[bytes]
    expected: bytes
    done: asyncio.Future[None]
    calls: list[float] = field(default_factory=list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(HEAD_END)
        if not found or len(body) < content_length(head):
            return
        self.calls.append(time.perf_counter() - self._sent_at)
        if body == self.expected:
            self._send()
        else:
            self._end(RuntimeError(f"not the expected answer: {head.splitlines()[0]!r} {body[:300]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(RuntimeError(f"the connection was closed: {exc}"))

    def _send(self) -> None:
        request = next(self.requests, None)
        if request is None:
            self._end(None)
            return
        self._received = b""
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def _end(self, failure: Exception | None) -> None:
        if self.done.done():
            return
        if failure:
            self.done.set_exception(failure)
        else:
            self.done.set_result(None)


def content_length(head: bytes) -> int:
    """The length of the body that follows a head. Raises RuntimeError where it says none."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise RuntimeError(f"an answer without Content-Length: {head!r}")
