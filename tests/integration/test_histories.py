"""Histories of a source whose clocks differ and whose transactions commit late: what a run may miss, and what not."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from integration.batches import apply
from integration.comparison import Comparison
from integration.core_client import CoreClient, Verdict
from integration.mapping import SourceMapping
from integration.reconcile import Reconcile
from integration.rows import MODULUS, Position, row_hash
from integration.script_metrics import ScriptMetrics
from integration.sources import Source, open_source
from integration.sync import Sync
from integration.watermarks import State, Window

OVERLAP_SECONDS = 60
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
SCHEMA = "create table articles (id integer primary key, title, content, updated_at text, row_version integer)"


@dataclass(frozen=True)
class Write:
    """A change of a key at a moment: its transaction commits later, and its clock goes wrong by some seconds."""

    at: int
    key: int
    late: int
    skew: int

    @property
    def stamp(self) -> str:
        """Its updated_at, in whole seconds so that many are equal."""
        return f"{START + timedelta(seconds=self.at + self.skew):%Y-%m-%d %H:%M:%S}"


def histories(late: int, skew: int) -> st.SearchStrategy[list[Write]]:
    """Writes within four minutes, late and skewed by at most so many seconds."""
    write = st.builds(Write, st.integers(0, 240), st.integers(0, 20), st.integers(0, late), st.integers(-skew, skew))
    return st.lists(write, min_size=5, max_size=20)


@dataclass
class Memory:
    """A core that applies operations and sums them up as the contract says, for as many histories as it takes."""

    rows: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, int]:
        """What it has of each key."""
        return {key: version for key, (version, *_) in self.rows.items()}

    def apply(self, operations: Any, *, is_rehearsal: bool = False) -> list[Verdict]:
        """Newest wins."""
        assert not is_rehearsal
        for each in map(orjson.loads, operations):
            key, given = each["external_id"], (each["external_version"], each["title"], each["content"])
            self.rows[key] = max(given, self.rows.get(key, given))
        return [Verdict("updated") for _ in operations]

    def ask(self, path: str, question: Any) -> Any:
        """The digest of ranges."""
        assert path == "/articles/digest"
        return {
            "order": "integer",
            "data": [{"parts": self._parts(each, question["parts"])} for each in question["ranges"]],
        }

    def _parts(self, asked: dict[str, str], most: int) -> list[dict[str, Any]]:
        first, last = int(asked.get("from", -(2**63))), int(asked.get("to", 2**63))
        keys = sorted(key for key in map(int, self.rows) if first <= key <= last)
        size = -(-len(keys) // most) or 1
        return [self._part(keys[start : start + size]) for start in range(0, len(keys), size)]

    def _part(self, keys: list[int]) -> dict[str, Any]:
        total = sum(row_hash(str(key), *self.rows[str(key)]) for key in keys)
        return {"from": str(keys[0]), "to": str(keys[-1]), "count": len(keys), "checksum": f"{total % MODULUS:x}"}


@dataclass(frozen=True)
class Played:
    """A history that was played to its end."""

    source: Source
    core: Memory
    state: State
    newest: dict[str, int]

    def missed(self) -> set[str]:
        """The keys of which the core lacks the newest version."""
        return {key for key, version in self.newest.items() if self.core.versions.get(key) != version}

    def reconcile(self) -> None:
        """What `--fix` does."""
        core = _as_client(self.core)
        differences = list(Comparison(core, self.source, "a").differences())
        Reconcile(self.source, core, self.state, "a").fix(differences)


@dataclass(frozen=True)
class Rig:
    """A base A whose rows appear when their transactions commit, and a sync with an overlap."""

    folder: Path

    def missed(self, writes: list[Write], runs: list[int], overlap_seconds: int) -> set[str]:
        """The keys of which the core lacks the newest version after runs at these moments, and one long after."""
        with self.played(writes, runs, overlap_seconds) as history:
            return history.missed()

    @contextmanager
    def played(self, writes: list[Write], runs: list[int], overlap_seconds: int) -> Iterator[Played]:
        """The end of a history with runs at these moments, and one long after."""
        path = self.folder / "a.db"
        for each in self.folder.glob("*"):
            each.unlink()
        base = sqlite3.connect(path, isolation_level=None)
        base.execute(SCHEMA)
        core, state = Memory(), State(self.folder / "state.db")
        with closing(base), closing(state), open_source(f"sqlite:///{path}", SourceMapping()) as source:
            deliver, overlap = partial(apply, _as_client(core)), timedelta(seconds=overlap_seconds)
            sync = Sync(source, deliver, state, "a", overlap, ScriptMetrics("a"))
            for moment, version, write in _timeline(writes, runs):
                if write is None:
                    sync.run(sync.plan(), int)
                else:
                    _commit(base, write, version, moment)
            newest = {str(key): version for key, version in base.execute("select id, row_version from articles")}
            yield Played(source, core, state, newest)


def _as_client(core: Any) -> CoreClient:
    client: CoreClient = core
    return client


def _timeline(writes: list[Write], runs: list[int]) -> Iterator[tuple[int, int, Write | None]]:
    """Commits and runs in the order of time; versions follow the commits, as a row's lock makes them."""
    commits = [(write.at + write.late, 0, write) for write in writes]
    end = max(moment for moment, *_ in commits) + 1
    events: list[tuple[int, int, Write | None]] = [*commits, *((run, 1, None) for run in [*runs, end])]
    for number, (moment, _, write) in enumerate(sorted(events, key=lambda event: event[:2])):
        yield moment, number, write


