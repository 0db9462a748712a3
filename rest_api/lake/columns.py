"""The columns of a dataset as they are stored, and what a caller sees of each type."""

import re
from dataclasses import dataclass
from functools import cache

from rest_api.query.conditions import ColumnType

_TYPES = (
    (re.compile(r"u?int(8|16|32|64)"), ColumnType.INTEGER),
    (re.compile(r"(half|halffloat|float|double|decimal(32|64|128|256)\(.*\))"), ColumnType.NUMBER),
    (re.compile(r"(timestamp\[.*\]|date(32|64)\[.*\])"), ColumnType.TIMESTAMP),
    (re.compile("bool"), ColumnType.BOOLEAN),
    (re.compile("(large_|fixed_size_)?(list|list_view|large_list_view)<.*|struct<.*|map<.*"), ColumnType.JSON),
)
_ALIASES = {"float16": "halffloat", "float32": "float", "float64": "double", "boolean": "bool"}


@dataclass(frozen=True)
class LakeColumn:
    """A column as it is stored; `stored` is the name of its Arrow type, such as `timestamp[us, tz=UTC]`."""

    name: str
    stored: str

    @property
    def type(self) -> ColumnType:
        """What a caller sees: dates are midnights in UTC; what is neither number, time nor truth is text."""
        return _type(self.stored)


@cache
def _type(stored: str) -> ColumnType:
    stored = _ALIASES.get(stored, stored)
    return next((kind for pattern, kind in _TYPES if pattern.fullmatch(stored)), ColumnType.TEXT)


Columns = tuple[LakeColumn, ...]
