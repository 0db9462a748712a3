"""What a route remembers: how far it got in each stream, and which keys are parked; in a file no kill can tear."""

import fcntl
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from integration.errors import AlreadyRunning, Misconfigured
from integration.rows import Position, shown

SCHEMA = """
create table if not exists facts (name text primary key, value text not null);
create table if not exists windows (stream text primary key, watermark text, after text, upper text);
create table if not exists parked (
    external_id text primary key, key text not null, is_gone integer not null, code text not null,
    reason text not null, parked_at text not null
);
"""


@dataclass(frozen=True)
class Window:
    """A stretch of a stream: behind `after`, and its end when it was begun, which the watermark then moves to."""

    after: Position | None
    upper: Position


@dataclass(frozen=True)
class Parked:
    """A key that the core did not take, and why."""

    external_id: str
    key: Any
    is_gone: bool
    code: str
    reason: str


class State:
    """The file. Each change is on the disk when its method returns; where there is no room it raises Misconfigured."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("pragma synchronous=full")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def bind(self, **facts: str) -> None:
        """Remember what the file is about; what nothing was confirmed for is forgotten."""
        with self._changing():
            if not self._has_confirmed():
                self._forget()
            self._connection.executemany("insert or ignore into facts values (?, ?)", facts.items())

    def check(self, **facts: str) -> None:
        """Raises Misconfigured where something else was confirmed."""
        if not self._has_confirmed():
            return
        known = dict(self._connection.execute("select name, value from facts"))
        for name, value in facts.items():
            if known.get(name, value) != value:
                raise Misconfigured(
                    f"The state belongs to another {name} ({known[name]}, not {value}); "
                    "name another --state or another --origin, or begin anew with --from-start"
                )

    def forget(self) -> None:
        """Begin anew: the next run reads everything."""
        with self._changing():
            self._forget()

    def watermark(self, stream: str) -> Any:
        """The raw time up to which a stream is confirmed; None before the first run has ended."""
        found = self._connection.execute("select watermark from windows where stream = ?", (stream,)).fetchone()
        return None if found is None or found[0] is None else _decode(found[0])

    def window(self, stream: str) -> Window | None:
        """The window that a run left unfinished."""
        columns = "select after, upper from windows where stream = ?"
        after, upper = self._connection.execute(columns, (stream,)).fetchone() or (None, None)
        return None if upper is None else Window(None if after is None else _position(after), _position(upper))

    def open(self, stream: str, window: Window) -> None:
        """A run has begun on a window."""
        after = None if window.after is None else _encoded(window.after)
        with self._changing():
            self._connection.execute("insert or ignore into windows (stream) values (?)", (stream,))
            self._connection.execute(
                "update windows set after = ?, upper = ? where stream = ?", (after, _encoded(window.upper), stream)
            )

    def confirm(self, stream: str, after: Position, parked: Iterable[Parked], settled: Iterable[str]) -> None:
        """Every row up to a position was applied or is parked with this."""
        with self._changing():
            self._settle(parked, settled)
            self._connection.execute("update windows set after = ? where stream = ?", (_encoded(after), stream))

    def finish(self, stream: str, upper: Position) -> None:
        """All of the window is confirmed: the watermark moves to its end."""
        with self._changing():
            self._connection.execute(
                "update windows set watermark = ?, after = null, upper = null where stream = ?",
                (_encode(upper.at), stream),
            )

    def settle(self, parked: Iterable[Parked], settled: Iterable[str]) -> None:
        """Park some keys and take others out."""
        with self._changing():
            self._settle(parked, settled)

    def parked(self) -> list[Parked]:
        """All parked keys, in the order of their names."""
        columns = "select external_id, key, is_gone, code, reason from parked order by external_id"
        return [
            Parked(name, _decode(key), bool(is_gone), code, reason)
            for name, key, is_gone, code, reason in self._connection.execute(columns)
        ]

    def _has_confirmed(self) -> bool:
        reached = "select 1 from windows where watermark is not null or after is not null union select 1 from parked"
        return self._connection.execute(reached).fetchone() is not None

    def _forget(self) -> None:
        for table in ("facts", "windows", "parked"):
            self._connection.execute(f"delete from {table}")  # noqa: S608  (names of our own)

    def _settle(self, parked: Iterable[Parked], settled: Iterable[str]) -> None:
        self._connection.executemany("delete from parked where external_id = ?", [(shown(each),) for each in settled])
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [
            (shown(each.external_id), _encode(each.key), each.is_gone, each.code, each.reason, now) for each in parked
        ]
        self._connection.executemany("insert or replace into parked values (?, ?, ?, ?, ?, ?)", rows)

    def _changing(self) -> AbstractContextManager[None]:
        return changing(self._connection, self._path)


@contextmanager
def changing(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """A transaction in the file of a state. Raises Misconfigured where it cannot be kept."""
    try:
        with connection:
            connection.execute("begin immediate")
            yield
    except sqlite3.Error as error:
        raise Misconfigured(
            f"The state {path} cannot be written: {error}; with room for it the next run goes on from there"
        ) from error


@contextmanager
def open_state(path: Path) -> Iterator[State]:
    """The state of one copy of a route. Raises AlreadyRunning, Misconfigured."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("ab")
    except OSError as error:
        raise Misconfigured(f"The state {path} cannot be written: {error.strerror}") from error
    with lock:
        _lock(lock, path)
        try:
            state = State(path)
        except sqlite3.Error as error:
            raise Misconfigured(f"The state {path} cannot be used: {error}") from error
        with closing(state):
            yield state


def _lock(lock: Any, path: Path) -> None:
    # The system lets it go when the process ends, however it ends.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise AlreadyRunning(f"Another copy is running with the state {path}; wait for its end or stop it") from error


def _encoded(position: Position) -> str:
    return json.dumps([_plain(position.at), _plain(position.key)])


def _position(text: str) -> Position:
    at, key = json.loads(text, object_hook=_raw)
    return Position(at, key)


def _encode(value: Any) -> str:
    return json.dumps(_plain(value))


def _decode(text: str) -> Any:
    return json.loads(text, object_hook=_raw)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, UUID):
        return {"uuid": str(value)}
    if value is None or isinstance(value, int | str):
        return value
    raise Misconfigured(f"Keys and times of type {type(value).__name__} are not read; map columns of another type")


def _raw(tagged: dict[str, str]) -> Any:
    return datetime.fromisoformat(tagged["time"]) if "time" in tagged else UUID(tagged["uuid"])


def summary(parked: Sequence[Parked]) -> str:
    """The parked keys for a person, the first ten."""
    lines = [f"  {each.external_id}: {each.reason}" for each in parked[:10]]
    return "\n".join([*lines, *(["  …"] if len(parked) > 10 else [])])
