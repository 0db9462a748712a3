"""What the figures of `transactions` are: their groups, their conditions, and how replayed rows count."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rest_api.errors import Invalid
from rest_api.lake.figures import (
    COUNT,
    GREATEST,
    ORIGINAL_TIME,
    REPLAY,
    REPLAY_COLUMNS,
    SUM,
    TIME,
    TRANSACTION,
    Figure,
    FigurePlan,
    Measure,
    Window,
)
from rest_api.lake.plans import named_in
from rest_api.lake.views import View
from rest_api.query.conditions import ColumnType, Comparison, Condition, Not, Order, all_of
from rest_api.query.values import wrong, wrong_value
from rest_api.services.datasets import Opened

DATASET = "transactions"
STATUS = "status"
COMPLETED = Comparison(STATUS, "eq", "completed")
MAX_GROUPS = 10_000
MAX_STEPS = 1_000
_AMOUNT, _TRANSACTIONS = Measure("amount", SUM, "amount"), Measure("transactions", COUNT)
SPEND = Figure("spend", ("currency",), (_AMOUNT, _TRANSACTIONS))
SERIES = replace(SPEND, name="series")
SPEND_BY_USER_AND_TYPE = Figure(
    "spend-by-user-and-type", ("user_id", "transaction_type", "currency"), (_AMOUNT, _TRANSACTIONS)
)
TOP_PRODUCTS = Figure(
    "top-products",
    ("product_id",),
    (Measure("product_name", GREATEST, "product_name"), Measure("bought", COUNT)),
    (Order("bought", descending=True), Order("product_id")),
    Not(Comparison("product_id", "is", None)),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """What a caller asks of a figure: his own condition, the window, and how many groups from where."""

    where: Condition | None
    window: Window
    most: int = MAX_GROUPS
    step_seconds: int | None = None
    position: tuple[Any, ...] | None = None


def plan_of(opened: Opened, figure: Figure, asked: Asked) -> FigurePlan:
    """The plan of a figure, which reads one group more than asked for. Raises Invalid for what the view lacks.

    Completed transactions count, unless the caller has a condition on their status. A transaction that was sent again
    counts once where the view shows all that tells of it; else every row counts that the view shows, at its own time.
    """
    view = opened.view
    conditions = [each for each in (asked.where, figure.where) if each is not None]
    if STATUS not in named_in(asked.where):
        view.shape.column(STATUS)
        conditions.append(COMPLETED)
    _check_columns(view, figure)
    return FigurePlan(
        opened.snapshot,
        view,
        figure,
        all_of(conditions),
        asked.window,
        asked.most + 1,
        asked.step_seconds,
        asked.position,
        _shows_replays(view),
    )


def check_steps(window: Window, step_seconds: int) -> None:
    """Raises Invalid where a window has too many steps for a plot."""
    if (window.end - window.start) > timedelta(seconds=step_seconds) * MAX_STEPS:
        raise wrong("step", f"A series has at most {MAX_STEPS:,} steps; ask for longer ones or for a shorter window")


def check_groups(rows: Sequence[Any]) -> None:
    """Raises Invalid for more groups than an answer holds."""
    if len(rows) > MAX_GROUPS:
        raise Invalid(f"The figure has more than {MAX_GROUPS:,} groups; ask for fewer by a filter or a shorter window")


def step_start(microseconds: int) -> datetime:
    """The time at which a step begins."""
    return _EPOCH + timedelta(microseconds=microseconds)


def used_columns(plan: FigurePlan) -> list[str]:
    """Every visible column that a figure is made of, in the view's order."""
    used = {TIME, *plan.figure.columns, *named_in(plan.where)}
    if plan.counts_replays_once:
        used.update(REPLAY_COLUMNS)
    return [name for name in plan.view.shape.names if name in used]


def _check_columns(view: View, figure: Figure) -> None:
    shape = view.shape
    if shape.column(TIME).type is not ColumnType.TIMESTAMP:
        raise wrong_value(shape.column(TIME), "is no time in what you see of the dataset")
    for name in figure.by:
        if not shape.column(name).may_order:
            raise wrong_value(shape.column(name), "cannot be grouped by")
    for measure in figure.measures:
        column = None if measure.column is None else shape.column(measure.column)
        if column and measure.function == SUM and column.type not in (ColumnType.INTEGER, ColumnType.NUMBER):
            raise wrong_value(column, "is no number in what you see of the dataset")


def _shows_replays(view: View) -> bool:
    """Whether the view tells which rows are the same transaction. A hash keeps what is equal equal."""
    columns = [view.by_name.get(name) for name in REPLAY_COLUMNS]
    masks = {column.name: {way.mask for way in column.alternatives} for column in columns if column is not None}
    if len(masks) < len(REPLAY_COLUMNS) or view.shape.column(ORIGINAL_TIME).type is not ColumnType.TIMESTAMP:
        return False
    return masks[ORIGINAL_TIME] == {None} and masks[TRANSACTION] | masks[REPLAY] <= {None, "hash"}
