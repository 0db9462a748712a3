"""The script from base A through REST into the core's database, both on SQLite; dlt and sling from file to file."""

import re
import sys
from pathlib import Path

from benchmarks import governance
from benchmarks.report import Finding, Report
from benchmarks.sync import base_a, peers
from benchmarks.sync.running import Run, run, server_seconds
from tests import live

ROWS = 1_000_000
TARGET_PER_SECOND = 5_000
TARGET_MIB = 150
TARGET_EQUAL_SECONDS = 10.0
TARGET_LOCATED_SECONDS = 5.0
TARGET_READ_PERCENT = 2.0
LOOKED_AT = re.compile(r"([\d,]+) looked at, ([\d,]+) differences")


def measure(folder: Path, rows: int = ROWS) -> Report:
    """Measure it over databases in `folder`."""
    source = folder / "base_a.db"
    base_a.build(source, rows)
    with live.core(folder / "core", options=governance.OPTIONS) as core:
        synced = _script(core, source, 0)
        core_seconds = server_seconds(core.process.pid)
        equal = _script(core, source, 0, "--verify")
        base_a.change_unseen(source, rows)
        located = _script(core, source, 4, "--verify")
    programs = peers.install()
    others = {
        "dlt, direct": peers.dlt(programs, source, folder),
        "sling, direct": peers.sling(programs, source, folder),
    }
    return Report(
        f"Sync: {rows:,} articles from SQLite to SQLite",
        ("way", "rows a second", "seconds", "memory, MiB", "time beside the script's"),
        [_row(name, each, rows, synced) for name, each in {"script, through REST": synced, **others}.items()],
        [*_findings(rows, synced, equal, located), _cpu(rows, synced, core_seconds)],
    )


def _script(core: live.LiveCore, source: Path, code: int, *more: str) -> Run:
    command = [sys.executable, "-m", "integration.sync_script", "--source", f"sqlite:///{source}", "--target", core.url]
    credentials = {"LAKEPORT_USERNAME": "admin", "LAKEPORT_PASSWORD": core.admin_password}
    found = run([*command, *more], source.parent, {"PYTHONPATH": str(live.ROOT), **credentials})
    assert found.code == code, found.told[-2000:]
    return found


def _row(name: str, each: Run, rows: int, script: Run) -> tuple[str, ...]:
    figures = f"{rows / each.seconds:,.0f}", f"{each.seconds:.1f}", f"{each.memory_mib:.0f}"
    return name, *figures, f"{each.seconds / script.seconds:.2f}"


def _findings(rows: int, synced: Run, equal: Run, located: Run) -> list[Finding]:
    rate, share = rows / synced.seconds, _looked_at(located) / rows
    return [
        Finding("rows a second", f"{rate:,.0f}", f"at least {TARGET_PER_SECOND:,}", rate >= TARGET_PER_SECOND),
        _at_most("memory of the script, MiB", synced.memory_mib, TARGET_MIB),
        _at_most("found equal, seconds", equal.seconds, TARGET_EQUAL_SECONDS),
        _at_most("100 differences located, seconds", located.seconds, TARGET_LOCATED_SECONDS),
        _at_most("percent of the rows read for them", share * 100, TARGET_READ_PERCENT),
    ]


def _cpu(rows: int, synced: Run, core_seconds: float) -> Finding:
    """What a row costs whoever else is on the machine; the core's share has its start in it."""
    script, core = (seconds / rows * 1e6 for seconds in (synced.cpu_seconds, core_seconds))
    return Finding("processor time of a row, µs", f"script {script:.0f}, core {core:.0f}", "none", is_met=True)


def _looked_at(located: Run) -> int:
    """How many rows were read. They must have been enough."""
    found = LOOKED_AT.search(located.told)
    assert found, located.told[-500:]
    looked_at, differences = (int(number.replace(",", "")) for number in found.groups())
    assert differences == base_a.DIFFERENT, located.told[-500:]
    return looked_at


def _at_most(what: str, found: float, target: float) -> Finding:
    return Finding(what, f"{found:.1f}", f"at most {target:g}", found <= target)
