"""Which event of each key was sent last, as far back as an overlap reads again: what is known is not sent twice."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from integration.rows import MICROSECOND
from integration.watermarks import changing

TABLE = """
create table if not exists sent (
    topic text not null, external_id text not null, event_id text not null, is_gone integer not null,
    at_us integer not null, primary key (topic, external_id)
)
"""
INDEX = "create index if not exists sent_at on sent (topic, is_gone, at_us)"


@dataclass(frozen=True)
class Sent:
    """An event that the broker has; `at_us` is its row's time."""

    external_id: str
    event_id: str
    is_gone: bool
    at_us: int


class SentEvents:
    """Those of a topic, in a table in the file of a state. Not for two threads at once."""

    def __init__(self, path: Path, topic: str, overlap: timedelta) -> None:
        """Raises Misconfigured."""
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._path = path
        self._topic = topic
        with changing(self._connection, path):
            self._connection.execute(TABLE)
            self._connection.execute(INDEX)
        self._overlap_us = overlap // MICROSECOND

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def forget(self) -> None:
        """Have everything sent again."""
        with changing(self._connection, self._path):
            self._connection.execute("delete from sent where topic = ?", (self._topic,))

    def last(self, external_ids: Iterable[str]) -> dict[str, str]:
        """The last event of each key, where it is remembered.

        The last and not all: a text that changes and comes back within one tick of a clock is a change.
        """
        statement = "select event_id from sent where topic = ? and external_id = ?"
        found = ((each, self._connection.execute(statement, (self._topic, each)).fetchone()) for each in external_ids)
        return {external_id: row[0] for external_id, row in found if row is not None}

    def remember(self, sent: Iterable[Sent]) -> None:
        """Add some, and forget those that no window reads again. Raises Misconfigured."""
        rows = [(self._topic, each.external_id, each.event_id, each.is_gone, each.at_us) for each in sent]
        with changing(self._connection, self._path):
            self._connection.executemany("insert or replace into sent values (?, ?, ?, ?, ?)", rows)
            for is_gone in (False, True):
                newest = max((at_us for *_, gone, at_us in rows if gone == is_gone), default=0)
                self._connection.execute(
                    "delete from sent where topic = ? and is_gone = ? and at_us < ?",
                    (self._topic, is_gone, newest - self._overlap_us),
                )
