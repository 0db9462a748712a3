"""What is selected under rows, fetched level by level: one call for each entity and hundred keys, however many rows."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from graphql import GraphQLObjectType

from graphql_gateway.errors import Failure, not_found
from graphql_gateway.rest_client import Call, Core
from graphql_gateway.types.entities import Entity, Many, One, Pairs, Row, entity_of, list_pairs, page_size
from graphql_gateway.types.filters import quoted
from graphql_gateway.types.selections import Selection

MAX_KEYS = 100
DEFAULT_PER_PARENT, MAX_PER_PARENT = 10, 100
Found = dict[Any, list[Row]]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Group:
    """Rows of one entity and what is selected of them."""

    rows: Sequence[Row]
    selection: Selection


@dataclass(frozen=True)
class Lookup:
    """Where rows are looked up by a column; `extra` are the parameters of a list, `per_parent` its length."""

    type: GraphQLObjectType
    column: str
    per_parent: int | None = None
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def entity(self) -> Entity:
        """Whose rows."""
        return entity_of(self.type)


@dataclass(frozen=True)
class Want:
    """A field of a group's rows that a lookup fills."""

    group: Group
    join: One | Many
    key: str
    selection: Selection
    lookup: Lookup

    @cached_property
    def keys(self) -> set[Any]:
        """What is looked up."""
        column = self.join.key
        return {row[column] for row in self.group.rows} - {None}

    @property
    def columns(self) -> set[str]:
        """What is told of those found, and by which column they are."""
        return {*self.lookup.entity.selected_columns(self.selection), self.lookup.column}


@dataclass
class Need:
    """All that is wanted of one lookup."""

    keys: set[Any] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)


async def shown(core: Core, rows: Sequence[Row], selection: Selection) -> list[Row]:
    """Rows of the core as what is selected of them: fields under their names, other entities under their rows."""
    found = entity_of(selection.type).shaped(rows, selection)
    await join(core, found, selection)
    return found


async def shown_one(core: Core, row: Row, selection: Selection) -> Row:
    """One row, as `shown` has it."""
    return (await shown(core, [row], selection))[0]


async def join(core: Core, rows: Sequence[Row], selection: Selection) -> None:
    """Give rows what is selected of other entities under them.

    What cannot be had, for a key or for a whole call, stands in the row as the Failure that its field is answered by.
    """
    level = [Group(rows, selection)]
    while level:
        wants = [want for group in level for want in _wants(group)]
        found = await _look_up(core, wants)
        level = [_attached(want, found[want.lookup]) for want in wants]


def _wants(group: Group) -> Iterator[Want]:
    joins = entity_of(group.selection.type).joins
    for name in sorted(group.selection.names & joins.keys()):
        joined = joins[name]
        if isinstance(joined, One):
            selection = group.selection.below(name)
            yield Want(group, joined, name, selection, Lookup(selection.type, joined.column))
        else:
            yield from (_list(group, joined, key) for key in group.selection.keys_of(name))


def _list(group: Group, joined: Many, response_key: str) -> Want:
    selection, arguments = group.selection.at(response_key), group.selection.arguments(response_key)
    size = page_size(arguments.get("first"), DEFAULT_PER_PARENT, MAX_PER_PARENT)
    lookup = Lookup(selection.type, joined.column, size, tuple(list_pairs(arguments)))
    return Want(group, joined, response_key, selection, lookup)


async def _look_up(core: Core, wants: Iterable[Want]) -> dict[Lookup, Found | Failure]:
    needs: dict[Lookup, Need] = {}
    for want in wants:
        need = needs.setdefault(want.lookup, Need())
        need.keys |= want.keys
        need.columns |= want.columns
    found = await _together([_found(core, lookup, need) for lookup, need in needs.items()])
    return dict(zip(needs, found, strict=True))


async def _found(core: Core, lookup: Lookup, need: Need) -> Found | Failure:
    if need.columns == {lookup.column} and lookup.per_parent is None:
        return {key: [{lookup.column: key}] for key in need.keys}
    try:
        rows = await looked_up(core, lookup, need.keys, need.columns)
    except Failure as failure:
        return failure
    found: Found = {}
    for row in rows:
        found.setdefault(row[lookup.column], []).append(row)
    return found


async def _together(waiting: Sequence[Coroutine[Any, Any, Answer]]) -> Sequence[Answer]:
    """All answers, in their order; most often there is one to wait for, which needs no task of its own."""
    return [await waiting[0]] if len(waiting) == 1 else await asyncio.gather(*waiting)


async def looked_up(core: Core, lookup: Lookup, keys: Iterable[Any], columns: Iterable[str]) -> list[Row]:
    """The rows of some keys, by one call for each hundred. Raises as Core.read does."""
    ordered, select = sorted(keys), lookup.entity.select(columns)
    chunks = [ordered[start : start + MAX_KEYS] for start in range(0, len(ordered), MAX_KEYS)]
    pages = await _together([_rows(core, lookup, chunk, select) for chunk in chunks])
    return [row for page in pages for row in page]


async def _rows(core: Core, lookup: Lookup, keys: Sequence[Any], select: Pairs) -> list[Row]:
    route = lookup.entity.route
    page = await core.read(Call("GET", route, route, _query(lookup, keys, select)))
    rows: list[Row] = page["data"]
    if not page.get("truncated") or len(keys) == 1:
        return rows
    middle = len(keys) // 2
    halves = await _together([_rows(core, lookup, half, select) for half in (keys[:middle], keys[middle:])])
    return [row for half in halves for row in half]


def _query(lookup: Lookup, keys: Sequence[Any], select: Pairs) -> Pairs:
    wanted = [(lookup.column, f"in.({','.join(map(quoted, keys))})"), *select]
    if lookup.per_parent is None:
        return [*wanted, ("limit", str(len(keys)))]
    return [*wanted, ("limit", str(lookup.per_parent)), ("limit_per", lookup.column), *lookup.extra]


def _attached(want: Want, found: Found | Failure) -> Group:
    """The rows that a want has put under those of its group, each parent's own where there are lists."""
    own: Found = {} if isinstance(found, Failure) else _copies(want, found)
    values = dict.fromkeys(want.keys, found) if isinstance(found, Failure) else _values(want, own)
    absent: Any = None if isinstance(want.join, One) else []
    name, column = want.key, want.join.key
    for row in want.group.rows:
        row[name] = values.get(row[column], absent)
    return Group([row for rows in own.values() for row in rows], want.selection)


def _copies(want: Want, found: Found) -> Found:
    """The rows of each key, shaped as this want has it; another may want the same ones."""
    copies = {key: [dict(row) for row in found.get(key, ())] for key in want.keys}
    want.lookup.entity.shaped((row for rows in copies.values() for row in rows), want.selection)
    return copies


def _values(want: Want, found: Found) -> dict[Any, Any]:
    """What stands under the rows that have a key: a list, or the one row."""
    if isinstance(want.join, Many):
        return found
    type_ = want.lookup.entity.type
    return {key: rows[0] if rows else not_found(type_, key) for key, rows in found.items()}
