"""The benchmark of gateways: what it compares, what it counts and what it repeats."""

from pathlib import Path

import pytest

from benchmarks.gateway import comparison, findings, upstreams
from benchmarks.gateway.findings import DISTINCT, IDENTICAL, Measured
from benchmarks.gateway.gateways import HIVE, OURS, PLAIN, TAILCALL, Row
from benchmarks.gateway.load import Load
from tests.gateway.conftest import replying, upstream
from tests.live import call


def test_a_gateway_that_answers_otherwise_is_not_measured() -> None:
    ours, theirs = _articles(), _articles()
    comparison.check({OURS: ours, HIVE: theirs})
    theirs[99]["author"] = theirs[0]["author"]
    with pytest.raises(AssertionError, match="Hive Gateway answers"):
        comparison.check({OURS: ours, HIVE: theirs})


def test_each_peer_is_set_against_ours_over_the_same_upstream() -> None:
    found = list(findings.findings([*_measured("the core", 100, 60), *_measured("a fast one", 900, 300)]))
    verdicts = {each.what: each.verdict for each in found if "CPU" not in each.what}
    assert verdicts == {
        f"{DISTINCT}, over the core: beside {HIVE}": "no",
        f"{DISTINCT}, over the core: beside {PLAIN}": "no",
        f"{IDENTICAL}, over the core: beside {TAILCALL}": "yes",
        f"{DISTINCT}, over a fast one: beside {HIVE}": "yes",
        f"{DISTINCT}, over a fast one: beside {PLAIN}": "yes",
        f"{IDENTICAL}, over a fast one: beside {TAILCALL}": "yes",
    }


def test_an_answer_is_repeated_to_the_same_caller_only_and_every_call_is_counted(tmp_path: Path) -> None:
    with upstream() as core, upstreams.recorder(core.url, tmp_path) as recorder:
        core.replies = [replying(200, {"n": 1}), replying(200, {"n": 2})]
        given = [call("GET", f"{recorder.url}/x", headers={"Authorization": bearer})[1] for bearer in ("a", "a", "b")]
        assert given == ['{"n": 1}', '{"n": 1}', '{"n": 2}']
        assert recorder.calls == 3


def _articles() -> list[Row]:
    return [{"id": number, "author": {"id": number % 10, "username": f"author_{number % 10}"}} for number in range(100)]


def _measured(upstream: str, ours: int, theirs: int) -> list[Measured]:
    calls = {OURS: ours, HIVE: theirs, PLAIN: theirs, TAILCALL: theirs}
    return [
        Measured(work, upstream, name, Load((0.01,) * count, 1.0, 0.5, 0.5), None)
        for work in (DISTINCT, IDENTICAL)
        for name, count in calls.items()
    ]
