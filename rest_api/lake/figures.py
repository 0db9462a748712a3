"""Figures: sums and counts of a view's rows by group, within a window of time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rest_api.lake.snapshots import Snapshot
from rest_api.lake.views import View
from rest_api.query.conditions import And, Comparison, Condition, Order

TIME = "timestamp"
TRANSACTION, REPLAY, ORIGINAL_TIME = REPLAY_COLUMNS = ("transaction_id", "replay_id", "original_timestamp")
SUM, COUNT, GREATEST = "sum", "count", "greatest"


@dataclass(frozen=True)
class Window:
    """The times after `start`, up to and including `end`."""

    start: datetime
    end: datetime

    def on(self, column: str) -> Condition:
        """That a column's time lies in it."""
        return And((Comparison(column, "gt", self.start), Comparison(column, "lte", self.end)))


@dataclass(frozen=True)
class Measure:
    """What is told of a group: the sum or the greatest of a column's values, or how many rows it has."""

    name: str
    function: str
    column: str | None = None


@dataclass(frozen=True)
class Figure:
    """Groups by the values of some columns, what is told of each, and their order (the groups' where it is empty).

    `where` holds of every row that it counts.
    """

    name: str
    by: tuple[str, ...]
    measures: tuple[Measure, ...]
    order: tuple[Order, ...] = ()
    where: Condition | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it is made of, besides the time."""
        return tuple(dict.fromkeys((*self.by, *(each.column for each in self.measures if each.column is not None))))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of a group's values, then of its measures."""
        return (*self.by, *(each.name for each in self.measures))


@dataclass(frozen=True)
class FigurePlan:
    """A figure of a view, of the rows where a condition holds and whose time lies in a window.

    With `step_seconds` the groups are cut into steps that begin at whole multiples of it since 1970 (UTC). `most` is
    the number of groups read, `position` holds the `by` values of the group that they come after. With
    `counts_replays_once` a transaction that was sent again counts as what was sent last, at its original time.
    """

    snapshot: Snapshot
    view: View
    figure: Figure
    where: Condition | None
    window: Window
    most: int
    step_seconds: int | None = None
    position: tuple[Any, ...] | None = None
    counts_replays_once: bool = False

    @property
    def condition(self) -> Condition:
        """What holds of the rows that were sent once."""
        window = self.window.on(TIME)
        return window if self.where is None else And((window, self.where))
