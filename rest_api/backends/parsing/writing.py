"""The one Parquet file that comes of a parsing."""

from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from rest_api.backends.layout import GROUP_ROWS, options
from rest_api.backends.parsing.rows import Rows

_GROUP_BYTES = 64 * 2**20


def write(rows: Rows, target: IO[bytes]) -> int:
    """Writes every batch and returns the number of rows."""
    with pq.ParquetWriter(target, rows.schema, **options(rows.schema)) as writer:
        written = 0
        for group in _groups(rows):
            writer.write_table(group, row_group_size=GROUP_ROWS)
            written += group.num_rows
        return written


def _groups(rows: Rows) -> Iterator[pa.Table]:
    """Tables of 122,880 rows, or of fewer where those would be large."""
    held = rows.schema.empty_table()
    for batch in rows.batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while held.num_rows >= GROUP_ROWS:
            yield held.slice(0, GROUP_ROWS)
            held = held.slice(GROUP_ROWS)
        if held.nbytes >= _GROUP_BYTES:
            yield held
            held = rows.schema.empty_table()
    yield held
