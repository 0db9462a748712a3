"""What every reader gives: typed batches, and a way to say where in the file one of their rows stands."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from rest_api.errors import FieldError, Invalid


@dataclass(frozen=True)
class Rows:
    """A schema and the batches that have it, which are read once and in the order of the file."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Place:
    """Where a row stands in its file, counted from 1: `line 7`, `element 3`, `row 9`."""

    unit: str
    number: int

    def wrong(self, column: str, why: str) -> Invalid:
        """The refusal of one value."""
        detail = f"{self.unit.capitalize()} {self.number}, column {column!r}: {why}"
        return Invalid(detail, errors=[FieldError(f"{self.unit}.{self.number}.{column}", detail)])

    def broken(self, why: str) -> Invalid:
        """The refusal of a whole row."""
        detail = f"{self.unit.capitalize()} {self.number}: {why}"
        return Invalid(detail, errors=[FieldError(f"{self.unit}.{self.number}", detail)])
