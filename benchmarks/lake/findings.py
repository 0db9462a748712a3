"""What the measured cells come to beside their targets."""

from collections.abc import Iterator, Sequence

from benchmarks.lake import accesses, history, peers
from benchmarks.lake.measuring import CLIENTS, Measured
from benchmarks.lake.memory import Memory
from benchmarks.lake.questions import ANY_ORDER, DEEP, FIRST_PAGE
from benchmarks.lake.servers import Core
from benchmarks.report import Finding

OURS = Core.name
COLUMNS = ("work", "server", "calls", "p50 ms, 1 client", "p95 ms", "p50 ms, 8 clients", "p95 ms", "calls a second")
# How many times faster than ROAPI on the file.
FASTER = {"A": 4.0, "B": 10.0, "C": 2.0, "D": 1.5, "E": 1.5, "F": 1.5, DEEP: 100.0}
DEEP_TIMES, VERSION_TIMES, ACCESSES_TIMES = 2.0, 1.5, 2.0
COUNT_MS = 5.0
_ENTRIES = (accesses.MANY, accesses.FEW)
_ACCESSES = "accesses among {:,} entries beside {:,}".format(*_ENTRIES)


def row(measured: Measured) -> tuple[str, ...]:
    """A row of the table; calls and latencies of one client, then of several."""
    latencies = [f"{value:.2f}" for load in measured.loads for value in (load.p50, load.p95)]
    calls = " and ".join(str(len(load.calls)) for load in measured.loads)
    work = f"{measured.question.name}: {measured.question.what}"
    return work, measured.server, calls, *latencies, f"{measured.loads[-1].per_second:.1f}"


def findings(measured: Sequence[Measured], memory: dict[str, Memory]) -> list[Finding]:
    """All of them."""
    seen = _Seen(measured)
    return [*_beside_roapi(seen), *_memory(memory), *_alone(seen)]


class _Seen:
    """The cells by question and server."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        self._cells = {(each.question.name, each.server): each for each in measured}

    def p50(self, name: str, server: str, place: int) -> float:
        return self._cells[name, server].loads[place].p50


def _beside_roapi(seen: _Seen) -> Iterator[Finding]:
    for name, target in FASTER.items():
        yield from (_faster(seen, name, peers.ON_FILE, place, target) for place in range(len(CLIENTS)))
        yield from (_faster(seen, name, peers.IN_MEMORY, place, None) for place in range(len(CLIENTS)))
    for server in (peers.ON_FILE, peers.IN_MEMORY):
        ratio = seen.p50(ANY_ORDER, server, 0) / seen.p50(DEEP, OURS, 0)
        yield Finding(f"{DEEP} beside {server} without an order, 1 client", f"{ratio:.1f} times as fast", "none", True)


def _faster(seen: _Seen, name: str, server: str, place: int, target: float | None) -> Finding:
    ratio = seen.p50(name, server, place) / seen.p50(name, OURS, place)
    asked = f"{name} beside {server}, {_clients(place)}"
    wanted = "none" if target is None else f"at least {target:g}"
    return Finding(asked, f"{ratio:.1f} times as fast", wanted, target is None or ratio >= target)


def _memory(memory: dict[str, Memory]) -> Iterator[Finding]:
    ours = memory[OURS].now
    for server in (peers.ON_FILE, peers.IN_MEMORY):
        theirs = memory[server].now
        asked = f"memory after the run beside {server}"
        yield Finding(asked, f"{ours:.0f} MiB", f"below {theirs:.0f} MiB", ours < theirs)
    for name, each in memory.items():
        yield Finding(f"memory of {name}", f"{each.now:.0f} MiB, at most {each.peak:.0f}", "none", is_met=True)


def _alone(seen: _Seen) -> Iterator[Finding]:
    for place in range(len(CLIENTS)):
        deep = seen.p50(DEEP, OURS, place) / seen.p50(FIRST_PAGE, OURS, place)
        yield _at_most(f"{DEEP} beside the first page, {_clients(place)}", deep, DEEP_TIMES)
        older = seen.p50(history.OLDER.name, OURS, place) / seen.p50(history.NEWEST.name, OURS, place)
        yield _at_most(f"version 3 beside the newest, {_clients(place)}", older, VERSION_TIMES)
        many, few = (seen.p50(accesses.PAGE.name, accesses.server(count), place) for count in _ENTRIES)
        yield _at_most(f"{_ACCESSES}, {_clients(place)}", many / few, ACCESSES_TIMES)
    counted, uncounted = (seen.p50(each.name, OURS, 0) for each in (history.COUNTED, history.UNCOUNTED))
    added = counted - uncounted
    found = f"{added:+.2f} ms ({counted:.2f} beside {uncounted:.2f} without)"
    yield Finding("an exact count of the table adds, 1 client", found, f"at most {COUNT_MS:g} ms", added <= COUNT_MS)


def _at_most(what: str, ratio: float, target: float) -> Finding:
    return Finding(what, f"{ratio:.2f} times as long", f"at most {target:g}", ratio <= target)


def _clients(place: int) -> str:
    return "1 client" if CLIENTS[place] == 1 else f"{CLIENTS[place]} clients"
