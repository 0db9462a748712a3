"""How Parquet is written here: so that a page of rows costs little to read, wherever in a file it stands.

A reader decompresses whole pages and whole dictionaries. Numbers and times seldom repeat: written plainly, in pages of
20,000 rows with an index, the first ten rows cost one page of each column, not a dictionary of all of a row group.
"""

from typing import Any

import pyarrow as pa

GROUP_ROWS = 122_880
PAGE_ROWS = 20_000


def texts(schema: pa.Schema) -> list[str]:
    """The columns that are written with a dictionary: texts, which often repeat."""
    return [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]


def options(schema: pa.Schema) -> dict[str, Any]:
    """The options of a `pyarrow.parquet.ParquetWriter`."""
    return {"compression": "zstd", "use_dictionary": texts(schema) or False, "write_page_index": True}
