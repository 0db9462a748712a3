"""Versions of a table: told, compared and restored, each as far as somebody sees of them."""

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from rest_api.backends.catalog import Catalog
from rest_api.backends.history import Version
from rest_api.errors import Forbidden, NotFound
from rest_api.lake.diffs import Diff, Side
from rest_api.lake.grants import MANAGE
from rest_api.services import changes, descriptions
from rest_api.services.changes import Change, Intent
from rest_api.services.datasets import Asked, Datasets, Opened
from rest_api.services.rights import Reader


def told(opened: Opened, version: Version) -> dict[str, Any]:
    """A version for somebody. Who sees a part is not told what a commit did: it may be that he sees nothing of it."""
    is_whole = opened.view.is_whole
    return {
        "number": version.number,
        "at": version.at,
        "operation": version.operation if is_whole else None,
        "rows": version.rows if is_whole else None,
        "who": version.user_name if is_whole else None,
    }


def diff_between(session: Session, before: Opened, after: Opened, limit: int, offset: int) -> Diff:
    """The comparison of two versions; by the dataset's key where its columns are seen as they are in both."""
    said = descriptions.read(session, after).key
    views = (before.view, after.view)
    is_seen = all(name in view.by_name and view.by_name[name].is_plain for view in views for name in said)
    sides = Side(before.snapshot, before.view), Side(after.snapshot, after.view)
    return Diff(*sides, key=tuple(said) if is_seen else (), limit=limit, offset=offset)


def restorable(datasets: Datasets, session: Session, reader: Reader, name: str, version: int) -> Opened:
    """The version that is to become the newest again.

    Raises Forbidden for who does not manage the whole dataset, NotFound, Gone, Conflict `dataset_not_versioned`.
    """
    newest = datasets.open(session, reader, Asked(name, MANAGE))
    if not newest.view.is_whole:
        raise Forbidden("This call needs the privilege manage on the whole dataset")
    wanted = datasets.open(session, reader, Asked(name, MANAGE, version=version))
    if wanted.snapshot.identity != newest.snapshot.identity:
        raise NotFound("The table was another one at that version", code="version_not_found")
    return wanted


def restore(engine: Engine, catalog: Catalog, intent: Intent, wanted: Opened) -> Change:
    """Make a version the newest one again, once for each call. Raises Gone `version_gone`, Conflict."""
    return changes.carry_out(engine, catalog, intent, lambda change: catalog.restore(wanted.snapshot, change.metadata))
