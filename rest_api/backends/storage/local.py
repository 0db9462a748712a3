"""Storage on the local disk, or on whatever is mounted there."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import structlog

from rest_api.backends.storage import Entry, refusing_full_disks, workplaces
from rest_api.errors import Conflict, NotFound, Unavailable
from rest_api.lake.names import is_segment

STAGING, LOCKS = "_staging", "_locks"
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)
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

    def staging(self) -> AbstractContextManager[Path]:
        return workplaces.workplace(self._root / STAGING)

    def put(self, staged: Path, path: str) -> None:
        place = self._resolved(path)
        if place is None:
            raise _taken()
        try:
            with refusing_full_disks():
                _move(staged, place)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            raise _taken() from error

    def alone(self, path: str) -> AbstractContextManager[None]:
        name = hashlib.blake2b(path.encode(), digest_size=16).hexdigest()
        return workplaces.alone(self._root / LOCKS / name)

    def sweep(self) -> None:
        workplaces.sweep(self._root / STAGING)

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


def _move(staged: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if staged.is_dir():
        staged.rename(place)  # an empty folder gives way, another one does not
    else:
        place.hardlink_to(staged)
    descriptor = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _taken() -> Conflict:
    return Conflict("There is something else at this place of the lake")


def _unreachable() -> Unavailable:
    return Unavailable("The lake's storage does not answer", retry_after_seconds=5)
