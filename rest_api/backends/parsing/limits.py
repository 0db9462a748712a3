"""How much of the machine the parsing of one file may take."""

from dataclasses import dataclass, replace

_USUAL_BYTES = 64 * 2**20
_SLOWEST_BYTES_PER_SECOND = 2 * 2**20
_LEAST_MEMORY_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Limits:
    """What one child may use. `seconds` holds for the clock on the wall and for the processor alike.

    `memory_bytes` bounds the whole address space, of which the child's libraries take some 150 MiB. `written_bytes`
    bounds the Parquet file. Raises ValueError for limits under which nothing can be parsed.
    """

    memory_bytes: int = 2 * 2**30
    seconds: int = 60
    rows: int = 50_000_000
    written_bytes: int = 20 * 2**30

    def for_file(self, size_bytes: int) -> "Limits":
        """These limits with more time and rows for a large file; one that is packed small gets no more for it."""
        beyond = max(0, size_bytes - _USUAL_BYTES)
        return replace(self, seconds=self.seconds + beyond // _SLOWEST_BYTES_PER_SECOND, rows=self.rows + beyond)

    def __post_init__(self) -> None:
        if self.memory_bytes < _LEAST_MEMORY_BYTES:
            raise ValueError(f"memory_bytes is at least {_LEAST_MEMORY_BYTES}")
        if min(self.seconds, self.rows, self.written_bytes) < 1:
            raise ValueError("seconds, rows and written_bytes are at least 1")
