"""The rows of a view that show each column as it is stored."""

from dataclasses import replace

from rest_api.lake.snapshots import Snapshot
from rest_api.lake.views import Alternative, View, ViewColumn
from rest_api.query.conditions import Condition, all_of

AS_STORED = (Alternative(None, None),)


def plain_rows(snapshot: Snapshot, view: View) -> View | None:
    """The view of these rows alone; None where it can have none."""
    seen = [view.by_name.get(column.name) for column in snapshot.columns]
    if any(column is None or column.alternatives[0].mask is not None for column in seen):
        return None
    conditions = [column.alternatives[0].condition for column in seen if column is not None]
    columns = tuple(ViewColumn(column, AS_STORED) for column in snapshot.columns)
    return replace(view, columns=columns, admission=_all((view.admission, *conditions)))


def is_all_plain(snapshot: Snapshot, view: View) -> bool:
    """Whether there is nothing in the dataset that the view does not show."""
    found = plain_rows(snapshot, view)
    return found is not None and found.admission is None


def _all(conditions: tuple[Condition | None, ...]) -> Condition | None:
    found = [condition for condition in dict.fromkeys(conditions) if condition is not None]
    return all_of(found) if found else None
