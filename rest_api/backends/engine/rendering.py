"""Renders plans as SQL. Names are quoted identifiers, values are bound parameters; nothing of a caller is text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from rest_api.backends.engine.masks import MaskKey, clear, masked, spoken
from rest_api.backends.engine.values import converted
from rest_api.lake.columns import LakeColumn
from rest_api.lake.plans import Plan
from rest_api.lake.snapshots import POSITION
from rest_api.lake.views import Alternative, View, ViewColumn
from rest_api.query.conditions import And, Comparison, Condition, Not, Order

Expression = exp.Expr
POSITIONS = dict(zip((column.name for column in POSITION), ("file_index", "file_row_number"), strict=True))
INTEGER, TEXT = "int64", "string"
_MASKED_TYPES = {"hash": TEXT, "last4": TEXT, "year": INTEGER}
_COMPARED = {"eq": exp.EQ, "neq": exp.NEQ, "gt": exp.GT, "gte": exp.GTE, "lt": exp.LT, "lte": exp.LTE}


@dataclass(frozen=True)
class Sql:
    """A statement and its parameters."""

    text: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Relation:
    """Where rows come from, and what each stored column is there."""

    table: Expression
    columns: Mapping[str, Expression]


@dataclass(frozen=True)
class Renderer:
    """Builds one statement on a view and collects its parameters."""

    relation: Relation
    view: View
    stored: Mapping[str, LakeColumn]
    mask_key: MaskKey
    dialect: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def sql(self, statement: Expression) -> Sql:
        """The finished statement, which is used up by it."""
        return Sql(statement.sql(dialect=self.dialect, copy=False), self.parameters)

    def page(self, plan: Plan, most: int, after_row: int | None = None) -> exp.Select:
        """The first `most` rows and their positions; of rows as they are stored, those after `after_row`."""
        query = plan.query
        statement = _cut(self._filtered(plan, self._read(plan, *POSITIONS)), most)
        if after_row is not None:
            beyond = exp.GT(this=_column(POSITION[1].name), expression=self.bound(after_row, INTEGER))
            statement = statement.where(beyond, copy=False)
        if not plan.is_in_natural_order:
            statement = statement.order_by(*map(_ordered, query.order), copy=False)
        if query.page is not None:
            statement.set("offset", exp.Offset(expression=exp.Literal.number((query.page - 1) * query.limit)))
        return statement

    def per_parent(self, plan: Plan, most: int) -> exp.Select:
        """The first rows of each parent, at most `most` in all."""
        query = plan.query
        order = exp.Order(expressions=[_ordered(part) for part in query.order])
        rank = exp.Window(this=exp.RowNumber(), partition_by=[_column(query.limit_per or "")], order=order)
        ranked = self._filtered(plan, self._read(plan, *POSITIONS).select(rank.as_("lakeport_rank"), copy=False))
        chosen = exp.select(*map(_column, plan.names)).from_(ranked.subquery("lakeport_ranked"), copy=False)
        within = exp.LTE(this=exp.column("lakeport_rank"), expression=exp.Literal.number(query.limit))
        return (
            chosen.where(within, copy=False).order_by(*map(_ordered, query.order), copy=False).limit(most, copy=False)
        )

    def rows(self, plan: Plan) -> exp.Select:
        """All rows, in the plan's order."""
        statement = self._filtered(plan, self._read(plan))
        if plan.is_in_natural_order:
            return statement
        return statement.order_by(*map(_ordered, plan.query.order), copy=False)

    def count(self, plan: Plan) -> exp.Select:
        """The number of rows on all pages."""
        return self._wanted(plan, exp.select(exp.Count(this=exp.Star())).from_(self.seen(), copy=False))

    def distinct(self, plan: Plan, columns: Sequence[str]) -> exp.Select:
        """The number of different values that some columns have together."""
        chosen = exp.select(*map(_column, columns), copy=False).from_(self.seen(), copy=False).distinct(copy=False)
        values = self._wanted(plan, chosen).subquery("lakeport_values")
        return exp.select(exp.Count(this=exp.Star())).from_(values, copy=False)

    def seen(self) -> exp.Subquery:
        """The view, with the positions of its rows."""
        columns = [_named(self._column(column), column.name) for column in self.view.columns]
        positions = [exp.column(name) for name in POSITIONS.values()]
        statement = exp.select(*columns, *positions, copy=False).from_(self.relation.table.copy(), copy=False)
        if self.view.admission is not None:
            statement = statement.where(self.on_stored(self.view.admission), copy=False)
        return statement.subquery("lakeport_view", copy=False)

    def on_stored(self, condition: Condition) -> Expression:
        """A condition on columns as they are stored."""

        def compared(each: Comparison) -> Expression:
            column = self.stored[each.column]
            return self._compared(each, clear(self.relation.columns[column.name], column.stored), column.stored)

        return rendered(condition, compared)

    def on_seen(self, condition: Condition) -> Expression:
        """A condition on columns as the caller sees them."""

        def compared(each: Comparison) -> Expression:
            return self._compared(each, _column(each.column), seen_type(self.view.by_name[each.column]))

        return rendered(condition, compared)

    def bound(self, value: Any, stored: str) -> Expression:
        """A value as a parameter, of the type of what it is compared with."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = converted(value, stored)
        placeholder = exp.Placeholder(this=name)
        return exp.cast(placeholder, "FLOAT", dialect=self.dialect) if stored == "float" else placeholder

    def after(self, order: Sequence[Order], position: Sequence[Any]) -> Expression:
        """Rows beyond a position: in the first column, or equal there and beyond in the rest; nulls come last."""
        part, value = order[0], position[0]
        beyond = self._beyond(part, value)
        if len(order) == 1:
            return beyond
        column = _column(part.column)
        is_equal = column.is_(exp.null()) if value is None else column.eq(self.bound(value, self._type(part.column)))
        return exp.or_(beyond, exp.and_(is_equal, self.after(order[1:], position[1:])))

    def _beyond(self, part: Order, value: Any) -> Expression:
        if value is None:
            return exp.false()
        kind = exp.LT if part.descending else exp.GT
        further = kind(this=_column(part.column), expression=self.bound(value, self._type(part.column)))
        if part.column in POSITIONS:
            return further
        return exp.or_(further, _column(part.column).is_(exp.null()))

    def _type(self, name: str) -> str:
        return INTEGER if name in POSITIONS else seen_type(self.view.by_name[name])

    def _read(self, plan: Plan, *besides: str) -> exp.Select:
        names = dict.fromkeys((*plan.names, *(part.column for part in plan.query.order if besides), *besides))
        return exp.select(*map(_column, names), copy=False).from_(self.seen(), copy=False)

    def _wanted(self, plan: Plan, statement: exp.Select) -> exp.Select:
        where = plan.query.where
        return statement if where is None else statement.where(self.on_seen(where), copy=False)

    def _filtered(self, plan: Plan, statement: exp.Select) -> exp.Select:
        query, statement = plan.query, self._wanted(plan, statement)
        if query.position is None or plan.is_in_natural_order:
            return statement
        return statement.where(self.after(query.order, query.position), copy=False)

    def _compared(self, comparison: Comparison, column: Expression, stored: str) -> Expression:
        op, value = comparison.op, comparison.value
        if op == "is":
            return exp.Is(this=column, expression=exp.null() if value is None else exp.Boolean(this=value))
        if op == "in":
            return exp.In(this=column, expressions=[self.bound(each, stored) for each in value])
        if op in ("like", "ilike"):
            kind = exp.Like if op == "like" else exp.ILike
            pattern = kind(this=column, expression=self.bound(_pattern(value), TEXT))
            return exp.Escape(this=pattern, expression=exp.Literal.string("\\"))
        return _COMPARED[op](this=column, expression=self.bound(value, stored))

    def _column(self, column: ViewColumn) -> Expression:
        is_mixed = len({_type_under(column, each) for each in column.alternatives if each.mask != "null"}) > 1
        if column.alternatives[0].condition is None:
            return self._value(column, column.alternatives[0], as_text=is_mixed)
        case = exp.Case()
        for each in column.alternatives:
            given = exp.true() if each.condition is None else self.on_stored(each.condition)
            case = case.when(given, self._value(column, each, as_text=is_mixed), copy=False)
        return case

    def _value(self, column: ViewColumn, way: Alternative, *, as_text: bool) -> Expression:
        if way.mask == "null" and len(column.alternatives) > 1:
            return exp.null()
        stored = column.stored.stored
        value = clear(self.relation.columns[column.name], stored)
        if way.mask is not None:
            value = masked(value, stored, way.mask, self.mask_key, self.bound)
        return spoken(value, _type_under(column, way)) if as_text else value


def rendered(condition: Condition, compared: Callable[[Comparison], Expression]) -> Expression:
    """A condition whose comparisons are rendered by `compared`. What is compared with null is unknown."""
    if isinstance(condition, Comparison):
        return compared(condition)
    if isinstance(condition, Not):
        return exp.Not(this=exp.Paren(this=rendered(condition.condition, compared)))
    members = [exp.Paren(this=rendered(member, compared)) for member in condition.conditions]
    return exp.and_(*members, copy=False) if isinstance(condition, And) else exp.or_(*members, copy=False)


def seen_type(column: ViewColumn) -> str:
    """The stored type that a visible column's values have."""
    types = {_type_under(column, each) for each in column.alternatives if each.mask != "null"}
    return (types.pop() if len(types) == 1 else TEXT) if types else column.stored.stored


def _type_under(column: ViewColumn, way: Alternative) -> str:
    return _MASKED_TYPES.get(way.mask or "", column.stored.stored)


def _cut(statement: exp.Select, most: int) -> exp.Select:
    # Given as a number it would be written and parsed again.
    statement.set("limit", exp.Limit(expression=exp.Literal.number(most)))
    return statement


def _named(value: Expression, name: str) -> exp.Alias:
    return exp.Alias(this=value, alias=exp.Identifier(this=name, quoted=True))


def _column(name: str) -> exp.Column:
    return exp.Column(this=exp.Identifier(this=POSITIONS.get(name, name), quoted=True))


def _ordered(part: Order) -> exp.Ordered:
    return exp.Ordered(this=_column(part.column), desc=part.descending, nulls_first=False)


def _pattern(text: str) -> str:
    """The SQL pattern of a text in which `*` stands for any characters."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
