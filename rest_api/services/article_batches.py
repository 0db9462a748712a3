"""Batches of articles from elsewhere: the newest version wins, whatever order and however often changes arrive."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from rest_api.database import utc_now
from rest_api.models.article import Article, ArticleTombstone
from rest_api.services import articles, digests

MAX_OPERATIONS = 1_000
LOOKUP_ROWS = 400
Source = tuple[str, str]
Stored = TypeVar("Stored", Article, ArticleTombstone)


@dataclass(frozen=True)
class Operation:
    """One change: of an article by its `id`, or by its origin and id there."""

    index: int
    op: str
    id: int | None = None
    source: Source | None = None
    external_version: int = 0
    title: str = ""
    content: str = ""
    repair: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of an operation; `article` is None where there is none to name."""

    index: int
    outcome: str
    article: Article | None


@dataclass(frozen=True)
class Rejection:
    """An operation that cannot be applied, and why."""

    index: int
    code: str
    detail: str


@dataclass
class _State:
    """The articles and tombstones a batch touches, as they change from operation to operation."""

    by_id: dict[int, Article]
    by_source: dict[Source, Article]
    tombstones: dict[Source, ArticleTombstone]
    told: list[tuple[str, Article]] = field(default_factory=list)


def judge(op: str, version: int, stored: int | None, tombstone: int | None, *, same_content: bool) -> str:
    """The outcome of a change at `version` over what is stored, or over the tombstone where nothing is.

    At equal versions a delete wins over an upsert, so that any order of arrival ends alike.
    """
    if op == "delete":
        return _judge_delete(version, stored, tombstone)
    if stored is None:
        return "created" if tombstone is None or version > tombstone else "stale"
    if version < stored:
        return "stale"
    return "unchanged" if version == stored and same_content else "updated"


def _judge_delete(version: int, stored: int | None, tombstone: int | None) -> str:
    if stored is not None:
        return "deleted" if version >= stored else "stale"
    if tombstone is None or version > tombstone:
        return "deleted"
    return "unchanged" if version == tombstone else "stale"


def apply_batch(session: Session, operations: Sequence[Operation]) -> tuple[list[Outcome], list[Rejection]]:
    """Apply operations in their order; those on unknown ids are rejected, the others stand."""
    state = _load(session, operations)
    outcomes, rejections = _apply_all(session, state, operations)
    for event_type, article in state.told:
        articles.tell(session, event_type, article)
    return outcomes, rejections


def rehearse_batch(session: Session, operations: Sequence[Operation]) -> tuple[list[Outcome], list[Rejection]]:
    """What `apply_batch` would do; everything is as before. Articles that are not there have no number."""
    attempt = session.begin_nested()
    outcomes, rejections = _apply_all(session, _load(session, operations), operations)
    attempt.rollback()
    return [replace(each, article=_if_there(session, each.article)) for each in outcomes], rejections


def _if_there(session: Session, article: Article | None) -> Article | None:
    return article if article is not None and article in session else None


def _apply_all(
    session: Session, state: _State, operations: Sequence[Operation]
) -> tuple[list[Outcome], list[Rejection]]:
    outcomes: list[Outcome] = []
    rejections: list[Rejection] = []
    for operation in operations:
        result = _apply(session, state, operation)
        if isinstance(result, Outcome):
            outcomes.append(result)
        else:
            rejections.append(result)
    session.flush()
    return outcomes, rejections


def _apply(session: Session, state: _State, operation: Operation) -> Outcome | Rejection:
    if operation.source is None:
        return _apply_by_id(session, state, operation)
    stored = state.by_source.get(operation.source)
    grave = state.tombstones.get(operation.source)
    outcome = _judge(operation, stored, grave)
    if outcome == "created":
        stored = _create(session, state, operation)
    elif outcome == "updated" and stored is not None:
        _update(state, stored, operation)
    elif outcome == "deleted":
        _delete_from_source(session, state, operation, stored)
    return Outcome(operation.index, outcome, stored)


def _judge(operation: Operation, stored: Article | None, grave: ArticleTombstone | None) -> str:
    same = stored is not None and (stored.title, stored.content) == (operation.title, operation.content)
    stored_version = None if stored is None else stored.external_version or 0
    if operation.repair:
        return _judge_repair(operation, stored, is_same=same and stored_version == operation.external_version)
    grave_version = grave.external_version if grave else None
    return judge(operation.op, operation.external_version, stored_version, grave_version, same_content=same)


