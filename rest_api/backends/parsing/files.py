"""The formats of data files, what a table expects of one, and what parsing makes of it."""

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from rest_api.errors import Invalid


class Kind(StrEnum):
    """How a file is laid out once it is unpacked. JSON is one array of objects, NDJSON one object a line."""

    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"
    PARQUET = "parquet"


@dataclass(frozen=True)
class Format:
    """The layout of a file and whether gzip wraps it."""

    kind: Kind
    is_gzip: bool = False


@dataclass(frozen=True)
class ExpectedColumn:
    """A column of the table a file has to fit, in the order of the table."""

    name: str
    type: pa.DataType
    is_nullable: bool = True


@dataclass(frozen=True)
class Parsed:
    """What was written: each column's name and Arrow type as text, in order, the rows, and the size of the file."""

    columns: tuple[tuple[str, str], ...]
    rows: int
    size_bytes: int


_EXTENSIONS = {
    ".csv": Format(Kind.CSV),
    ".csv.gz": Format(Kind.CSV, is_gzip=True),
    ".parquet": Format(Kind.PARQUET),
    ".json": Format(Kind.JSON),
    ".json.gz": Format(Kind.JSON, is_gzip=True),
    ".ndjson": Format(Kind.NDJSON),
    ".ndjson.gz": Format(Kind.NDJSON, is_gzip=True),
    ".jsonl": Format(Kind.NDJSON),
    ".jsonl.gz": Format(Kind.NDJSON, is_gzip=True),
}


def format_of(filename: str) -> Format:
    """The format a file's name promises, whatever its case. Raises Invalid naming what is taken."""
    name = filename.lower()
    for extension, format_ in _EXTENSIONS.items():
        if name.endswith(extension):
            return format_
    raise Invalid(f"The name of a file ends in one of {', '.join(_EXTENSIONS)}")
