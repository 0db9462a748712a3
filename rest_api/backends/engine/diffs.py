"""Renders the difference of two versions as one statement: rows of both, counted against each other."""

from collections.abc import Sequence
from typing import Any

from sqlglot import exp

from rest_api.backends.engine.masks import spoken
from rest_api.backends.engine.rendering import Renderer, Sql, seen_type
from rest_api.lake.diffs import ADDED, CHANGED, CHANGES, REMOVED, Diff
from rest_api.lake.views import ViewColumn
from rest_api.query.conditions import ColumnType

Expression = exp.Expr
_NUMBERS = {ColumnType.INTEGER, ColumnType.NUMBER}
_SIDES, _DIFFERING, _CHANGES = "lakeport_sides", "lakeport_differing", "lakeport_changes"
_TIMES, _CHANGE = "lakeport_times", "lakeport_change"


def diff_sql(diff: Diff, before: Renderer, after: Renderer) -> Sql:
    """One change more than a page: its kind, its row, the row before, and the number of changes of each kind."""
    width = len(diff.names)
    rows = [f"c{place}" for place in range(width)]
    olds = [f"b{place}" for place in range(width)]
    key = [f"c{diff.names.index(name)}" for name in diff.key]
    counts = [_count(kind) for kind in CHANGES]
    repeated = exp.Anonymous(this="unnest", expressions=[exp.Anonymous(this="range", expressions=[_c(_TIMES)])])
    shown = exp.select(*map(_c, (_CHANGE, *rows, *olds)), *counts, repeated.as_("lakeport_again"))
    order = [exp.Ordered(this=_c(name), nulls_first=False) for name in dict.fromkeys([*key, *rows, _CHANGE, *olds])]
    statement = (
        shown.from_(_CHANGES)
        .order_by(*order)
        .limit(diff.limit + 1)
        .offset(diff.offset)
        .with_(_SIDES, _sides(diff, before, after))
        .with_(_DIFFERING, _differing(rows, key), materialized=True)
        .with_(_CHANGES, _changes(rows, olds, key), materialized=True)
    )
    return Sql(statement.sql(dialect="duckdb"), {**_prefixed("before", before), **_prefixed("after", after)})


def _sides(diff: Diff, before: Renderer, after: Renderer) -> Expression:
    """The rows of both versions, those of the earlier one counted as -1."""
    old = _side(diff, before, "before").select(exp.Literal.number(-1).as_(_TIMES))
    new = _side(diff, after, "after").select(exp.Literal.number(1).as_(_TIMES))
    return exp.union(old, new, distinct=False)


def _side(diff: Diff, renderer: Renderer, which: str) -> exp.Select:
    columns = [_shown(*diff.column(name), which).as_(f"c{place}") for place, name in enumerate(diff.names)]
    statement = exp.select(*columns).from_(renderer.seen())
    for placeholder in statement.find_all(exp.Placeholder):
        placeholder.set("this", f"{which}_{placeholder.name}")
    return statement


def _shown(before: ViewColumn | None, after: ViewColumn | None, which: str) -> Expression:
    """A column of one version as both versions can be compared by it."""
    own, other = (before, after) if which == "before" else (after, before)
    if own is None:
        return exp.null()
    value = exp.Column(this=exp.Identifier(this=own.name, quoted=True))
    is_alike = other is None or other.type is own.type or {own.type, other.type} <= _NUMBERS
    return value if is_alike else spoken(value, seen_type(own))


def _differing(rows: Sequence[str], key: Sequence[str]) -> exp.Select:
    """Rows that one version has more often, how much more, and whether each is one half of a change."""
    total = exp.Sum(this=_c(_TIMES))
    counted = exp.select(*map(_c, rows), exp.cast(total, "BIGINT").as_(_TIMES)).from_(_SIDES).group_by(*map(_c, rows))
    counted = counted.having(exp.NEQ(this=total.copy(), expression=exp.Literal.number(0)))
    pairing = _is_pair(key) if key else exp.false()
    return exp.select(*map(_c, rows), _c(_TIMES), pairing.as_("is_pair")).from_(counted.subquery("counted"))


def _is_pair(key: Sequence[str]) -> Expression:
    """One row of that key only before, one only after."""

    def within(total: Expression) -> Expression:
        return exp.Window(this=exp.Sum(this=total), partition_by=[_c(name) for name in key])

    absolute = within(exp.Abs(this=_c(_TIMES))).eq(exp.Literal.number(2))
    balanced = within(_c(_TIMES)).eq(exp.Literal.number(0))
    return exp.and_(absolute, balanced, *(exp.not_(_c(name).is_(exp.null())) for name in key))


def _changes(rows: Sequence[str], olds: Sequence[str], key: Sequence[str]) -> Expression:
    kind = exp.Case().when(_c(_TIMES) > exp.Literal.number(0), exp.Literal.string(ADDED))
    kind = kind.else_(exp.Literal.string(REMOVED))
    nothing = [
        exp.Case().when(exp.false(), _c(row)).as_(old) for row, old in zip(rows, olds, strict=True)
    ]  # null of the row's type
    times = exp.Abs(this=_c(_TIMES)).as_(_TIMES)
    single = exp.select(kind.as_(_CHANGE), times, *map(_c, rows), *nothing).from_(_DIFFERING)
    if not key:
        return single
    return exp.union(single.where(exp.not_(_c("is_pair"))), _paired(rows, olds, key), distinct=False)


def _paired(rows: Sequence[str], olds: Sequence[str], key: Sequence[str]) -> Expression:
    new, old = exp.to_table(_DIFFERING).as_("new"), exp.to_table(_DIFFERING).as_("old")
    same = exp.and_(*(exp.column(name, "new").eq(exp.column(name, "old")) for name in key))
    before = [exp.column(row, "old").as_(name) for row, name in zip(rows, olds, strict=True)]
    chosen = exp.select(exp.Literal.string(CHANGED).as_(_CHANGE), exp.Literal.number(1).as_(_TIMES))
    return (
        chosen.select(*(exp.column(row, "new") for row in rows), *before)
        .from_(new)
        .join(old, on=same)
        .where(exp.column("is_pair", "new"), exp.column("is_pair", "old"))
        .where(exp.column(_TIMES, "new") > 0, exp.column(_TIMES, "old") < 0)
    )


def _count(kind: str) -> Expression:
    total = exp.Coalesce(this=exp.Sum(this=_c(_TIMES)), expressions=[exp.Literal.number(0)])
    whole = exp.cast(total, "BIGINT")
    return exp.select(whole).from_(_CHANGES).where(_c(_CHANGE).eq(exp.Literal.string(kind))).subquery().as_(f"n_{kind}")


def _prefixed(which: str, renderer: Renderer) -> dict[str, Any]:
    return {f"{which}_{name}": value for name, value in renderer.parameters.items()}


def _c(name: str) -> exp.Column:
    return exp.column(name)
