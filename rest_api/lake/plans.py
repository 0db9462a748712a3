"""Plans: what an engine is asked to do. A plan is a value; whoever may see less has a smaller view in his plan."""

from dataclasses import dataclass

from rest_api.lake.snapshots import POSITION, Snapshot
from rest_api.lake.views import View
from rest_api.query.conditions import Query

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
