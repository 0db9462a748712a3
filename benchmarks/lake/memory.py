"""The memory of a server: its first process and the ones that it started."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """MiB resident now, and the most there was in each process, summed."""

    now: float
    peak: float

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """The memory of a process and of all below it."""
        pids = (pid, *children(pid))
        return cls(sum(_mib(each, "VmRSS") for each in pids), sum(_mib(each, "VmHWM") for each in pids))


def _mib(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = next((line for line in lines if line.startswith(f"{name}:")), f"{name}: 0")
    return int(found.split()[1]) / 1_024


def children(pid: int) -> Iterator[int]:
    """The processes below one, all generations."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield from (child, *children(child))
