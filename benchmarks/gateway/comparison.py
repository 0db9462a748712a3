"""How fast the gateway answers, beside other GraphQL gateways over the same core."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import uvloop

from benchmarks.gateway import data, findings, memory, peers, subscribers, upstream_calls, upstreams
from benchmarks.gateway.findings import DISTINCT, IDENTICAL, Measured
from benchmarks.gateway.gateways import OURS, Gateway, Row
from benchmarks.gateway.load import Target, interleaved
from benchmarks.gateway.upstreams import Recorder, Upstream
from benchmarks.report import Report
from tests import live

Start = Callable[[str, Path], AbstractContextManager[Gateway]]


def run(folder: Path, memory_requests: int = memory.SAMPLED) -> Report:
    """Measure it over a core in `folder`; the memory is looked at over so many requests."""
    starts = _starts(peers.install())
    authors = [data.ARTICLES // data.AUTHORS] * data.AUTHORS
    with (
        data.core(folder / "core", authors, data.READERS) as readers,
        upstreams.recorder(readers.core.url, folder) as recorder,
    ):
        core = Upstream(upstreams.CORE, readers.core.url, readers.core.process.pid)
        measured = [*_over(core, starts, readers.tokens, folder), *_over(recorder, starts, readers.tokens, folder)]
        joins = upstream_calls.measure(recorder, readers.tokens[0], folder)
        fed = subscribers.measure(recorder, readers.core, readers.tokens, folder)
        growth = memory.measure(recorder, readers.tokens, folder, memory_requests)
    return Report(
        f"Gateway: {data.ARTICLES} articles, each joined to one of {data.AUTHORS} authors",
        findings.COLUMNS,
        [findings.row(each) for each in measured],
        [*findings.findings(measured), *joins, fed, growth],
    )


def check(rows: Mapping[str, Sequence[Row]]) -> None:
    """Raise AssertionError where the gateways answer with other rows than ours, or not with all articles."""
    expected = rows[OURS]
    authors = {row["author"]["username"] for row in expected}
    assert len(expected) == data.ARTICLES, f"{len(expected)} articles"
    assert len(authors) == data.AUTHORS, f"{len(authors)} authors"
    for name, found in rows.items():
        assert found == expected, f"{name} answers {found[:2]}, not {expected[:2]}"


def _over(upstream: Upstream, starts: Sequence[Start], tokens: Sequence[str], folder: Path) -> Iterator[Measured]:
    """All gateways before an upstream, asked by many users, then by one; their answers are compared before."""
    with ExitStack() as running:
        gateways = [running.enter_context(start(upstream.url, folder)) for start in starts]
        answers = {gateway.name: gateway.answer(tokens[0]) for gateway in gateways}
        check({gateway.name: gateway.rows(answers[gateway.name]) for gateway in gateways})
        calls = {gateway.name: _upstream_calls(gateway, upstream, tokens[0]) for gateway in gateways}
        for work, callers in ((DISTINCT, tokens), (IDENTICAL, tokens[:1])):
            targets = {each.name: _target(each, upstream, callers, answers[each.name]) for each in gateways}
            for name, load in uvloop.run(interleaved(targets)).items():
                yield Measured(work, upstream.name, name, load, calls[name])


def _starts(programs: Path) -> list[Start]:
    return [_ours, *(partial(start, programs) for start in (peers.hive, peers.plain, peers.tailcall))]


@contextmanager
def _ours(core_url: str, folder: Path) -> Iterator[Gateway]:
    with live.gateway(core_url, folder / "gateway") as gateway:
        yield Gateway(OURS, f"{gateway.url}/graphql", gateway.process.pid)


def _upstream_calls(gateway: Gateway, upstream: Upstream, token: str) -> int | None:
    """How many calls a request leads to that was made before; None where nobody counts."""
    if not isinstance(upstream, Recorder):
        return None
    before = upstream.calls
    gateway.answer(token)
    return upstream.calls - before


def _target(gateway: Gateway, upstream: Upstream, tokens: Sequence[str], expected: bytes) -> Target:
    requests = [gateway.request(token) for token in tokens]
    return Target(gateway.url, requests, expected, gateway.pid, upstream.pid)
