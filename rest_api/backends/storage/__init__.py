"""The Storage port: where the lake's files lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Entry:
    """A file or folder in a folder. `changed_at` is in nanoseconds since 1970 and differs after every change."""

    name: str
    is_folder: bool
    size_bytes: int
    changed_at: int


class Storage(Protocol):
    """Paths begin with `/` at the lake's root. Unreachable storage raises Unavailable, never "not there"."""

    def entries(self, path: str) -> tuple[Entry, ...] | None:
        """What a folder holds, by name; links are left out. None where there is no such folder."""

    def has_folder(self, path: str) -> bool:
        """Whether there is such a folder, reached without links."""

    def location(self, path: str) -> str:
        """Where an engine on this machine finds a file or folder. Raises NotFound for what lies outside or on links."""

    def walk(self, path: str) -> Iterator[tuple[str, tuple[Entry, ...]]]:
        """A folder and all below it whose names could be datasets, each with its entries, by path."""

    def ping(self) -> None:
        """Raises Unavailable where the storage does not answer."""
