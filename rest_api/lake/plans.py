"""Plans: what an engine is asked to do. A plan is a value; whoever may see less has a smaller view in his plan."""

from collections.abc import Iterator
from dataclasses import dataclass

from rest_api.lake.snapshots import POSITION, Snapshot
from rest_api.lake.views import View
from rest_api.query.conditions import Comparison, Condition, Not, Query

NATURAL = tuple(column.name for column in POSITION)


@dataclass(frozen=True)
class Plan:
    """A query on a view of a snapshot."""

    snapshot: Snapshot
    view: View
    query: Query

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the answer."""
        return self.query.select or self.view.shape.names

    @property
    def is_in_natural_order(self) -> bool:
        """Whether rows come in the order in which they are stored."""
        return tuple(part.column for part in self.query.order) == NATURAL


def named_in(condition: Condition | None) -> Iterator[str]:
    """The columns that a condition names."""
    if isinstance(condition, Comparison):
        yield condition.column
    elif isinstance(condition, Not):
        yield from named_in(condition.condition)
    elif condition is not None:
        for member in condition.conditions:
            yield from named_in(member)
