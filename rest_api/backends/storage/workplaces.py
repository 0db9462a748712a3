"""Folders that last as long as the work in them: what a killed process leaves is known by its lock, and swept."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from rest_api.backends.storage import refusing_full_disks
from rest_api.errors import Overloaded

WAIT_SECONDS = 10.0
_LOOK_SECONDS = 0.02
_YOUNG_SECONDS = 60.0


@contextmanager
def workplace(parent: Path) -> Iterator[Path]:
    """A new folder that nobody else reads; it goes with all that is in it. Raises Unavailable on a full disk."""
    folder = parent / uuid4().hex
    with refusing_full_disks():
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def sweep(parent: Path) -> None:
    """Delete the workplaces of processes that are gone."""
    for folder in parent.iterdir() if parent.is_dir() else ():
        if folder.is_dir() and not _is_worked_in(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_worked_in(folder: Path) -> bool:
    try:
        # One that is being made has no lock yet.
        if folder.stat().st_mtime > time.time() - _YOUNG_SECONDS and not any(folder.iterdir()):
            return True
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return not _takes(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """No other process of this machine works under the lock meanwhile. Raises Overloaded after ten seconds."""
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _wait_for(descriptor)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not _takes(descriptor):
        if time.monotonic() > deadline:
            raise Overloaded("Others change the dataset all the time; try again", retry_after_seconds=5)
        time.sleep(_LOOK_SECONDS)


def _takes(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
