"""CSV and JSON files as Parquet, each parsed once, in a folder that can be deleted at any time: it fills again."""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from rest_api.backends.footers import CorruptFile
from rest_api.backends.parsing import Parser, format_of
from rest_api.backends.storage import Entry, refusing_full_disks
from rest_api.errors import Invalid, TooLarge

KEPT_SECONDS = 7 * 86_400
"""How long a parsed file is kept after its last use."""
_USED_SECONDS = 86_400
_REPLACED_SECONDS = 3_600
_LOCKS = 16


class ParsedTexts:
    """Parsed files by the path, size and time of their source; a source that is refused is not parsed again."""

    def __init__(self, folder: Path, parser: Parser) -> None:
        self._folder = folder
        self._parser = parser

    def place(self, source: str, entry: Entry) -> str:
        """Where the Parquet form of a file is. Raises CorruptFile, Overloaded, Unavailable."""
        target = self._target(source, entry)
        if not _is_kept(target):
            with refusing_full_disks(), self._alone_with(target):
                self._fill(Path(source), target)
        _require_taken(source, target)
        return str(target)

    def keep(self, parsed: Path, source: str, entry: Entry) -> None:
        """Put in what was parsed of a file already."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        parsed.replace(self._target(source, entry))

    def sweep(self) -> None:
        """Delete what was not used for a week, and what a parsing left behind that was killed."""
        if self._folder.is_dir():
            _delete(self._folder.glob("*.parquet*"), KEPT_SECONDS)
            _delete(self._folder.glob(".*.part"), _REPLACED_SECONDS)

    def _target(self, source: str, entry: Entry) -> Path:
        path, state = (_hash(text) for text in (source, f"{entry.size_bytes} {entry.changed_at}"))
        return self._folder / f"{path}.{state}.parquet"

    def _fill(self, source: Path, target: Path) -> None:
        if _is_kept(target):
            return
        try:
            self._parser.parse(source, format_of(source.name), target)
        except (Invalid, TooLarge) as refusal:
            _refused(target).write_bytes(orjson.dumps(refusal.detail))
        # Who reads the form before this one shall be able to finish.
        earlier = self._folder.glob(f"{target.name.partition('.')[0]}.*")
        _delete((path for path in earlier if not path.name.startswith(target.name)), _REPLACED_SECONDS)

    @contextmanager
    def _alone_with(self, target: Path) -> Iterator[None]:
        """No other thread or process parses this file meanwhile."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._folder / f".lock{int(_hash(target.name)[:8], 16) % _LOCKS}"
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _is_kept(target: Path) -> bool:
    """Whether it was parsed or refused before; once a day its use is noted."""
    for path in (target, _refused(target)):
        try:
            used_at = path.stat().st_mtime
        except FileNotFoundError:
            continue
        if used_at < time.time() - _USED_SECONDS:
            os.utime(path)
        return True
    return False


def _require_taken(source: str, target: Path) -> None:
    refused = _refused(target)
    if not target.exists() and refused.exists():
        raise CorruptFile([source], orjson.loads(refused.read_bytes()))


def _refused(target: Path) -> Path:
    return target.with_name(f"{target.name}.refused")


def _delete(paths: Iterator[Path], seconds: int) -> None:
    oldest = time.time() - seconds
    for path in paths:
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
        except FileNotFoundError:
            continue


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
