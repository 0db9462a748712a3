"""The articles and tombstones that a batch touches: read at once, changed as values, written at once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Table, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from rest_api.database import utc_now
from rest_api.models.article import Article, ArticleTombstone
from rest_api.models.base import Base
from rest_api.services import digests

LOOKUP_ROWS = 400
Source = tuple[str, str]
_ARTICLES: Table = Base.metadata.tables[Article.__tablename__]
_GRAVES: Table = Base.metadata.tables[ArticleTombstone.__tablename__]
_READ = ("id", "title", "content", "author_id", "origin", "external_id", "external_version", "version")
_SET = ("title", "content", "external_version", "external_number", "row_hash", "version", "updated_at")
# In the order of the rows it would go row by row on SQLite.
_INSERT = insert(_ARTICLES).returning(_ARTICLES.c.id, _ARTICLES.c.origin, _ARTICLES.c.external_id)
_UPDATE = (
    update(_ARTICLES)
    .where(_ARTICLES.c.id == bindparam("key"))
    .values({name: bindparam(f"new_{name}") for name in _SET})
)


@dataclass(slots=True)
class Draft:
    """An article as a batch changes it; without an id it has not been written yet."""

    id: int | None
    title: str
    content: str
    author_id: int | None
    origin: str | None
    external_id: str | None
    external_version: int | None
    version: int
    is_new: bool = False

    @property
    def source(self) -> Source | None:
        """Its origin and its id there."""
        return None if self.origin is None or self.external_id is None else (self.origin, self.external_id)

    def stored(self, now: datetime) -> dict[str, Any]:
        """What its row has that a change may change."""
        number, hashed = digests.marks(self.external_id, self.external_version, self.title, self.content)
        return {
            "title": self.title,
            "content": self.content,
            "external_version": self.external_version,
            "external_number": number,
            "row_hash": hashed,
            "version": self.version,
            "updated_at": now,
        }


@dataclass
class Drafts:
    """Them all, by id and by source; `graves` are the versions of tombstones, `told` what is to be said of each."""

    session: Session
    by_id: dict[int, Draft] = field(default_factory=dict)
    by_source: dict[Source, Draft] = field(default_factory=dict)
    graves: dict[Source, int] = field(default_factory=dict)
    told: list[tuple[str, Draft]] = field(default_factory=list)
    _now: datetime = field(default_factory=utc_now)
    _created: list[Draft] = field(default_factory=list)
    _changed: dict[int, Draft] = field(default_factory=dict)
    _removed: list[int] = field(default_factory=list)
    _dug: set[Source] = field(default_factory=set)

    @classmethod
    def load(cls, session: Session, ids: Iterable[int], sources: Iterable[Source]) -> "Drafts":
        """Those of some ids and sources, locked until the transaction ends."""
        drafts = cls(session)
        for chunk in _chunks(sorted(ids)):
            drafts._add(_ARTICLES.c.id.in_(chunk))
        for origin, chunk in _by_origin(sources):
            drafts._add(_is_from(_ARTICLES, origin, chunk))
            wanted = select(_GRAVES.c.external_id, _GRAVES.c.external_version).where(_is_from(_GRAVES, origin, chunk))
            for external_id, version in session.execute(wanted.with_for_update()):
                drafts.graves[origin, external_id] = version
        return drafts

    def _add(self, wanted: Any) -> None:
        for row in self.session.execute(select(*(_ARTICLES.c[name] for name in _READ)).where(wanted).with_for_update()):
            draft = self.by_id.setdefault(row.id, Draft(*row))
            if draft.source is not None:
                self.by_source[draft.source] = draft

    def create(self, source: Source, external_version: int, title: str, content: str) -> Draft:
        """A new article in the place of a tombstone, if there is one."""
        origin, external_id = source
        draft = Draft(None, title, content, None, origin, external_id, external_version, 1, is_new=True)
        if self.graves.pop(source, None) is not None:
            self._dug.add(source)
        self.by_source[source] = draft
        self._created.append(draft)
        self.told.append(("article.created", draft))
        return draft

    def change(self, draft: Draft, external_version: int | None, title: str, content: str) -> None:
        """Other texts, another version."""
        draft.external_version, draft.title, draft.content = external_version, title, content
        draft.version += 1
        if draft.id is not None:
            self._changed[draft.id] = draft
        self.told.append(("article.updated", draft))

    def remove(self, draft: Draft) -> None:
        """An article goes; what was created in this very batch is written before, for its number."""
        if draft.id is None:
            self.write()
        assert draft.id is not None  # noqa: S101  (written by now)
        self._changed.pop(draft.id, None)
        self._removed.append(draft.id)
        self.by_id.pop(draft.id, None)
        if draft.source is not None:
            self.by_source.pop(draft.source, None)
        self.told.append(("article.deleted", draft))

    def bury(self, source: Source, external_version: int) -> None:
        """A tombstone at a version, whatever was there."""
        self.graves[source] = external_version
        self._dug.add(source)

    def write(self) -> None:
        """Bring the database to where the values are; what goes makes room for what comes."""
        connection = self.session.connection()
        for chunk in _chunks(self._removed):
            connection.execute(delete(_ARTICLES).where(_ARTICLES.c.id.in_(chunk)))
        if self._created:
            made = connection.execute(_INSERT, [self._row(draft) for draft in self._created])
            ids = {(origin, external_id): number for number, origin, external_id in made}
            for draft in self._created:
                draft.id = ids[draft.origin, draft.external_id]
        if self._changed:
            changed = ((key, draft.stored(self._now)) for key, draft in self._changed.items())
            given = [{"key": key} | {f"new_{name}": row[name] for name in _SET} for key, row in changed]
            connection.execute(_UPDATE, given)
        self._write_graves()
        self._removed, self._created, self._changed, self._dug = [], [], {}, set()

    def _row(self, draft: Draft) -> dict[str, Any]:
        named = {"origin": draft.origin, "external_id": draft.external_id, "created_at": self._now}
        return draft.stored(self._now) | named

    def _write_graves(self) -> None:
        connection = self.session.connection()
        for origin, chunk in _by_origin(self._dug):
            connection.execute(delete(_GRAVES).where(_is_from(_GRAVES, origin, chunk)))
        kept = [(source, self.graves[source]) for source in self._dug if source in self.graves]
        if kept:
            rows = [
                {"origin": origin, "external_id": name, "external_version": version, "deleted_at": self._now}
                for (origin, name), version in kept
            ]
            connection.execute(insert(_GRAVES), rows)


def _is_from(table: Any, origin: str, external_ids: Sequence[str]) -> Any:
    return (table.c.origin == origin) & table.c.external_id.in_(external_ids)


def _by_origin(sources: Iterable[Source]) -> Iterator[tuple[str, Sequence[str]]]:
    for origin, group in groupby(sorted(sources), key=itemgetter(0)):
        for chunk in _chunks([external_id for _, external_id in group]):
            yield origin, chunk


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[start : start + LOOKUP_ROWS] for start in range(0, len(values), LOOKUP_ROWS))
