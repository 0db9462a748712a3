"""A dataset as the catalog shows it, and what may be asked of the list of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from rest_api.query.conditions import Column, ColumnType, Comparison, Order, Query, Shape
from rest_api.query.description import equality_parameter, query_parameters, select_parameter
from rest_api.query.grammar import parse_url
from rest_api.query.values import wrong
from rest_api.resources.listing import Pairs
from rest_api.services import descriptions
from rest_api.services.datasets import Opened

MOST_NAMES = 100
NAME = Column("name", ColumnType.TEXT, "name of the dataset")
DATASETS = Shape(
    name="datasets",
    columns=(NAME,),
    key=("name",),
    default_order=(Order("name"),),
    parameters=("select", "limit", "cursor"),
)


def _columns(opened: Opened) -> list[dict[str, Any]]:
    return [
        {"name": column.name, "type": column.type.value, "mask": any(way.mask for way in column.alternatives)}
        for column in opened.view.columns
    ]


FOUND: Mapping[str, Callable[[Opened], Any]] = {
    "name": lambda opened: opened.snapshot.name,
    "kind": lambda opened: opened.snapshot.kind,
    "columns": _columns,
    "rows": lambda opened: opened.snapshot.rows if opened.view.admission is None else None,
    "bytes": lambda opened: opened.snapshot.size_bytes if opened.view.is_whole else None,
    "version": lambda opened: opened.snapshot.version if opened.view.is_whole else None,
    "privileges": lambda opened: opened.privileges,
}
"""What the lake and the grants tell."""
SAID = ("description", "owner", "tags", "key", "time_column")
MEMBERS = ("name", "kind", "columns", "rows", "bytes", "version", *SAID, "privileges")
SELECTABLE = replace(DATASETS, columns=tuple(Column(name, ColumnType.JSON) for name in MEMBERS), parameters=("select",))


def shown(session: Session, opened: Sequence[Opened], members: Sequence[str] = MEMBERS) -> list[dict[str, Any]]:
    """Datasets as their caller may see them; nothing is looked at for a member that is not asked for."""
    nothing = [descriptions.NOTHING] * len(opened)
    said = nothing if set(SAID).isdisjoint(members) else descriptions.read_all(session, opened)
    return [
        {name: getattr(about, name) if name in SAID else FOUND[name](each) for name in members}
        for each, about in zip(opened, said, strict=True)
    ]


def read_query(pairs: Pairs) -> Query:
    """What the URL of the list asks for. Raises Invalid."""
    selected = [pair for pair in pairs if pair[0] == "select"]
    query = parse_url([pair for pair in pairs if pair[0] != "select"], DATASETS)
    if query.where is not None:
        names_in(query)
    return replace(query, select=parse_url(selected, SELECTABLE).select)


def names_in(query: Query) -> tuple[str, ...]:
    """The names that a query with a condition asks for. Raises Invalid for another condition, or too many names."""
    where = query.where
    if not isinstance(where, Comparison) or where.op not in ("eq", "in"):
        raise wrong("name", "name is given once, and takes eq or in")
    names: tuple[str, ...] = where.value if where.op == "in" else (where.value,)
    if len(names) > MOST_NAMES:
        raise wrong("name", f"name takes at most {MOST_NAMES} names")
    return names


def parameters() -> list[dict[str, Any]]:
    """What the API description says of the list's parameters."""
    told = {each["name"]: each for each in query_parameters(DATASETS)}
    told |= {"name": equality_parameter(NAME, MOST_NAMES), "select": select_parameter(SELECTABLE)}
    return list(told.values())
