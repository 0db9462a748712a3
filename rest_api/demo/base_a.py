"""Base A: the SQLite database that the sync routes read, with row versions and tombstones kept by triggers."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from rest_api.demo.prose import Draft, write_drafts
from rest_api.demo.randomness import stream

ARTICLES = 1_000
DELETED = 12
CHANGED = 60
YEAR_SECONDS = 365 * 86_400
SCHEMA = Path(__file__).with_suffix(".sql")


def build_base_a(path: Path, seed: int, until: datetime) -> None:
    """Write the database: 1,000 articles of the last year, 60 of them changed since, and 12 tombstones."""
    random = stream(seed, "base A")
    drafts = write_drafts(stream(seed, "drafts of base A"), ARTICLES + DELETED)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA.read_text(encoding="utf-8"))
        _insert(connection, drafts, random, until)
        _change(connection, random, until)
        _delete(connection, random, until)


def _insert(connection: sqlite3.Connection, drafts: list[Draft], random: Random, until: datetime) -> None:
    ages = sorted((random.uniform(86_400, YEAR_SECONDS) for _ in drafts), reverse=True)
    connection.executemany(
        "insert into articles (title, content, updated_at) values (?, ?, ?)",
        [(draft.title, draft.content, _stamp(until, age)) for draft, age in zip(drafts, ages, strict=True)],
    )


def _change(connection: sqlite3.Connection, random: Random, until: datetime) -> None:
    ids = random.sample(range(1, ARTICLES + DELETED + 1), CHANGED)
    ages = sorted((random.uniform(600, 80_000) for _ in ids), reverse=True)
    connection.executemany(
        "update articles set content = content || ?, updated_at = ? where id = ?",
        [
            ("\n\nUpdated after questions from readers.", _stamp(until, age), i)
            for i, age in zip(ids, ages, strict=True)
        ],
    )


def _delete(connection: sqlite3.Connection, random: Random, until: datetime) -> None:
    ids = random.sample(range(1, ARTICLES + DELETED + 1), DELETED)
    connection.executemany("delete from articles where id = ?", [(i,) for i in ids])
    ages = sorted((random.uniform(10, 500) for _ in ids), reverse=True)
    stamps = [(_stamp(until, age), i) for i, age in zip(ids, ages, strict=True)]
    connection.executemany("update article_tombstones set deleted_at = ? where id = ?", stamps)


def _stamp(until: datetime, age_seconds: float) -> str:
    at = until - timedelta(seconds=age_seconds)
    return at.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
