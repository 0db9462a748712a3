"""Lists of the core as Relay connections: nodes, edges, pageInfo and totalCount, with opaque cursors.

The core seals one cursor a page, for what comes after it. A cursor here is such a place and a number of rows beyond it,
so that the list goes on after any edge: where the number is not 0, the rows skipped are asked for once more.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson
from ariadne.types import SchemaBindable

from graphql_gateway.errors import invalid
from graphql_gateway.rest_client import Call, Core, Info
from graphql_gateway.types.entities import Pairs, Row, entity_of, list_pairs, page_size
from graphql_gateway.types.joins import shown
from graphql_gateway.types.selections import Selection

DEFAULT_FIRST, MAX_FIRST = 20, 100
CURSOR = re.compile(r"([0-9]{1,3})\.(.*)", re.DOTALL)


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    return []


@dataclass(frozen=True)
class Place:
    """A place in a list: so many rows after what the core's cursor `start` leads to, or after the beginning."""

    start: str | None = None
    rows: int = 0

    @classmethod
    def read(cls, cursor: str | None) -> "Place":
        """The place that a cursor of ours names. Raises Refusal."""
        if cursor is None:
            return cls()
        found = CURSOR.fullmatch(cursor)
        if found is None or int(found[1]) > MAX_FIRST:
            raise invalid("after takes a cursor of this list: an edge's, or the pageInfo's")
        return cls(found[2] or None, int(found[1]))

    def after(self, rows: int) -> str:
        """The cursor of the place so many rows further on."""
        return f"{self.rows + rows}.{self.start or ''}"


class Source(Protocol):
    """A list of the core: how many rows a page has by default and at most, and the call for one."""

    @property
    def default(self) -> int: ...
    @property
    def most(self) -> int: ...
    def call(self, limit: int, start: str | None, count: Pairs) -> Call: ...


@dataclass(frozen=True)
class UrlSource:
    """A list asked for by its URL; `query` are the parameters that stay the same on all pages."""

    route: str
    path: str
    query: Pairs
    default: int = DEFAULT_FIRST
    most: int = MAX_FIRST
    parse: Callable[[bytes], Any] = orjson.loads

    def call(self, limit: int, start: str | None, count: Pairs) -> Call:
        """The call for one page."""
        cursor = [] if start is None else [("cursor", start)]
        query = [*self.query, ("limit", str(limit)), *cursor, *count]
        return Call("GET", self.route, self.path, query, parse=self.parse)


async def entity_connection(info: Info, route: str, path: str, arguments: Mapping[str, Any]) -> Row:
    """A list of entities, with all that is selected under them."""
    selection = node_selection(info)
    entity = entity_of(selection.type)
    query = [*entity.select(entity.selected_columns(selection)), *list_pairs(arguments)]
    rows, told = await connection(info, UrlSource(route, path, query), arguments)
    await shown(info.context, rows, selection)
    return told


async def connection(
    info: Info, source: Source, arguments: Mapping[str, Any], shaped: Callable[[Row], Row] = lambda row: row
) -> tuple[Sequence[Row], Row]:
    """The rows of a page, and the connection that shows these very rows, with what else the core says of the page.

    Raises as Core.read does.
    """
    asked = Selection.of(info)
    size = page_size(arguments.get("first"), source.default, source.most)
    count: Pairs = [("count", "exact")] if "totalCount" in asked.names else []
    place = Place.read(arguments.get("after"))
    page, place = await _page(info.context, source, place, size, count)
    rows = [shaped(row) for row in page["data"]]
    told = _connection(rows, place, page["next"])
    told["pageInfo"]["hasPreviousPage"] = arguments.get("after") is not None
    return rows, {**page, **told, "totalCount": page.get("count")}


def node_selection(info: Info) -> Selection:
    """What is selected of a connection's nodes, directly and through its edges."""
    asked = Selection.of(info)
    nodes, edged = asked.below("nodes"), asked.below("edges").below("node")
    return replace(nodes, nodes=(*nodes.nodes, *edged.nodes))


async def _page(core: Core, source: Source, place: Place, size: int, count: Pairs) -> tuple[Mapping[str, Any], Place]:
    if not place.rows:
        return await core.read(source.call(size, place.start, count)), place
    skipped = await core.read(source.call(place.rows, place.start, count))
    if skipped["next"] is None:
        return {**skipped, "data": []}, place
    place = Place(skipped["next"])
    return await core.read(source.call(size, place.start, count)), place


def _connection(rows: Sequence[Row], place: Place, following: str | None) -> Row:
    cursors = [place.after(number) for number in range(1, len(rows) + 1)]
    if cursors and following is not None:
        cursors[-1] = Place(following).after(0)
    info: Row = {
        "hasNextPage": following is not None,
        "startCursor": cursors[0] if cursors else None,
        "endCursor": cursors[-1] if cursors else None,
    }
    edges = [{"cursor": cursor, "node": row} for cursor, row in zip(cursors, rows, strict=True)]
    return {"nodes": rows, "edges": edges, "pageInfo": info}
