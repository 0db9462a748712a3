"""The values a query is made of, and the shape of what is queried."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any

from rest_api.errors import unknown

OPERATORS = ("eq", "neq", "gt", "gte", "lt", "lte", "in", "like", "ilike", "is")
COUNTS = ("none", "exact", "estimated")
PARAMETERS = ("select", "order", "limit", "limit_per", "cursor", "page", "count", "or", "and")
MAX_CONDITIONS = 100
MAX_VALUES = 1_000
MAX_DEPTH = 10
MAX_CHARACTERS = 10_000
MAX_PAGED_ROWS = 100_000
MAX_ROWS_PER_PARENTS = 1_000


class ColumnType(Enum):
    """What a column holds."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    TIMESTAMP = "timestamp"
    BOOLEAN = "boolean"
    JSON = "json"
    ANY = "any"
    """What is not known yet."""

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators that make sense on it."""
        return _OPERATORS_OF[self]


_ORDERED = ("eq", "neq", "gt", "gte", "lt", "lte", "in", "is")
_OPERATORS_OF = {
    ColumnType.INTEGER: _ORDERED,
    ColumnType.NUMBER: _ORDERED,
    ColumnType.TEXT: (*_ORDERED, "like", "ilike"),
    ColumnType.TIMESTAMP: _ORDERED,
    ColumnType.BOOLEAN: ("eq", "neq", "in", "is"),
    ColumnType.JSON: ("is",),
    ColumnType.ANY: OPERATORS,
}


@dataclass(frozen=True)
class Column:
    """A column a caller may name; long texts are not ordered by, since a cursor would have to hold them."""

    name: str
    type: ColumnType
    description: str = ""
    is_orderable: bool = True

    @property
    def may_order(self) -> bool:
        """Whether rows can be ordered, or cut per value, by it."""
        return self.is_orderable and self.type is not ColumnType.JSON


@dataclass(frozen=True)
class Order:
    """A direction along a column; nulls come last in both."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class Shape:
    """What can be listed: its columns, the key that makes an order total, and the limits of a page.

    `parameters` are the reserved ones that the list offers; a column of the same name is reached by JSON only.
    `hidden` are columns of the key that nobody can name.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    default_order: tuple[Order, ...]
    default_limit: int = 20
    max_limit: int = 100
    parameters: tuple[str, ...] = PARAMETERS
    hidden: tuple[Column, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by their names."""
        return {column.name: column for column in self.columns}

    def column(self, name: str) -> Column:
        """The column of that name. Raises Invalid naming the nearest one."""
        found = self.by_name.get(name)
        if found is None:
            raise unknown("column", name, self.names)
        return found

    @cached_property
    def types(self) -> dict[str, ColumnType]:
        """The type of every column, hidden ones too."""
        return {column.name: column.type for column in (*self.columns, *self.hidden)}


@dataclass(frozen=True)
class Comparison:
    """`column op value`; the value has the column's type, `in` has a tuple, `is` has None, True or False."""

    column: str
    op: str
    value: Any


@dataclass(frozen=True)
class Not:
    """What the inner condition is false of; what is unknown for a null stays unknown, as in SQL."""

    condition: "Condition"


@dataclass(frozen=True)
class And:
    """All of them."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True)
class Or:
    """Any of them."""

    conditions: tuple["Condition", ...]


Condition = Comparison | Not | And | Or


def all_of(conditions: Sequence[Condition]) -> Condition:
    """The conjunction of at least one condition, as simple as it can be said."""
    return conditions[0] if len(conditions) == 1 else And(tuple(conditions))


def any_of(conditions: Sequence[Condition]) -> Condition:
    """The alternative of at least one condition, as simple as it can be said."""
    return conditions[0] if len(conditions) == 1 else Or(tuple(conditions))


@dataclass(frozen=True)
class Query:
    """What a caller asks of a list; `position` holds the order's values of the row that it goes on after."""

    select: tuple[str, ...] | None = None
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    limit: int = 20
    limit_per: str | None = None
    cursor: str | None = None
    page: int | None = None
    count: str = "none"
    position: tuple[Any, ...] | None = None

    @property
    def fingerprint(self) -> str:
        """What a cursor is bound to: which rows and columns in which order, not how many or from where."""
        parts = repr((self.select, self.where, self.order, self.limit_per))
        return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()

    def selecting(self, names: tuple[str, ...]) -> "Query":
        """The same query for other columns."""
        return replace(self, select=names)

    def at(self, position: tuple[Any, ...]) -> "Query":
        """The same query, going on after a row."""
        return replace(self, position=position)
