"""`/analytics`: sums and counts of `transactions`, as far as its caller may see it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from flask import Response, current_app, request
from marshmallow import fields

from rest_api.auth import Rule, allow, current_principal
from rest_api.database import utc_now
from rest_api.errors import Conflict, Invalid
from rest_api.lake.figures import Figure, FigurePlan, Window
from rest_api.query.conditions import Column, ColumnType, Order, Query, Shape
from rest_api.query.cursors import Binding, Place
from rest_api.query.exact_json import encode
from rest_api.query.grammar import parse_url
from rest_api.query.values import from_text, wrong
from rest_api.request import reader, recorded, session
from rest_api.resources.listing import Pairs, given_pairs, next_url_of, sealer, tag_of
from rest_api.resources.rows import version_asked
from rest_api.resources.wire import Blueprint, Time, WireSchema
from rest_api.services import figures
from rest_api.services.datasets import Asked, Datasets, Opened, telling_of_corruption

REFUSES = (403, 404, 409, 410, 504)
PARAMETERS = ("window", "at", "version", "as_of", "or", "and")
MAX_PRODUCTS = 100
MAX_WINDOW = timedelta(days=36_500)
AT = Column("at", ColumnType.TIMESTAMP)
END = Column("\x00end", ColumnType.TIMESTAMP)
"""The end of the window, which a cursor holds: the next page is one of the same window."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile("([1-9][0-9]{0,8})([smhd])")
SPAN_SCHEMA = {"type": "string", "pattern": f"^{_SPAN.pattern}$"}
blueprint = Blueprint("analytics", __name__, url_prefix="/analytics", description="Figures of the transactions")


class SpendSchema(WireSchema):
    """What was spent in one currency."""

    currency = fields.String(allow_none=True, metadata={"example": "EUR"})
    amount = fields.Float(allow_none=True, metadata={"description": "sum of the amounts, digit for digit"})
    transactions = fields.Integer(metadata={"description": "how many there are"})


class UserSpendSchema(SpendSchema):
    """What a user spent by one type of transaction in one currency."""

    user_id = fields.Raw(metadata={"description": "number of the user", "example": 1})
    transaction_type = fields.String(allow_none=True, metadata={"example": "purchase"})


class PointSchema(SpendSchema):
    """What was spent in one currency within a step."""

    at = Time(metadata={"description": "beginning of the step; it is part of it, its end is not"})


class ProductSchema(WireSchema):
    """How often a product was bought."""

    product_id = fields.Raw(metadata={"example": "p1"})
    product_name = fields.String(allow_none=True, metadata={"description": "the last by the alphabet, of several"})
    bought = fields.Integer(metadata={"description": "how many transactions there are of it"})


def _envelope(row: type[WireSchema], *, has_pages: bool = False) -> dict[str, Any]:
    time = {"type": "string", "format": "date-time"}
    properties: dict[str, Any] = {
        "data": {"type": "array", "description": "the groups, in their order", "items": row},
        "from": {**time, "description": "beginning of the window, which is no part of it"},
        "to": {**time, "description": "end of the window, which is part of it"},
    }
    if has_pages:
        text = {"type": ["string", "null"]}
        properties["next"] = {**text, "description": "cursor of the next page; null on the last one"}
        properties["next_url"] = {**text, "description": "path and parameters of the next page"}
    return {"type": "object", "required": list(properties), "properties": properties}


