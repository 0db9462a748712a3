"""The Storage port: where the lake's files lie."""

import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rest_api.errors import Unavailable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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

    def staging(self) -> AbstractContextManager[Path]:
        """A folder on the lake's own disk that no dataset is found in; what is left in it goes at the end."""

    def put(self, staged: Path, path: str) -> None:
        """Move a file or folder from a staging folder to its place, whole. Raises Conflict where something is."""

    def alone(self, path: str) -> AbstractContextManager[None]:
        """Nobody else works on a path under this lock meanwhile. Raises Overloaded after ten seconds."""

    def sweep(self) -> None:
        """Delete the staging folders of processes that are gone."""

    def ping(self) -> None:
        """Raises Unavailable where the storage does not answer."""


@contextmanager
def refusing_full_disks() -> Iterator[None]:
    """Raises Unavailable where there is no room for what is written within."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise no_room() from error


def no_room() -> Unavailable:
    """The refusal of what there is no room for."""
    return Unavailable("The lake's storage is full", retry_after_seconds=60)
