"""The caller's view: what of a dataset his grants let him see. Every read works on a view; nothing touches raw data.

A row is there if any grant admits it. A column has a value in a row if a grant that admits the row gives the column,
else null; of several masks the weakest of those grants wins.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import parse_qsl

from rest_api.errors import Invalid
from rest_api.lake.columns import Columns, LakeColumn
from rest_api.lake.grants import Grant, strength
from rest_api.lake.snapshots import POSITION, Snapshot
from rest_api.query.conditions import Column, ColumnType, Condition, Order, Query, Shape, any_of
from rest_api.query.grammar import parse_url

ROW_LIMIT = 10
PARAMETERS = ("select", "order", "limit", "limit_per", "cursor", "page", "count", "version", "as_of", "or", "and")
FILTER_PARAMETERS = ("or", "and")


@dataclass(frozen=True)
class Alternative:
    """One way a column gets its value: under `mask`, in the rows where `condition` holds (None: in all)."""

    mask: str | None
    condition: Condition | None


@dataclass(frozen=True)
class ViewColumn:
    """A visible column, as the first alternative whose condition holds says; else null."""

    stored: LakeColumn
    alternatives: tuple[Alternative, ...]

    @property
    def name(self) -> str:
        return self.stored.name

    @property
    def is_plain(self) -> bool:
        """Whether its value is the stored one in every row."""
        return self.alternatives[0] == Alternative(None, None)

    @cached_property
    def type(self) -> ColumnType:
        """The type as a caller sees it; where masks make different ones of it, text."""
        types = {_masked(each.mask, self.stored.type) for each in self.alternatives if each.mask != "null"}
        return types.pop() if len(types) == 1 else ColumnType.TEXT if types else self.stored.type


@dataclass(frozen=True)
class View:
    """What a caller sees of a dataset: columns, and the condition on stored rows (None: all rows)."""

    name: str
    columns: tuple[ViewColumn, ...]
    admission: Condition | None
    is_whole: bool
    key: tuple[Column, ...] = POSITION

    @cached_property
    def shape(self) -> Shape:
        """The view as something that can be queried."""
        return Shape(
            name=self.name,
            columns=tuple(Column(column.name, column.type) for column in self.columns),
            key=tuple(column.name for column in self.key),
            hidden=self.key,
            default_order=(),
            default_limit=ROW_LIMIT,
            max_limit=ROW_LIMIT,
            parameters=PARAMETERS,
        )

    def everything(self, where: Condition | None = None) -> Query:
        """All rows, or those where a condition holds, as they are stored."""
        return Query(where=where, order=tuple(Order(column.name) for column in self.key))

    @cached_property
    def by_name(self) -> dict[str, ViewColumn]:
        """The columns by their names."""
        return {column.name: column for column in self.columns}

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the view does."""
        return hashlib.blake2b(repr((self.columns, self.admission)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Part:
    """What a grant admits to: rows by `filter` and columns (None: all), some of them under masks."""

    columns: tuple[str, ...] | None
    filter: str | None
    masks: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, grant: Grant) -> "Part":
        return cls(grant.columns, grant.filter, tuple(grant.masks.items()))

    def gives(self, name: str) -> bool:
        """Whether it gives a column."""
        return self.columns is None or name in self.columns

    @cached_property
    def mask_by_column(self) -> dict[str, str]:
        """The masks by the columns that they are on."""
        return dict(self.masks)


Effective = tuple[Part, Condition | None]


def view_of(snapshot: Snapshot, grants: Sequence[Grant]) -> View | None:
    """The view that grants give on a dataset; None where no grant admits to it.

    A grant whose filter, columns' masks or filter's columns the dataset lacks admits nothing.
    """
    visible, admission = _seen(snapshot.columns, tuple(map(Part.of, grants)))
    if not visible:
        return None
    is_whole = any(grant.is_whole for grant in grants)
    return View(snapshot.name, visible, admission, is_whole, snapshot.key)


def raw_shape(name: str, columns: Columns) -> Shape:
    """The dataset as it is stored, as something that a grant's filter speaks of."""
    return Shape(
        name=name,
        columns=tuple(Column(column.name, column.type) for column in columns),
        key=(),
        default_order=(),
        parameters=FILTER_PARAMETERS,
    )


def read_filter(text: str, shape: Shape) -> Condition:
    """The condition of a grant's filter, written as a URL's parameters. Raises Invalid."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=100)
    except ValueError as error:
        raise Invalid("The filter is not written as a URL's parameters") from error
    where = parse_url(pairs, shape).where
    if where is None:
        raise Invalid("The filter has no condition")
    return where


@lru_cache(maxsize=4_096)
def _condition(text: str, columns: Columns) -> Condition | None:
    try:
        return read_filter(text, raw_shape("", columns))
    except Invalid:
        return None


def mask_suits(mask: str, kind: ColumnType) -> bool:
    """Whether a mask can be laid on a column of that type."""
    return kind is ColumnType.TIMESTAMP if mask == "year" else True


@lru_cache(maxsize=1_024)
def _seen(columns: Columns, parts: tuple[Part, ...]) -> tuple[tuple[ViewColumn, ...], Condition | None]:
    """The columns of a view and its admission; kept, since a list asks for the same ones all the time."""
    effective = [each for each in (_effective(part, columns) for part in parts) if each is not None]
    admitting = {condition: None for _, condition in effective}
    found = (_view_column(column, effective, {*admitting}) for column in columns)
    visible = tuple(column for column in found if column is not None)
    if not visible or None in admitting:
        return visible, None
    return visible, any_of([condition for condition in admitting if condition is not None])


def _effective(part: Part, columns: Columns) -> Effective | None:
    kinds = {column.name: column.type for column in columns}
    if any(name not in kinds or not mask_suits(mask, kinds[name]) for name, mask in part.masks):
        return None
    if part.filter is None:
        return part, None
    condition = _condition(part.filter, columns)
    return None if condition is None else (part, condition)


def _view_column(
    column: LakeColumn, effective: Sequence[Effective], admitting: set[Condition | None]
) -> ViewColumn | None:
    giving: dict[str | None, list[Condition | None]] = {}
    for part, condition in effective:
        if part.gives(column.name):
            giving.setdefault(part.mask_by_column.get(column.name), []).append(condition)
    alternatives = tuple(_alternatives(giving, admitting))
    return ViewColumn(column, alternatives) if alternatives else None


def _alternatives(
    giving: dict[str | None, list[Condition | None]], admitting: set[Condition | None]
) -> Iterator[Alternative]:
    """The weakest mask first. Whoever is admitted by one of the conditions so far needs no further one."""
    tried: set[Condition | None] = set()
    for mask in sorted(giving, key=strength):
        conditions = list(dict.fromkeys(giving[mask]))
        tried.update(conditions)
        if None in conditions or tried == admitting:
            yield Alternative(mask, None)
            return
        yield Alternative(mask, any_of([condition for condition in conditions if condition is not None]))


def _masked(mask: str | None, kind: ColumnType) -> ColumnType:
    if mask in ("hash", "last4"):
        return ColumnType.TEXT
    return ColumnType.INTEGER if mask == "year" else kind
