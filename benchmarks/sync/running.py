"""Programs run to their end, with what they took: seconds, memory, and what they said."""

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLED_SECONDS = 0.02


@dataclass(frozen=True)
class Run:
    """One run; `memory_mib` is the largest resident set of the process itself, `cpu_seconds` what it worked."""

    seconds: float
    cpu_seconds: float
    memory_mib: float
    told: str
    code: int


def run(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Run:
    """Run a program in a folder."""
    output, peak = folder / "output", 0.0
    started, worked = time.perf_counter(), _children_seconds()
    with output.open("wb") as told:
        process = subprocess.Popen(command, cwd=folder, env=dict(environ), stdout=told, stderr=told)
        while process.poll() is None:
            peak = max(peak, _peak_mib(process.pid))
            time.sleep(SAMPLED_SECONDS)
    seconds = time.perf_counter() - started
    return Run(seconds, _children_seconds() - worked, peak, output.read_text(errors="replace"), process.returncode)


def server_seconds(pid: int) -> float:
    """What a server and the processes it started have worked."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_ticks(each) for each in (pid, *map(int, children))) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak_mib(pid: int) -> float:
    """The kernel's high-water mark. What `wait4` gives would have our own memory in it, from before the exec."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(marks[0]) / 1024 if marks else 0.0
