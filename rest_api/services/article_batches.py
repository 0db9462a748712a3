"""Batches of articles from elsewhere: the newest version wins, whatever order and however often changes arrive."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from rest_api.services import articles
from rest_api.services.article_drafts import Draft, Drafts, Source

MAX_OPERATIONS = 1_000


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
    article: Draft | None


@dataclass(frozen=True)
class Rejection:
    """An operation that cannot be applied, and why."""

    index: int
    code: str
    detail: str


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
    drafts = _load(session, operations)
    outcomes, rejections = _apply_all(drafts, operations)
    for event_type, draft in drafts.told:
        articles.tell(session, event_type, draft)
    return outcomes, rejections


def rehearse_batch(session: Session, operations: Sequence[Operation]) -> tuple[list[Outcome], list[Rejection]]:
    """What `apply_batch` would do; everything is as before. Articles that are not there have no number."""
    attempt = session.begin_nested()
    outcomes, rejections = _apply_all(_load(session, operations), operations)
    attempt.rollback()
    return [replace(each, article=_if_there(each.article)) for each in outcomes], rejections


def _if_there(draft: Draft | None) -> Draft | None:
    return None if draft is None or draft.is_new else draft


def _load(session: Session, operations: Sequence[Operation]) -> Drafts:
    ids = {operation.id for operation in operations if operation.id is not None}
    return Drafts.load(session, ids, {operation.source for operation in operations if operation.source is not None})


def _apply_all(drafts: Drafts, operations: Sequence[Operation]) -> tuple[list[Outcome], list[Rejection]]:
    outcomes: list[Outcome] = []
    rejections: list[Rejection] = []
    for operation in operations:
        result = _apply(drafts, operation)
        if isinstance(result, Outcome):
            outcomes.append(result)
        else:
            rejections.append(result)
    drafts.write()
    return outcomes, rejections


def _apply(drafts: Drafts, operation: Operation) -> Outcome | Rejection:
    source = operation.source
    if source is None:
        return _apply_by_id(drafts, operation)
    stored = drafts.by_source.get(source)
    outcome = _judge(operation, stored, drafts.graves.get(source))
    if outcome == "created":
        stored = drafts.create(source, operation.external_version, operation.title, operation.content)
    elif outcome == "updated" and stored is not None:
        drafts.change(stored, operation.external_version, operation.title, operation.content)
    elif outcome == "deleted":
        if stored is not None:
            drafts.remove(stored)
        drafts.bury(source, operation.external_version)
    return Outcome(operation.index, outcome, stored)


def _judge(operation: Operation, stored: Draft | None, grave_version: int | None) -> str:
    same = stored is not None and (stored.title, stored.content) == (operation.title, operation.content)
    stored_version = None if stored is None else stored.external_version or 0
    if operation.repair:
        return _judge_repair(operation, stored, is_same=same and stored_version == operation.external_version)
    return judge(operation.op, operation.external_version, stored_version, grave_version, same_content=same)


def _judge_repair(operation: Operation, stored: Draft | None, *, is_same: bool) -> str:
    if operation.op == "delete":
        return "deleted"
    if stored is None:
        return "created"
    return "unchanged" if is_same else "updated"


def _apply_by_id(drafts: Drafts, operation: Operation) -> Outcome | Rejection:
    stored = drafts.by_id.get(operation.id or 0)
    if stored is None:
        return Rejection(operation.index, "not_found", "There is no such article")
    if operation.op == "delete":
        drafts.remove(stored)
        if stored.source is not None:
            drafts.bury(stored.source, stored.external_version or 0)
        return Outcome(operation.index, "deleted", stored)
    if (stored.title, stored.content) == (operation.title, operation.content):
        return Outcome(operation.index, "unchanged", stored)
    drafts.change(stored, stored.external_version, operation.title, operation.content)
    return Outcome(operation.index, "updated", stored)