def _commit(base: sqlite3.Connection, write: Write, version: int, moment: int) -> None:
    base.execute(
        "insert or replace into articles values (?, 'T', ?, ?, ?)", (write.key, str(moment), write.stamp, version)
    )


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """One folder for all histories."""
    return Rig(tmp_path_factory.mktemp("history"))


RUNS = st.integers(15, 70).map(lambda step: list(range(step, 260, step)))
EVERY = list(HealthCheck)
EXAMPLES = 500 if os.environ.get("LAKEPORT_FULL") == "1" else 25
QUICK = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=EVERY, derandomize=True, database=None)


@pytest.mark.scenario("late_commit", "script")
@pytest.mark.scenario("clock_skew", "script")
@QUICK
@given(writes=histories(OVERLAP_SECONDS - 20, 9), runs=RUNS)
def test_nothing_is_missed_while_lateness_and_skews_stay_below_the_overlap(
    rig: Rig, writes: list[Write], runs: list[int]
) -> None:
    assert rig.missed(writes, runs, OVERLAP_SECONDS) == set()


def test_a_naive_watermark_fails_the_same_test(rig: Rig) -> None:
    @settings(QUICK, phases=[Phase.generate])
    @given(writes=histories(OVERLAP_SECONDS - 20, 9), runs=RUNS)
    def search(writes: list[Write], runs: list[int]) -> None:
        assert rig.missed(writes, runs, 0) == set()

    with pytest.raises(AssertionError):
        search()


@pytest.mark.scenario("late_beyond_overlap", "script")
@pytest.mark.scenario("clock_skew", "script")
def test_what_is_later_or_more_skewed_than_the_overlap_is_there_after_the_next_reconcile(rig: Rig) -> None:
    missed_before = set()

    @QUICK
    @given(writes=histories(4 * OVERLAP_SECONDS, 2 * OVERLAP_SECONDS), runs=RUNS)
    def search(writes: list[Write], runs: list[int]) -> None:
        with rig.played(writes, runs, OVERLAP_SECONDS) as history:
            missed_before.update(history.missed())
            history.reconcile()
            assert history.missed() == set()

    search()
    assert missed_before


def test_what_comes_later_than_the_overlap_is_missed_until_the_next_reconcile(rig: Rig) -> None:
    assert rig.missed([Write(0, 1, 0, 0), Write(10, 2, 100, 0), Write(90, 3, 0, 0)], [95], OVERLAP_SECONDS) == {"2"}


def test_what_commits_late_while_a_window_lies_unfinished_is_read_by_the_run_after(tmp_path: Path) -> None:
    core, state, path = Memory(), State(tmp_path / "state.db"), tmp_path / "a.db"
    base = sqlite3.connect(path, isolation_level=None)
    base.execute(SCHEMA)
    passed, late, newer = Write(10, 1, 0, 0), Write(5, 2, 0, 0), Write(1_000, 3, 0, 0)
    _commit(base, passed, 1, 10)
    end = Position(passed.stamp, passed.key)
    state.open("articles", Window(None, end))
    state.confirm("articles", end, [], [])  # and then the run was killed
    _commit(base, late, 2, 11)
    _commit(base, newer, 3, 1_000)
    with open_source(f"sqlite:///{path}", SourceMapping()) as source:
        sync = Sync(
            source, partial(apply, _as_client(core)), state, "a", timedelta(seconds=OVERLAP_SECONDS), ScriptMetrics("a")
        )
        sync.run(sync.plan(), int)
        assert core.versions == {"3": 3}
        sync.run(sync.plan(), int)
    assert core.versions.keys() >= {"2", "3"}
    state.close()
    base.close()
