"""The Engine port: runs plans. It never sees a user's SQL, only values that were checked against a view."""

from collections.abc import Generator
from typing import Any, Protocol

from rest_api.lake.diffs import Diff, DiffPage
from rest_api.lake.figures import FigurePlan
from rest_api.lake.plans import Plan
from rest_api.query.sql import Page


class Engine(Protocol):
    """Raises Timeout past the deadline, Overloaded without memory, CorruptFile, Gone where a version's files are."""

    def page(self, plan: Plan) -> Page:
        """One page of rows with their positions; the count where the query asks for one."""

    def count(self, plan: Plan) -> int:
        """The number of rows that the plan's conditions leave."""

    def distinct(self, plan: Plan, columns: tuple[str, ...]) -> int:
        """How many different values some columns have together."""

    def batches(self, plan: Plan) -> Generator[Any, None, None]:
        """All rows in their order, as `pyarrow.RecordBatch` of a bounded number of rows; at least one batch."""

    def figures(self, plan: FigurePlan) -> list[tuple[Any, ...]]:
        """The groups of a figure in their order: step, where there are steps (microseconds), values, measures."""

    def diff(self, diff: Diff) -> DiffPage:
        """What differs between two versions. Raises Conflict `dataset_not_versioned` where there are none."""

    def close(self) -> None:
        """Give back what is held."""
