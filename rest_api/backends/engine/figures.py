"""Renders figures: a plain aggregate, and where transactions were sent again a look at which row of each counts."""

from collections.abc import Sequence

from sqlglot import exp

from rest_api.backends.engine.rendering import POSITIONS, Renderer
from rest_api.backends.footers import Footers
from rest_api.lake.figures import (
    COUNT,
    GREATEST,
    ORIGINAL_TIME,
    REPLAY,
    SUM,
    TIME,
    TRANSACTION,
    FigurePlan,
    Measure,
    Window,
)
from rest_api.lake.plans import named_in
from rest_api.lake.pruning import relevant
from rest_api.lake.snapshots import DataFile
from rest_api.query.conditions import Order

Expression = exp.Expr
AGAIN, ONCE, AT, VIEW = "lakeport_again", "lakeport_once", "lakeport_at", "lakeport_view"
MICROSECONDS = 1_000_000
_FUNCTIONS = {SUM: exp.Sum, GREATEST: exp.Max}
_UTC = "timestamp[us, tz=UTC]"


def sent_again(plan: FigurePlan, footers: Footers) -> list[DataFile]:
    """The files that may hold rows which were sent again. Raises CorruptFile, FileNotFoundError."""
    if not plan.counts_replays_once:
        return []
    files = [file for _, file in relevant(plan.snapshot.files, plan.view, None)]
    return [file for file in files if not all(_is_empty(file, name, footers) for name in (REPLAY, ORIGINAL_TIME))]


def _is_empty(file: DataFile, column: str, footers: Footers) -> bool:
    """Whether a column is known to have no value in a file."""
    if column in file.partition:
        return file.partition[column] is None
    if file.rows is not None and column in file.nulls:
        return file.nulls[column] == file.rows
    return footers.of(file.path).is_empty(column)


def once(renderer: Renderer, plan: FigurePlan) -> exp.Select:
    """The figure of a view in which no row was sent again."""
    rows = exp.select().from_(renderer.seen(), copy=False).where(renderer.on_seen(plan.condition), copy=False)
    return _grouped(renderer, plan, rows, _quoted(TIME))


def replayed(renderer: Renderer, plan: FigurePlan) -> exp.Select:
    """The figure of a view in which the row of each transaction that was sent last counts, at its original time."""
    both = exp.union(_sent_once(renderer, plan), _last_sent(renderer, plan), distinct=False)
    rows = exp.select().from_(both.subquery("lakeport_rows"), copy=False)
    if plan.where is not None:
        rows = rows.where(renderer.on_seen(plan.where), copy=False)
    statement = _grouped(renderer, plan, rows, _quoted(AT))
    return statement.with_(_quoted(AGAIN).this, as_=_again(renderer, plan), copy=False)


def _sent_once(renderer: Renderer, plan: FigurePlan) -> exp.Select:
    same = _quoted(TRANSACTION, AGAIN).eq(_quoted(TRANSACTION, VIEW))
    later = exp.select("1").from_(_quoted(AGAIN).this, copy=False).where(same, copy=False)
    return (
        exp.select(*_needed(plan), exp.alias_(_in_utc(_quoted(TIME)), AT), copy=False)
        .from_(renderer.seen(), copy=False)
        .where(exp.Not(this=_is_sent_again()), copy=False)
        .where(renderer.on_seen(plan.window.on(TIME)), copy=False)
        .where(exp.Not(this=exp.Exists(this=later)), copy=False)
    )


def _last_sent(renderer: Renderer, plan: FigurePlan) -> exp.Select:
    within = _within(renderer, plan.window)
    return exp.select(*_needed(plan), _quoted(AT), copy=False).from_(_quoted(AGAIN).this).where(within, copy=False)


def _again(renderer: Renderer, plan: FigurePlan) -> exp.Select:
    """The row of each transaction that was sent last; without a number every row is a transaction of its own."""
    at = exp.Coalesce(this=_in_utc(_quoted(ORIGINAL_TIME)), expressions=[_in_utc(_quoted(TIME))])
    latest = [Order(name, descending=True) for name in (TIME, REPLAY, *POSITIONS)]
    number = exp.Window(
        this=exp.RowNumber(),
        partition_by=[_quoted(TRANSACTION)],
        order=exp.Order(
            expressions=[_ordered(_quoted(POSITIONS.get(part.column, part.column)), part) for part in latest]
        ),
    )
    is_last = exp.or_(number.eq(exp.Literal.number(1)), _quoted(TRANSACTION).is_(exp.null()))
    return (
        exp.select(*_needed(plan), exp.alias_(at, AT), copy=False)
        .from_(renderer.seen(), copy=False)
        .where(_is_sent_again(), copy=False)
        .qualify(is_last, copy=False)
    )


def _grouped(renderer: Renderer, plan: FigurePlan, rows: exp.Select, at: Expression) -> exp.Select:
    figure = plan.figure
    groups = [*_steps(plan, at), *map(_quoted, figure.by)]
    statement = rows.select(*groups, *map(_measured, figure.measures), copy=False)
    statement = statement.group_by(*map(_place, range(len(groups))), copy=False).limit(plan.most, copy=False)
    if plan.position is not None:
        order = [Order(name) for name in figure.by]
        statement = statement.where(renderer.after(order, plan.position), copy=False)
    return statement.order_by(*_order(plan, len(groups)), copy=False)


def _order(plan: FigurePlan, groups: int) -> list[exp.Ordered]:
    order = plan.figure.order
    if not order:
        return [_ordered(_place(place), Order("")) for place in range(groups)]
    return [_ordered(_place(plan.figure.names.index(part.column)), part) for part in order]


def _steps(plan: FigurePlan, at: Expression) -> list[Expression]:
    """The beginning of a row's step, in microseconds since 1970."""
    if plan.step_seconds is None:
        return []
    since = exp.Anonymous(this="epoch_us", expressions=[at])
    step = exp.Literal.number(plan.step_seconds * MICROSECONDS)
    beyond = exp.Mod(
        this=exp.Paren(this=exp.Add(this=exp.Mod(this=since, expression=step), expression=step.copy())),
        expression=step.copy(),
    )
    return [exp.Sub(this=since.copy(), expression=exp.Paren(this=beyond))]


def _measured(measure: Measure) -> Expression:
    if measure.function == COUNT or measure.column is None:
        return exp.Count(this=exp.Star())
    return _FUNCTIONS[measure.function](this=_quoted(measure.column))


def _needed(plan: FigurePlan) -> Sequence[Expression]:
    names = dict.fromkeys((TRANSACTION, *plan.figure.columns, *named_in(plan.where)))
    return [_quoted(name) for name in names]


def _is_sent_again() -> Expression:
    empty = [_quoted(name).is_(exp.null()) for name in (REPLAY, ORIGINAL_TIME)]
    return exp.Paren(this=exp.Not(this=exp.Paren(this=exp.and_(*empty))))


def _within(renderer: Renderer, window: Window) -> Expression:
    return exp.and_(
        exp.GT(this=_quoted(AT), expression=renderer.bound(window.start, _UTC)),
        exp.LTE(this=_quoted(AT), expression=renderer.bound(window.end, _UTC)),
    )


def _in_utc(time: Expression) -> Expression:
    return exp.cast(time, "TIMESTAMPTZ", dialect="duckdb")


def _quoted(name: str, table: str | None = None) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True), exp.to_identifier(table, quoted=True) if table else None)


def _place(index: int) -> Expression:
    return exp.Literal.number(index + 1)


def _ordered(value: Expression, part: Order) -> exp.Ordered:
    return exp.Ordered(this=value, desc=part.descending, nulls_first=False)
