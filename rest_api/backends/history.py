"""The history of a Delta table, read from the commits in its log, each of them once."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

_COMMIT = re.compile(r"(\d{20})\.json")
_ADDED = ("num_added_rows", "numOutputRows", "num_target_rows_inserted", "numTargetRowsInserted")


@dataclass(frozen=True)
class Version:
    """One commit of a table, as its log tells of it. `rows` are those it added, `change_id` whose change it was."""

    number: int
    at: datetime
    operation: str
    rows: int | None
    user_name: str | None
    change_id: str | None


class History:
    """Versions in their order, without a gap, as far back as the log reaches; new ones are read when asked for."""

    def __init__(self, log: Path, change_member: str) -> None:
        self._log = log
        self._change_member = change_member
        self._lock = Lock()
        self._first: tuple[int, int] | None = None
        self._versions: list[Version] = []

    def page(self, newest: int, greatest: int, most: int) -> list[Version]:
        """The versions from `greatest` down, at most so many. `newest` is the newest there is."""
        with self._lock:
            versions = self._up_to(newest)
            end = max(0, greatest - versions[0].number + 1) if versions else 0
            return versions[max(0, end - most) : end][::-1]

    def at(self, newest: int, at: datetime) -> tuple[int | None, int]:
        """The number of the version that was the newest at a time, and of the oldest that the log tells of."""
        with self._lock:
            versions = self._up_to(newest)
            if not versions:
                return None, newest
            end = bisect_right(versions, at, hi=min(len(versions), newest - versions[0].number + 1), key=_time)
            return (versions[end - 1].number if end else None), versions[0].number

    def having(self, newest: int, change_id: str) -> int | None:
        """The number of the version that a change made."""
        with self._lock:
            found = (each.number for each in reversed(self._up_to(newest)) if each.change_id == change_id)
            return next(found, None)

    def _up_to(self, newest: int) -> list[Version]:
        self._forget_what_was_cut()
        known = self._versions[-1].number if self._versions else None
        numbers = self._kept(newest) if known is None else range(known + 1, newest + 1)
        for number in numbers:
            try:
                self._versions.append(self._read(number))
            except FileNotFoundError:
                self._versions = []  # cut at this moment: what is older is gone too
        self._first = self._state(self._versions[0].number) if self._versions else None
        return self._versions

    def _forget_what_was_cut(self) -> None:
        state = self._state(self._versions[0].number) if self._versions else None
        if state is None:
            self._versions = [each for each in self._versions if self._commit(each.number).exists()]
        elif state != self._first:
            self._versions = []  # those of another table that was in this place

    def _state(self, number: int) -> tuple[int, int] | None:
        """What tells a commit from another one of the number; None where it is not there."""
        try:
            status = self._commit(number).stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _kept(self, newest: int) -> range:
        """The commits that the log holds without a gap up to the newest one."""
        found = {int(name[1]) for name in map(_COMMIT.fullmatch, self._names()) if name}
        oldest = newest
        while oldest - 1 in found:
            oldest -= 1
        return range(oldest if newest in found else newest + 1, newest + 1)

    def _names(self) -> Iterator[str]:
        return (path.name for path in self._log.iterdir())

    def _read(self, number: int) -> Version:
        file = self._commit(number)
        told = _information(file)
        metrics = told.get("operationMetrics") or {}
        moment = told.get("inCommitTimestamp", told.get("timestamp")) or int(file.stat().st_mtime * 1_000)
        at = datetime.fromtimestamp(int(moment) / 1_000, UTC)
        return Version(
            number=number,
            # A clock may have gone back: a later version is never the older one.
            at=max(at, self._versions[-1].at) if self._versions else at,
            operation=str(told.get("operation", "UNKNOWN")),
            rows=next((int(metrics[name]) for name in _ADDED if name in metrics), None),
            user_name=told.get("userName"),
            change_id=told.get(self._change_member),
        )

    def _commit(self, number: int) -> Path:
        return self._log / f"{number:020}.json"


def _time(version: Version) -> datetime:
    return version.at


def _information(file: Path) -> dict[str, Any]:
    """What a commit tells of itself; most writers tell it first."""
    with file.open("rb") as lines:
        for line in lines:
            if b'"commitInfo"' in line:
                action = orjson.loads(line)
                if isinstance(action.get("commitInfo"), dict):
                    return dict(action["commitInfo"])
    return {}
