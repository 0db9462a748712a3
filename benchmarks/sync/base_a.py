"""Base A of the benchmark: the demo's tables with as many rows as are asked for."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from tests.live import ROOT

SCHEMA = (ROOT / "rest_api" / "demo" / "base_a.sql").read_text(encoding="utf-8")
CONTENT = "The water is clear now, and the reeds have turned. " * 4
DIFFERENT = 100
_BEGIN = datetime.fromisoformat("2026-11-01 00:00:00")


def build(path: Path, rows: int) -> None:
    """Write it; the triggers come last, since they would raise each row's version once more."""
    tables, triggers = SCHEMA.split("create trigger", 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(tables)
        connection.executemany("insert into articles values (?, ?, ?, ?, ?)", map(_row, range(1, rows + 1)))
        connection.execute("update row_versions set value = ?", (rows,))
        connection.executescript(f"create trigger{triggers}")


def change_unseen(path: Path, rows: int) -> None:
    """Let 100 rows differ, spread evenly, that no watermark finds."""
    step = rows // DIFFERENT
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("drop trigger articles_updated")
        connection.execute(
            "update articles set content = 'changed' where id % ? = 0 and id <= ?", (step, step * DIFFERENT)
        )


def _row(number: int) -> tuple[int, str, str, str, int]:
    at = _BEGIN + timedelta(milliseconds=20 * number)
    return number, f"Article {number}", CONTENT, at.isoformat(sep=" ", timespec="milliseconds"), number
