"""The values a query is made of, and the shape of what is queried."""

import hashlib
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any

from rest_api.errors import Invalid, unknown

OPERATORS = ("eq", "neq", "gt", "gte", "lt", "lte", "in", "like", "ilike", "is")
MAX_CONDITIONS = 100
MAX_PAGED_ROWS = 100_000
MAX_ROWS_PER_PARENTS = 1_000
MAX_PARAMETER_CHARACTERS = 20_000
PARAMETERS = ("select", "order", "limit", "limit_per", "cursor", "page", "count", "or", "and")


class ColumnType(Enum):
    """What a column holds."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    TIMESTAMP = "timestamp"
    BOOLEAN = "boolean"
    JSON = "json"

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
}


@dataclass(frozen=True)
class Column:
    """A column a caller may name; long texts are not ordered by, since a cursor would have to hold them."""

    name: str
    type: ColumnType
    description: str = ""
    is_orderable: bool = True


@dataclass(frozen=True)
class Order:
    """A direction along a column; nulls come last in both."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class Shape:
    """What can be listed: its columns, the key that makes an order total, and the limits of a page."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    default_order: tuple[Order, ...]
    default_limit: int = 20
    max_limit: int = 100
    parameters: tuple[str, ...] = PARAMETERS

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


@dataclass(frozen=True)
class Comparison:
    """`column op value`; the value has the column's type, `in` has a tuple, `is` has None, True or False."""

    column: str
    op: str
    value: Any


@dataclass(frozen=True)
class Not:
    """What the inner condition is not true of."""

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


def all_of(conditions: list[Condition]) -> Condition | None:
    """The conjunction, as simple as it can be said."""
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else And(tuple(conditions))


@dataclass(frozen=True)
class Query:
    """What a caller asks of a list; `position` holds the order's values of the row that a cursor stands on."""

    select: tuple[str, ...] | None = None
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    limit: int = 20
    limit_per: str | None = None
    cursor: str | None = None
    page: int | None = None
    count: str = "none"
    position: tuple[Any, ...] | None = field(default=None)

    def __post_init__(self) -> None:
        """Raises Invalid where the parts do not go together."""
        if self.page is not None and self.cursor is not None:
            raise Invalid("Give page or cursor, not both")
        if self.page is not None and self.page * self.limit > MAX_PAGED_ROWS:
            raise Invalid(f"page × limit is at most {MAX_PAGED_ROWS:,}; go on by cursor")
        if self.limit_per is not None and (self.page or self.cursor):
            raise Invalid("limit_per gives one page; it takes neither page nor cursor")

    @property
    def fingerprint(self) -> str:
        """What a cursor is bound to: all but how many rows and where to go on."""
        parts = repr((self.select, self.where, self.order, self.limit_per))
        return hashlib.blake2b(parts.encode(), digest_size=12).hexdigest()

    def selecting(self, names: tuple[str, ...]) -> "Query":
        """The same query for other columns."""
        return replace(self, select=names)

    def at(self, position: tuple[Any, ...]) -> "Query":
        """The same query, going on after a row."""
        return replace(self, position=position)
