"""What people say of datasets: description, owner, tags, key and time column."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from rest_api.backends.lake import Lake
from rest_api.database import utc_now
from rest_api.errors import Conflict, FieldError, Invalid, unknown
from rest_api.lake.plans import Plan
from rest_api.lake.views import View
from rest_api.models.dataset import Dataset
from rest_api.query.conditions import ColumnType, Comparison, any_of
from rest_api.services import events
from rest_api.services.datasets import Opened


@dataclass(frozen=True)
class Description:
    """What is said of a dataset; `key` are columns that together are unique and never null."""

    description: str = ""
    owner: str | None = None
    tags: list[str] = field(default_factory=list)
    key: list[str] = field(default_factory=list)
    time_column: str | None = None


NOTHING = Description()


def read(session: Session, opened: Opened) -> Description:
    """What is said of a dataset, of the columns only what its reader may see."""
    return read_all(session, [opened])[0]


def read_all(session: Session, opened: Sequence[Opened]) -> list[Description]:
    """What is said of each of these datasets, by one query."""
    wanted = select(Dataset).where(Dataset.identity.in_([each.snapshot.identity for each in opened]))
    said = {row.identity: row for row in session.scalars(wanted)} if opened else {}
    return [_seen(said.get(each.snapshot.identity), each.view) for each in opened]


def _seen(row: Dataset | None, view: View) -> Description:
    if row is None:
        return NOTHING
    key = list(row.key) if all(name in view.by_name for name in row.key) else []
    time_column = row.time_column if row.time_column in view.by_name else None
    return Description(row.description, row.owner, list(row.tags), key, time_column)


def check(session: Session, lake: Lake, opened: Opened, said: Description) -> None:
    """Raises Invalid for columns that are none, Conflict where the key is not unique or has nulls."""
    for column in (*said.key, *([said.time_column] if said.time_column else [])):
        if column not in opened.view.by_name:
            raise unknown("column", column, opened.view.shape.names)
    if said.time_column and opened.view.by_name[said.time_column].type is not ColumnType.TIMESTAMP:
        detail = f"{said.time_column} holds no times"
        raise Invalid(detail, errors=[FieldError("time_column", detail)])
    known = session.get(Dataset, opened.snapshot.identity)
    if said.key and (known is None or known.key != said.key):
        _require_unique(lake, opened, said.key)


def keep(session: Session, opened: Opened, said: Description) -> None:
    """Say what was checked before."""
    row = Dataset(identity=opened.snapshot.identity, name=opened.snapshot.name, updated_at=utc_now(), **vars(said))
    session.merge(row)
    session.flush()
    data = {"name": opened.snapshot.name}
    events.record(session, type="dataset.described", subject=f"datasets/{data['name']}", data=data, audience="admin")


def _require_unique(lake: Lake, opened: Opened, key: list[str]) -> None:
    """Raises Conflict. Only who sees the whole dataset can say so of its rows."""
    if not opened.view.is_whole:
        raise Conflict("Only who manages the whole dataset can give it a key")
    snapshot, view = opened.snapshot, opened.view
    nulls = Plan(snapshot, view, view.everything(any_of([Comparison(column, "is", None) for column in key])))
    engine = lake.engine(nulls)
    if engine.count(nulls):
        raise Conflict(f"The key {', '.join(key)} is null in some rows", code="key_not_unique")
    plan = Plan(snapshot, view, view.everything())
    if engine.distinct(plan, tuple(key)) < engine.count(plan):
        raise Conflict(f"The key {', '.join(key)} is not unique", code="key_not_unique")
