"""Writing datasets: who may, which keys stay unique, and one change for each call however often it comes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as Database
from sqlalchemy.orm import Session

from rest_api.backends.catalog import Catalog
from rest_api.backends.delta import Committed
from rest_api.backends.lake import Lake
from rest_api.backends.typed_rows import RowTypes
from rest_api.backends.writing import Source, Stamp, incoming, range_of
from rest_api.errors import Conflict, FieldError, Forbidden, Invalid
from rest_api.lake.grants import WRITE
from rest_api.lake.plans import Plan
from rest_api.lake.replays import Row
from rest_api.lake.snapshots import TABLE, Snapshot
from rest_api.lake.views import view_of
from rest_api.models.dataset import Dataset
from rest_api.query.conditions import And, Comparison, Condition, any_of
from rest_api.services import changes
from rest_api.services.changes import Change, Intent
from rest_api.services.datasets import Asked, Datasets, Opened
from rest_api.services.rights import OF_ADMINISTRATORS, Reader

APPEND, MERGE, OVERWRITE, CREATE = MODES = ("append", "merge", "overwrite", "create")


@dataclass(frozen=True)
class Target:
    """A table that rows go to, and the columns that are its key; none where nobody said so."""

    snapshot: Snapshot
    key: tuple[str, ...] = ()
    time_column: str | None = None

    @property
    def name(self) -> str:
        return self.snapshot.name


@dataclass(frozen=True)
class Staged:
    """Rows on the lake's disk, as their table takes them."""

    file: Path
    count: int
    source: Source | None = None


def writable(datasets: Datasets, session: Session, reader: Reader, name: str, *, whence: Source | None) -> Opened:
    """The dataset of that name, for who may write it. Raises NotFound, Forbidden."""
    opened = datasets.open(session, reader, Asked(name, WRITE))
    if whence is not None and not opened.may_manage:
        raise Forbidden("Only who manages the dataset can name the source of its rows")
    return opened


def target_of(session: Session, opened: Opened) -> Target:
    """The table that was opened. Raises Conflict for what is no table."""
    snapshot = opened.snapshot
    if snapshot.kind != TABLE:
        raise Conflict(f"Rows are written to tables only; this dataset is of the kind {snapshot.kind}")
    said = session.get(Dataset, snapshot.identity)
    return Target(snapshot, tuple(said.key), said.time_column) if said else Target(snapshot)


def as_it_is(catalog: Catalog, target: Target) -> Target:
    """The table as it is now. Raises Conflict where another one is in its place."""
    now = catalog.snapshot(target.name)
    if now is None or now.identity != target.snapshot.identity:
        raise Conflict("The table was replaced meanwhile")
    return replace(target, snapshot=now)


def stored_rows(lake: Lake, types: RowTypes, snapshot: Snapshot, where: Condition) -> list[Row]:
    """All columns of the rows where a condition holds, whoever may see them, as values of the table's types."""
    plan = _plan(snapshot, where)
    return list(types.read(lake.engine(plan).batches(plan)))


def require_whole_keys(rows: Sequence[dict[str, Any]], key: Sequence[str]) -> None:
    """Raises Invalid for rows without a value in a key's column, and for two that name the same key."""
    missing = [(number, column) for number, row in enumerate(rows) for column in key if row.get(column) is None]
    if missing:
        errors = [
            FieldError(f"rows.{number}.{column}", "Part of the key, and may not be null") for number, column in missing
        ]
        raise Invalid(f"{errors[0].field}: {errors[0].detail}", errors=errors[:100])
    seen: dict[str, int] = {}
    for number, row in enumerate(rows if key else ()):
        first = seen.setdefault(repr([row[column] for column in key]), number)
        if first != number:
            detail = f"Has the key of row {first}"
            raise Invalid(f"rows.{number}: {detail}", errors=[FieldError(f"rows.{number}.{key[0]}", detail)])


@dataclass(frozen=True)
class Writes:
    """Carries changes of tables out."""

    database: Database
    lake: Lake

    def is_written(self, target: Target, source: Source) -> bool:
        """Whether a table has the rows of a source up to its offset."""
        return self.lake.writing.is_written(target.name, source)

    def write(self, target: Target, staged: Staged, intent: Intent) -> Change:
        """Append rows, merge them, or put them in the place of all that are there, as the intent says.

        Raises AlreadyWritten, Invalid for a key twice among the rows, Conflict for one that the table has, Unavailable.
        """
        if target.key:
            self._require_distinct(target, staged)
        return self._carry_out(target, staged, intent)

    def _carry_out(self, target: Target, staged: Staged, intent: Intent) -> Change:
        def commit(change: Change) -> Committed:
            with self._alone(target):
                now = as_it_is(self.lake.catalog, target)
                if intent.kind == APPEND and target.key:
                    self._require_new(now, staged)
                return self._commit(now, staged, intent.kind, Stamp(change.metadata, staged.source))

        return changes.carry_out(self.database, self.lake.catalog, intent, commit)

    def _commit(self, target: Target, staged: Staged, kind: str, stamp: Stamp) -> Committed:
        writing, name = self.lake.writing, target.name
        ways: dict[str, Callable[[], Committed]] = {
            APPEND: lambda: writing.append(name, staged.file, stamp),
            MERGE: lambda: writing.merge(name, staged.file, target.key, stamp),
            OVERWRITE: lambda: writing.overwrite(name, staged.file, stamp),
        }
        return ways[kind]()

    @contextmanager
    def _alone(self, target: Target) -> Iterator[None]:
        """Between the look for a key and the commit nobody else adds it; without a key all may commit at once."""
        with self.lake.writing.alone(target.name) if target.key else nullcontext():
            yield

    def _require_distinct(self, target: Target, staged: Staged) -> None:
        """Raises Invalid where rows have no key, or two of them the same."""
        alone = replace(target.snapshot, files=(incoming(target.snapshot, staged.file),))
        nulls = any_of([Comparison(column, "is", None) for column in target.key])
        if self._count(alone, nulls):
            raise Invalid(f"The key {', '.join(target.key)} is null in some rows")
        if self._distinct(alone, target.key, None) < staged.count:
            raise Invalid(f"Two rows have the same key {', '.join(target.key)}")

    def _require_new(self, target: Target, staged: Staged) -> None:
        """Raises Conflict where the table has one of the keys; only files that could are looked into."""
        snapshot = target.snapshot
        both = replace(snapshot, files=(*snapshot.files, incoming(snapshot, staged.file)))
        near = _near(target, staged)
        if self._distinct(both, target.key, near) < self._count(both, near):
            raise Conflict(f"A row with the same key {', '.join(target.key)} is there", code="key_not_unique")

    def _count(self, snapshot: Snapshot, where: Condition | None) -> int:
        plan = _plan(snapshot, where)
        return self.lake.engine(plan).count(plan)

    def _distinct(self, snapshot: Snapshot, columns: tuple[str, ...], where: Condition | None) -> int:
        plan = _plan(snapshot, where)
        return self.lake.engine(plan).distinct(plan, columns)


def _plan(snapshot: Snapshot, where: Condition | None) -> Plan:
    view = view_of(snapshot, [OF_ADMINISTRATORS])
    if view is None:
        raise Conflict("The table has no columns")
    return Plan(snapshot, view, view.everything(where))


def _near(target: Target, staged: Staged) -> Condition | None:
    """What is true of every row that could have a key of the staged ones."""
    first = target.key[0]
    ends = range_of(staged.file, first)
    if ends is None:
        return None
    return And((Comparison(first, "gte", ends[0]), Comparison(first, "lte", ends[1])))
