"""How Delta tables are written here; the reasons are in `layout`."""

import pyarrow as pa
from deltalake import ColumnProperties, DeltaTable, WriterProperties

from rest_api.backends.layout import GROUP_ROWS, PAGE_ROWS, texts

_PLAIN = ColumnProperties(dictionary_enabled=False, statistics_enabled="PAGE")
_WITH_DICTIONARY = ColumnProperties(dictionary_enabled=True, statistics_enabled="PAGE")


def properties(schema: pa.Schema) -> WriterProperties:
    """What deltalake is told of the Parquet files that it writes."""
    return WriterProperties(
        compression="ZSTD",
        max_row_group_size=GROUP_ROWS,
        data_page_row_count_limit=PAGE_ROWS,
        default_column_properties=_PLAIN,
        column_properties=dict.fromkeys(texts(schema), _WITH_DICTIONARY) or None,
    )


def properties_of(table: DeltaTable) -> WriterProperties:
    """The same for what is written to a table that is there."""
    return properties(pa.schema(table.schema().to_arrow()))