_WINDOW = ("window", SPAN_SCHEMA, "how long: `30s`, `5m`, `2h`, `7d`", "1d")
_AT = ("at", {"type": "string", "format": "date-time"}, "where the window ends; now, unless given", None)
_X = ("x", {"type": "integer", "minimum": 1, "maximum": MAX_PRODUCTS}, "how many products", 10)
_STEP = ("step", SPAN_SCHEMA, f"length of a step; a window has at most {figures.MAX_STEPS:,} of them", "1h")
_LIMIT = ("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "groups of a page", 20)
_CURSOR = ("cursor", {"type": "string"}, "goes on after a page: its `next`", None)
_REQUIRED = ("window", "x", "step")


def _documentation(envelope: dict[str, Any], *offered: tuple[str, dict[str, Any], str, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "query", "schema": schema, "description": said, "required": name in _REQUIRED}
        | ({} if example is None else {"example": example})
        for name, schema, said, example in offered
    ]
    answer = {"description": "The figure", "content": {"application/json": {"schema": envelope}}}
    return {"parameters": parameters, "responses": {"200": answer}}


@dataclass(frozen=True)
class Request:
    """What a caller asks of a figure, before it is known which columns he may name."""

    figure: Figure
    pairs: Pairs
    parameters: tuple[str, ...]
    length: timedelta
    end: datetime | None

    @property
    def name(self) -> str:
        """What cursors are bound to, besides the conditions."""
        return f"{figures.DATASET} {self.figure.name} {self.length}"

    def shape(self, opened: Opened) -> Shape:
        """What its filters speak of."""
        return replace(
            opened.view.shape,
            name=self.name,
            key=(),
            hidden=(END,),
            default_limit=20,
            max_limit=100,
            parameters=self.parameters,
        )

    def window(self, end: datetime) -> Window:
        """The window that ends at a time. Raises Invalid where it begins before all time."""
        try:
            return Window(end - self.length, end)
        except OverflowError as error:
            raise wrong("window", "The window begins before the year 1") from error


@blueprint.route("/spend", methods=["GET"])
@blueprint.doc(**_documentation(_envelope(SpendSchema), _WINDOW, _AT))
@allow(Rule.READER, refuses=REFUSES)
def spend() -> Response:
    """What was spent in a window of time, by currency: completed transactions, unless `status` is filtered."""
    asked = _asked(figures.SPEND)
    opened = _opened(asked)
    window, query = asked.window(asked.end or utc_now()), _query(asked, opened)
    plan = figures.plan_of(opened, asked.figure, figures.Asked(query.where, window))
    return _answer(plan, _bounded(plan, opened))


@blueprint.route("/spend/series", methods=["GET"])
@blueprint.doc(**_documentation(_envelope(PointSchema), _WINDOW, _STEP, _AT))
@allow(Rule.READER, refuses=REFUSES)
def spend_series() -> Response:
    """What was spent in each step of a window, by currency, for plots; steps without transactions are left out."""
    asked = _asked(figures.SERIES, "step")
    step_seconds = int(_span(dict(asked.pairs), "step").total_seconds())
    window = asked.window(asked.end or utc_now())
    figures.check_steps(window, step_seconds)
    opened = _opened(asked)
    query = _query(asked, opened)
    plan = figures.plan_of(opened, asked.figure, figures.Asked(query.where, window, step_seconds=step_seconds))
    return _answer(plan, _bounded(plan, opened))


@blueprint.route("/spend-by-user-and-type", methods=["GET"])
@blueprint.doc(**_documentation(_envelope(UserSpendSchema, has_pages=True), _WINDOW, _AT, _LIMIT, _CURSOR))
@allow(Rule.READER, refuses=REFUSES)
def spend_by_user_and_type() -> Response:
    """What was spent in a window of time, by user, type of transaction and currency, by pages."""
    asked = _asked(figures.SPEND_BY_USER_AND_TYPE, "limit", "cursor")
    opened = _opened(asked)
    query = _query(asked, opened)
    binding = _binding(asked, opened, query)
    end, *position = (asked.end or utc_now(),) if query.cursor is None else sealer().open(query.cursor, binding)
    if asked.end not in (None, end):
        raise wrong("at", "The cursor is one of a window that ends at another time")
    found = figures.Asked(query.where, asked.window(end), query.limit, position=tuple(position) or None)
    plan = figures.plan_of(opened, asked.figure, found)
    rows = _rows(plan, opened)
    return _answer(plan, rows[: query.limit], _following(asked, binding, plan, rows))


@blueprint.route("/top-products", methods=["GET"])
@blueprint.doc(**_documentation(_envelope(ProductSchema), _X, _WINDOW, _AT))
@allow(Rule.READER, refuses=REFUSES)
def top_products() -> Response:
    """The products that were bought most often in a window of time; of equals the lesser id comes first."""
    asked = _asked(figures.TOP_PRODUCTS, "x")
    most = _whole(dict(asked.pairs))
    opened = _opened(asked)
    query = _query(asked, opened)
    plan = figures.plan_of(opened, asked.figure, figures.Asked(query.where, asked.window(asked.end or utc_now()), most))
    return _answer(plan, _rows(plan, opened)[:most])


def _asked(figure: Figure, *more: str) -> Request:
    """What the URL asks for; `more` are parameters besides those of every figure. Raises Invalid."""
    pairs = given_pairs(request.query_string)
    given = dict(pairs)
    end = from_text(AT, given["at"]) if "at" in given else None
    return Request(figure, pairs, (*PARAMETERS, *more), _span(given, "window"), end)


def _span(given: Mapping[str, str], name: str) -> timedelta:
    found = _SPAN.fullmatch(given.get(name, ""))
    span = timedelta(**{UNITS[found[2]]: int(found[1])}) if found else None
    if span is None or span > MAX_WINDOW:
        raise wrong(name, f"{name} takes a length of time such as 30s, 5m, 2h or 7d")
    return span


def _whole(given: Mapping[str, str]) -> int:
    text = given.get("x", "")
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_PRODUCTS:
        raise wrong("x", f"x takes a whole number from 1 to {MAX_PRODUCTS}")
    return int(text)


def _opened(asked: Request) -> Opened:
    """The transactions, at the version that the cursor's page was made of. Raises NotFound, Conflict, Invalid."""
    given = dict(asked.pairs)
    version, as_of = version_asked(given)
    pin = None
    if "cursor" in given and "cursor" in asked.parameters:
        pin = sealer().pin(given["cursor"], Place(current_principal().id, asked.name))
    if pin is not None and pin.isdigit() and version is None and as_of is None:
        version = int(pin)
    datasets: Datasets = current_app.extensions["lakeport"].datasets
    opened = datasets.open(session(), reader(), Asked(figures.DATASET, version=version, as_of=as_of))
    if pin not in (None, opened.snapshot.pin):
        raise _moved_on(opened)
    return opened


def _moved_on(opened: Opened) -> Conflict | Invalid:
    if opened.snapshot.version is None:
        return Conflict("The dataset has changed since that page; begin again", code="dataset_changed")
    return wrong("cursor", "The cursor is not one of this version")


def _query(asked: Request, opened: Opened) -> Query:
    return parse_url(asked.pairs, asked.shape(opened))


def _binding(asked: Request, opened: Opened, query: Query) -> Binding:
    order = (Order(END.name), *(Order(name) for name in asked.figure.by))
    for name in asked.figure.by:
        opened.view.shape.column(name)
    bound = replace(query, order=order)
    shape = asked.shape(opened)
    return Binding(current_principal().id, opened.view.fingerprint, shape, bound, opened.snapshot.pin)


def _following(
    asked: Request, binding: Binding, plan: FigurePlan, rows: Sequence[tuple[Any, ...]]
) -> dict[str, str | None]:
    if len(rows) < plan.most:
        return {"next": None, "next_url": None}
    position = rows[plan.most - 2][: len(plan.figure.by)]
    cursor = sealer().seal((plan.window.end, *position), binding)
    return {"next": cursor, "next_url": next_url_of(asked.pairs, cursor)}


def _rows(plan: FigurePlan, opened: Opened) -> list[tuple[Any, ...]]:
    with telling_of_corruption(opened.grants):
        rows: list[tuple[Any, ...]] = current_app.extensions["lakeport"].lake.engine(plan).figures(plan)
    return rows


def _bounded(plan: FigurePlan, opened: Opened) -> list[tuple[Any, ...]]:
    rows = _rows(plan, opened)
    figures.check_groups(rows)
    return rows


def _answer(
    plan: FigurePlan, rows: Sequence[tuple[Any, ...]], following: Mapping[str, str | None] | None = None
) -> Response:
    recorded(dataset=figures.DATASET, columns=figures.used_columns(plan), rows=len(rows))
    data = [_group(plan, row) for row in rows]
    body = {"data": data, "from": plan.window.start, "to": plan.window.end, **(following or {})}
    response = Response(encode(body), mimetype="application/json")
    if following is not None:
        response.set_etag(tag_of(body))
    return response


def _group(plan: FigurePlan, row: tuple[Any, ...]) -> dict[str, Any]:
    if plan.step_seconds is None:
        return dict(zip(plan.figure.names, map(_exact, row), strict=True))
    return {"at": figures.step_start(row[0]), **dict(zip(plan.figure.names, map(_exact, row[1:]), strict=True))}


def _exact(value: Any) -> Any:
    """A sum may be longer than the integers that are written as they are."""
    return Decimal(value) if isinstance(value, int) and value.bit_length() > 63 else value
