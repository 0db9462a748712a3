"""Uploads: where a file goes and as what, who may send it there, and its way into the lake."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine as Database
from sqlalchemy.orm import Session

from rest_api.backends.delta import Committed
from rest_api.backends.lake import Lake
from rest_api.backends.parsing import Format, Kind
from rest_api.backends.storage import refusing_full_disks
from rest_api.backends.writing import Stamp
from rest_api.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from rest_api.lake.grants import MANAGE, WRITE, Grant
from rest_api.lake.names import is_name, is_within, may_be_created, path_of
from rest_api.lake.snapshots import FILES, TABLE
from rest_api.services import changes
from rest_api.services.changes import Change, Intent
from rest_api.services.datasets import Asked, Datasets, Opened
from rest_api.services.rights import Reader, grants_of
from rest_api.services.writes import APPEND, CREATE, OVERWRITE, Staged, Target, Writes, target_of

KINDS = (FILES, TABLE)
MODES = (CREATE, APPEND, OVERWRITE)


@dataclass(frozen=True)
class Wanted:
    """What an upload is to become; kind and mode are None where its sender leaves them to what is there."""

    dataset: str
    kind: str | None = None
    mode: str | None = None


@dataclass(frozen=True)
class Destination:
    """Where a file goes: into a table, into a folder of files, or into a dataset that is not there yet."""

    dataset: str
    kind: str
    mode: str
    table: Target | None = None
    identity: str | None = None


@dataclass(frozen=True)
class Sent:
    """A file that was received, and what its name says of its format."""

    file: Path
    format: Format


def require_some_right(session: Session, reader: Reader) -> None:
    """Raises Forbidden for who can write nothing: his file need not be read."""
    if not any(grant.gives(WRITE) for grant in grants_of(session, reader)):
        raise Forbidden("This call needs the privilege write on some dataset, or manage on a folder")


def destination(datasets: Datasets, session: Session, reader: Reader, wanted: Wanted) -> Destination:
    """Where the file goes. Raises Invalid, NotFound, Forbidden, Conflict.

    Who may not make a dataset is told the same whether or not there is one that he does not see.
    """
    if not is_name(wanted.dataset):
        raise _no_name(wanted.dataset)
    grants = grants_of(session, reader)
    may_create = _may_create(grants, wanted.dataset)
    if wanted.mode == CREATE and not may_create:
        raise datasets.absent(wanted.dataset, grants)
    if wanted.mode == CREATE:
        return _new(wanted)
    try:
        opened = datasets.open(session, reader, Asked(wanted.dataset, WRITE))
    except NotFound:
        if wanted.mode is not None or not may_create:
            raise
        return _new(wanted)
    return _there(session, opened, wanted)


def _may_create(grants: tuple[Grant, ...], name: str) -> bool:
    return any(
        grant.path is not None and grant.is_whole and grant.gives(MANAGE) and is_within(path_of(name), grant.path)
        for grant in grants
    )


def _new(wanted: Wanted) -> Destination:
    if not may_be_created(wanted.dataset):
        raise _no_name(wanted.dataset)
    return Destination(wanted.dataset, wanted.kind or TABLE, CREATE)


def _there(session: Session, opened: Opened, wanted: Wanted) -> Destination:
    snapshot, mode = opened.snapshot, wanted.mode or APPEND
    if mode == OVERWRITE and not any(grant.gives(MANAGE) and grant.is_whole for grant in opened.grants):
        raise Forbidden("This call needs the privilege manage on the whole dataset")
    if snapshot.kind not in KINDS or (wanted.kind or snapshot.kind) != snapshot.kind:
        raise Conflict(f"The dataset is of the kind {snapshot.kind}")
    if snapshot.kind == TABLE:
        return Destination(snapshot.name, TABLE, mode, target_of(session, opened), snapshot.identity)
    if mode == OVERWRITE:
        raise Conflict("Only tables are overwritten; this dataset is a folder of files")
    if snapshot.partition_columns:
        raise Conflict("Nothing is put into a folder whose files lie in partitions")
    return Destination(snapshot.name, FILES, mode, identity=snapshot.identity)


def _no_name(name: str) -> Invalid:
    detail = "A dataset's name is lower-case letters, digits, _ and -, with a dot between folders, such as sales.orders"
    return Invalid(f"{name[:100]!r} is no name of a dataset. {detail}", errors=[FieldError("dataset", detail)])


@dataclass(frozen=True)
class Uploads:
    """Parses received files and commits them."""

    database: Database
    lake: Lake
    writes: Writes

    def commit(self, destination: Destination, sent: Sent, intend: Callable[[Destination, int], Intent]) -> Change:
        """Parse a file and write it; `intend` makes the intent of so many rows.

        Raises Invalid and TooLarge naming column and line, Conflict, Overloaded, Unavailable.
        """
        writing = self.lake.writing
        table = destination.table
        with writing.staging() as folder:
            rows = folder / "rows.parquet"
            expected = writing.columns(table.name) if table else None
            parsed = writing.stage_file(sent.file, sent.format, rows, expected)
            intent = intend(destination, parsed.rows)
            if table is not None:
                return self.writes.write(table, Staged(rows, parsed.rows), intent)
            if destination.kind == TABLE:
                return self._carry_out(intent, lambda change: self._create(change, rows))
            return self._carry_out(intent, lambda change: self._put(change, sent, rows))

    def _carry_out(self, intent: Intent, commit: Callable[[Change], Committed]) -> Change:
        def alone(change: Change) -> Committed:
            # No dataset appears above or below another one: all of a top folder take turns.
            with self.lake.writing.alone(intent.dataset.partition(".")[0]):
                if intent.kind == CREATE and not self.lake.catalog.is_free(intent.dataset):
                    raise Conflict("There is a dataset or folder of this name, or of a part of it")
                return commit(change)

        return changes.carry_out(self.database, self.lake.catalog, intent, alone)

    def _create(self, change: Change, rows: Path) -> Committed:
        return self.lake.writing.create(change.intent.dataset, rows, Stamp(change.metadata))

    def _put(self, change: Change, sent: Sent, rows: Path) -> Committed:
        """Put the file itself into the folder. Of Parquet it is what the parser wrote: that can be trusted."""
        suffix = f".{sent.format.kind}{'.gz' if sent.format.is_gzip else ''}"
        is_parquet = sent.format.kind is Kind.PARQUET
        file = rows if is_parquet else _beside(rows, sent.file)
        return self.lake.writing.add_file(change.intent.dataset, file, rows, f"{change.id}{suffix}")


def _beside(rows: Path, file: Path) -> Path:
    """The same file on the lake's disk."""
    place = rows.with_name("source")
    with refusing_full_disks():
        try:
            os.link(file, place)
        except OSError:
            shutil.copyfile(file, place)
    return place
