"""A versioned table of the same rows: its older versions and its count cost what the newest page costs."""

import os
from pathlib import Path

import deltalake
import pyarrow as pa
from pyarrow import parquet

from benchmarks.lake.questions import Question

TABLE = "history"
VERSIONS = 6
APPENDED = 1_000
ROWS_PATH = f"/data/datasets/{TABLE}/rows"
_FILTERED = f"{ROWS_PATH}?country=FR&amount=gt.500&customer_rating=gt.3&limit=10"
NEWEST = Question("newest", "10 rows by three filters, newest version", _FILTERED)
OLDER = Question("version 3", "the same of version 3", f"{_FILTERED}&version=3")
UNCOUNTED = Question("row", "one row of the table", f"{ROWS_PATH}?limit=1")
COUNTED = Question("count", "the same with `count=exact`", f"{ROWS_PATH}?limit=1&count=exact")


def write(folder: Path, rows: Path) -> None:
    """A Delta table over a link to the Parquet file, with some appends after it."""
    folder.mkdir(parents=True)
    os.link(rows, folder / rows.name)
    deltalake.convert_to_deltalake(str(folder))
    more = _first_rows(rows)
    for _ in range(VERSIONS):
        deltalake.write_deltalake(str(folder), more, mode="append")


def _first_rows(rows: Path) -> pa.Table:
    return parquet.ParquetFile(rows).read_row_group(0).slice(0, APPENDED)
