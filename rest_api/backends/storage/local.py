"""Storage on the local disk, or on whatever is mounted there."""

import os
from collections.abc import Iterator
from pathlib import Path

import structlog

from rest_api.backends.storage import Entry
from rest_api.errors import NotFound, Unavailable
from rest_api.lake.names import is_segment

log = structlog.get_logger(__name__)


class LocalStorage:
    """A folder as the lake's root. Symbolic links are never followed, in no place of a path."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self, path: str) -> tuple[Entry, ...] | None:
        folder = self._resolved(path)
        if folder is None:
            return None
        try:
            with os.scandir(folder) as found:
                entries = [_entry(each) for each in found if not each.is_symlink()]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreachable() from error
        return tuple(sorted(entries, key=lambda each: each.name))

    def has_folder(self, path: str) -> bool:
        folder = self._resolved(path)
        return folder is not None and folder.is_dir()

    def location(self, path: str) -> str:
        found = self._resolved(path)
        if found is None:
            raise NotFound("There is nothing at this place of the lake")
        return str(found)

    def walk(self, path: str) -> Iterator[tuple[str, tuple[Entry, ...]]]:
        entries = self.entries(path)
        if entries is None:
            return
        yield path, entries
        for entry in entries:
            if entry.is_folder and self._may_enter(path, entry.name):
                yield from self.walk(f"{path.rstrip('/')}/{entry.name}")

    def ping(self) -> None:
        if not self._root.is_dir():
            raise _unreachable()

    def _may_enter(self, path: str, name: str) -> bool:
        if is_segment(name):
            return True
        if "." in name and not name.startswith((".", "_")):
            log.warning("folder_ignored", folder=f"{path.rstrip('/')}/{name}", reason="a dot in its name")
        return False

    def _resolved(self, path: str) -> Path | None:
        """The place on disk; None where a step of the path is a link or leads out."""
        place = self._root
        for step in path.strip("/").split("/") if path != "/" else ():
            if step in ("", ".", "..") or "\x00" in step:
                return None
            place /= step
            if place.is_symlink():
                return None
        return place


def _entry(found: "os.DirEntry[str]") -> Entry:
    status = found.stat(follow_symlinks=False)
    return Entry(found.name, found.is_dir(follow_symlinks=False), status.st_size, status.st_mtime_ns)


def _unreachable() -> Unavailable:
    return Unavailable("The lake's storage does not answer", retry_after_seconds=5)