def _judge_repair(operation: Operation, stored: Article | None, *, is_same: bool) -> str:
    if operation.op == "delete":
        return "deleted"
    if stored is None:
        return "created"
    return "unchanged" if is_same else "updated"


def _apply_by_id(session: Session, state: _State, operation: Operation) -> Outcome | Rejection:
    stored = state.by_id.get(operation.id or 0)
    if stored is None:
        return Rejection(operation.index, "not_found", "There is no such article")
    if operation.op == "delete":
        _remove(session, state, stored)
        articles.bury(session, stored)
        return Outcome(operation.index, "deleted", stored)
    if (stored.title, stored.content) == (operation.title, operation.content):
        return Outcome(operation.index, "unchanged", stored)
    _set(state, stored, operation)
    return Outcome(operation.index, "updated", stored)


def _create(session: Session, state: _State, operation: Operation) -> Article:
    assert operation.source is not None  # noqa: S101  (an operation without one went by its id)
    now = utc_now()
    article = Article(
        title=operation.title,
        content=operation.content,
        origin=operation.source[0],
        external_id=operation.source[1],
        external_version=operation.external_version,
        version=1,
        created_at=now,
        updated_at=now,
    )
    digests.stamp(article)
    grave = state.tombstones.pop(operation.source, None)
    if grave is not None:
        session.flush()  # a row of this source may have gone in this very batch, and inserts are written first
        session.delete(grave)
    session.add(article)
    state.by_source[operation.source] = article
    state.told.append(("article.created", article))
    return article


def _update(state: _State, article: Article, operation: Operation) -> None:
    article.external_version = operation.external_version
    _set(state, article, operation)


def _set(state: _State, article: Article, operation: Operation) -> None:
    article.title, article.content = operation.title, operation.content
    article.version += 1
    article.updated_at = utc_now()
    digests.stamp(article)
    state.told.append(("article.updated", article))


def _delete_from_source(session: Session, state: _State, operation: Operation, stored: Article | None) -> None:
    assert operation.source is not None  # noqa: S101
    if stored is not None:
        _remove(session, state, stored)
    origin, external_id = operation.source
    grave = state.tombstones.get(operation.source)
    if grave is None:
        grave = ArticleTombstone(origin=origin, external_id=external_id)
        session.add(grave)
        state.tombstones[operation.source] = grave
    grave.external_version = operation.external_version
    grave.deleted_at = utc_now()


def _remove(session: Session, state: _State, article: Article) -> None:
    if article in session.new:  # created in this very batch, it has no row yet
        session.flush()
    state.by_id.pop(article.id, None)
    if article.origin is not None and article.external_id is not None:
        state.by_source.pop((article.origin, article.external_id), None)
    session.delete(article)
    state.told.append(("article.deleted", article))


def _load(session: Session, operations: Iterable[Operation]) -> _State:
    operations = list(operations)
    ids = sorted({operation.id for operation in operations if operation.id is not None})
    sources = sorted({operation.source for operation in operations if operation.source is not None})
    found: list[Article] = []
    graves: list[ArticleTombstone] = []
    for chunk in _chunks(ids):
        found += session.scalars(select(Article).where(Article.id.in_(chunk)).with_for_update())
    for origin, group in groupby(sources, key=itemgetter(0)):
        for chunk in _chunks([external_id for _, external_id in group]):
            found += session.scalars(_from_source(Article, origin, chunk))
            graves += session.scalars(_from_source(ArticleTombstone, origin, chunk))
    return _State(
        by_id={article.id: article for article in found},
        by_source={
            (article.origin, article.external_id): article
            for article in found
            if article.origin is not None and article.external_id is not None
        },
        tombstones={(grave.origin, grave.external_id): grave for grave in graves},
    )


def _from_source(model: type[Stored], origin: str, external_ids: Sequence[str]) -> Select[Stored]:
    is_wanted = (model.origin == origin) & model.external_id.in_(external_ids)
    return select(model).where(is_wanted).with_for_update()


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + LOOKUP_ROWS] for start in range(0, len(values), LOOKUP_ROWS))
