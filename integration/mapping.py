"""Where base A keeps what: tables and columns, by default those of the demo's base A, else from a TOML file."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from integration.errors import Misconfigured


@dataclass(frozen=True)
class Articles:
    """The table of articles; without `row_version` the version is `updated_at` in µs."""

    table: str = "articles"
    id: str = "id"
    title: str = "title"
    content: str = "content"
    updated_at: str = "updated_at"
    row_version: str | None = "row_version"


@dataclass(frozen=True)
class Tombstones:
    """The table of deleted keys."""

    table: str = "article_tombstones"
    id: str = "id"
    deleted_at: str = "deleted_at"
    row_version: str | None = "row_version"


@dataclass(frozen=True)
class SourceMapping:
    """Both; without `tombstones` only a reconcile finds deletes. `is_given` where a file said so."""

    articles: Articles = Articles()
    tombstones: Tombstones | None = Tombstones()
    is_given: bool = False


Table = TypeVar("Table", Articles, Tombstones)


def read_mapping(path: Path | None) -> SourceMapping:
    """The mapping of a file, or the default one. Raises Misconfigured."""
    if path is None:
        return SourceMapping()
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misconfigured(f"The mapping {path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured(f"The mapping {path} is not TOML: {error}") from error
    _check_names(given, ("articles", "tombstones"), "a mapping")
    articles = _table(Articles(row_version=None), given.get("articles", {}), "articles")
    tombstones = (
        _table(Tombstones(row_version=None), given["tombstones"], "tombstones") if "tombstones" in given else None
    )
    if tombstones and (tombstones.row_version is None) != (articles.row_version is None):
        raise Misconfigured(
            "Either both tables of the mapping name a row_version or neither does: versions have one scale"
        )
    return SourceMapping(articles, tombstones, is_given=True)


def _table(default: Table, given: Any, name: str) -> Table:
    if not isinstance(given, dict) or not all(isinstance(value, str) and value for value in given.values()):
        raise Misconfigured(f"[{name}] of the mapping takes names in quotes")
    _check_names(given, [field.name for field in fields(default)], f"[{name}] of the mapping")
    return replace(default, **given)


def _check_names(given: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise Misconfigured(f"{where} knows no {name!r}{did_you_mean(name, known)}".capitalize())


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The end of a sentence that names what is near, else what there is."""
    near = get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}"
