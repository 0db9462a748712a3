"""The two forms of the grammar: what they accept, that they mean the same, and how they refuse."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_api.errors import Invalid
from rest_api.query.conditions import (
    MAX_CHARACTERS,
    And,
    Column,
    ColumnType,
    Comparison,
    Condition,
    Not,
    Or,
    Order,
    Query,
    Shape,
)
from rest_api.query.grammar import parse_json, parse_url
from tests.query.shapes import READINGS, queries

Pairs = list[tuple[str, str]]


def where(*pairs: tuple[str, str]) -> Condition | None:
    """The condition of URL parameters."""
    return parse_url(pairs, READINGS).where


GRADE_5 = Comparison("grade", "gt", 5)
FROM_A_URL: dict[str, tuple[Pairs, Condition]] = {
    "a value alone is eq": ([("grade", "5")], Comparison("grade", "eq", 5)),
    "a text alone is eq": ([("name", "Dr Who, e.a.")], Comparison("name", "eq", "Dr Who, e.a.")),
    "a negative number": ([("grade", "lt.-5")], Comparison("grade", "lt", -5)),
    "a text may be empty": ([("name", "eq.")], Comparison("name", "eq", "")),
    "an operator": ([("grade", "gt.5")], GRADE_5),
    "a negation": ([("grade", "not.gt.5")], Not(GRADE_5)),
    "two negations": ([("grade", "not.not.gt.5")], Not(Not(GRADE_5))),
    "a decimal": ([("amount", "gte.12.50")], Comparison("amount", "gte", Decimal("12.50"))),
    "a quoted value": ([("name", 'eq."a.b,(c)\\"\\\\"')], Comparison("name", "eq", 'a.b,(c)"\\')),
    "an operator that is quoted": ([("name", '"eq.5"')], Comparison("name", "eq", "eq.5")),
    "a quote inside": ([("name", 'eq.5" nails')], Comparison("name", "eq", '5" nails')),
    "a list": ([("name", 'in.(a,"b,c",d e)')], Comparison("name", "in", ("a", "b,c", "d e"))),
    "a date": ([("at", "gt.2026-11-01")], Comparison("at", "gt", datetime(2026, 11, 1, tzinfo=UTC))),
    "a time": (
        [("at", "2026-11-01T02:00:00.5+02:00")],
        Comparison("at", "eq", datetime(2026, 11, 1, 0, 0, 0, 500_000, UTC)),
    ),
    "is null": ([("at", "is.null")], Comparison("at", "is", None)),
    "is true": ([("is_good", "is.true")], Comparison("is_good", "is", True)),
    "true": ([("is_good", "neq.true")], Comparison("is_good", "neq", True)),
    "a repeated column": ([("grade", "gt.5"), ("grade", "lt.9")], And((GRADE_5, Comparison("grade", "lt", 9)))),
    "a group": ([("or", "(grade.gt.5,name.is.null)")], Or((GRADE_5, Comparison("name", "is", None)))),
    "a group of one": ([("or", "(grade.gt.5)")], GRADE_5),
    "a negated group": (
        [("not.or", "(grade.gt.5,name.is.null)")],
        Not(Or((GRADE_5, Comparison("name", "is", None)))),
    ),
    "groups in a group": (
        [("or", '(and(grade.gt.5,name.eq."x)"),not.or(id.in.(1,2),grade.not.gt.5))')],
        Or(
            (
                And((GRADE_5, Comparison("name", "eq", "x)"))),
                Not(Or((Comparison("id", "in", (1, 2)), Not(GRADE_5)))),
            )
        ),
    ),
}


@pytest.mark.parametrize("name", FROM_A_URL)
def test_a_url_reads_as(name: str) -> None:
    pairs, expected = FROM_A_URL[name]
    assert where(*pairs) == expected


FROM_JSON: dict[str, tuple[Any, Condition | None]] = {
    "nothing": ({}, None),
    "one operator": ({"grade": {"gt": 5}}, GRADE_5),
    "two operators": ({"grade": {"gt": 5, "lt": 9}}, And((GRADE_5, Comparison("grade", "lt", 9)))),
    "a negation inside": ({"grade": {"not": {"gt": 5}}}, Not(GRADE_5)),
    "a negation outside": ({"not": {"grade": {"gt": 5}}}, Not(GRADE_5)),
    "a decimal": ({"amount": {"eq": 0.1}}, Comparison("amount", "eq", Decimal("0.1"))),
    "a decimal as a text": (
        {"amount": {"eq": "1234567890123456.78"}},
        Comparison("amount", "eq", Decimal("1234567890123456.78")),
    ),
    "a list": ({"id": {"in": [1, 2]}}, Comparison("id", "in", (1, 2))),
    "is null": ({"at": {"is": None}}, Comparison("at", "is", None)),
    "alternatives": (
        {"or": [{"grade": {"gt": 5}}, {"name": {"is": None}}]},
        Or((GRADE_5, Comparison("name", "is", None))),
    ),
    "a text is taken as it stands": ({"name": {"eq": "gt.5"}}, Comparison("name", "eq", "gt.5")),
}


@pytest.mark.parametrize("name", FROM_JSON)
def test_json_reads_as(name: str) -> None:
    given_where, expected = FROM_JSON[name]
    assert parse_json({"where": given_where}, READINGS).where == expected


def test_the_rest_of_a_query_reads_the_same_from_both() -> None:
    pairs = [("select", "name,id"), ("order", "amount.desc,name"), ("limit", "7"), ("page", "2"), ("count", "exact")]
    body = {
        "select": ["name", "id"],
        "order": [{"column": "amount", "direction": "desc"}, {"column": "name"}],
        "limit": 7,
        "page": 2,
        "count": "exact",
        "cursor": None,
    }
    expected = Query(
        ("name", "id"), None, (Order("amount", True), Order("name"), Order("id")), 7, page=2, count="exact"
    )
    assert parse_url(pairs, READINGS) == parse_json(body, READINGS) == expected
    assert parse_url([], READINGS) == parse_json({}, READINGS) == Query(order=(Order("id"),), limit=3)


def test_a_name_with_marks_in_it_is_quoted() -> None:
    shape = Shape("odd", (Column("a.b,c", ColumnType.INTEGER),), ("a.b,c",), (Order("a.b,c"),))
    pairs = [("select", '"a.b,c"'), ("order", '"a.b,c".desc'), ("or", '("a.b,c".gt.1)'), ("a.b,c", "1")]
    query = parse_url(pairs, shape)
    assert (query.select, query.order) == (("a.b,c",), (Order("a.b,c", True),))
    assert query.where == And((Comparison("a.b,c", "gt", 1), Comparison("a.b,c", "eq", 1)))


def quoted(value: Any) -> str:
    """A value as a URL writes it, quoted."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def in_a_url(condition: Condition) -> tuple[str, str]:
    """A condition as a parameter: what stands before the first mark, and the rest."""
    if isinstance(condition, Comparison):
        values = condition.value if condition.op == "in" else [condition.value]
        listed = ",".join(quoted(value) for value in values)
        return condition.column, f"{condition.op}.({listed})" if condition.op == "in" else f"{condition.op}.{listed}"
    if isinstance(condition, Not):
        name, text = in_a_url(condition.condition)
        return (f"not.{name}", text) if text.startswith("(") else (name, f"not.{text}")
    members = ",".join(_member(*in_a_url(member)) for member in condition.conditions)
    return "and" if isinstance(condition, And) else "or", f"({members})"


def _member(name: str, text: str) -> str:
    return f"{name}{text}" if text.startswith("(") else f"{name}.{text}"


def in_json(condition: Condition) -> dict[str, Any]:
    """A condition as a `where` object."""
    if isinstance(condition, Comparison):
        values = [_plain(value) for value in (condition.value if condition.op == "in" else [condition.value])]
        return {condition.column: {condition.op: values if condition.op == "in" else values[0]}}
    if isinstance(condition, Not):
        return {"not": in_json(condition.condition)}
    name = "and" if isinstance(condition, And) else "or"
    return {name: [in_json(member) for member in condition.conditions]}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


@settings(max_examples=300, deadline=None)
@given(query=queries())
def test_a_query_rendered_in_both_forms_reads_as_itself(query: Query) -> None:
    order = [f"{part.column}.{'desc' if part.descending else 'asc'}" for part in query.order]
    pairs = [("order", ",".join(order)), ("limit", str(query.limit)), ("count", query.count)]
    body: dict[str, Any] = {
        "order": [{"column": part.column, "direction": "desc" if part.descending else "asc"} for part in query.order],
        "limit": query.limit,
        "count": query.count,
    }
    if query.select is not None:
        pairs.append(("select", ",".join(query.select)))
        body["select"] = list(query.select)
    if query.where is not None:
        pairs.append(in_a_url(query.where))
        body["where"] = in_json(query.where)
    assert parse_url(pairs, READINGS) == query
    assert parse_json(json.loads(json.dumps(body)), READINGS) == query


DEEP = 500
REFUSED: dict[str, Pairs] = {
    "an unknown operator": [("grade", "between.1")],
    "letters that are no operator": [("name", "Dr.Who")],
    "an operator in capitals": [("grade", "GT.1")],
    "like of a number": [("grade", "like.1*")],
    "a missing operator after not": [("grade", "not.5")],
    "a missing operator in a group": [("or", "(grade.5)")],
    "a number for a text": [("grade", "eq.x")],
    "an integer beyond 64 bits": [("grade", "eq.9223372036854775808")],
    "an integer of many digits": [("grade", "9" * 5_000)],
    "digits of another script": [("grade", "eq.٣")],
    "a fraction of an integer": [("grade", "eq.1.5")],
    "infinity": [("amount", "eq.inf")],
    "a day that is not": [("at", "gt.2026-02-30")],
    "a time without an offset": [("at", "gt.2026-11-01T00:00:00")],
    "a time beyond the calendar": [("at", "gt.0001-01-01T00:00:00+14:00")],
    "yesterday": [("at", "gt.yesterday")],
    "another word for true": [("is_good", "yes")],
    "is something else": [("grade", "is.nothing")],
    "is null and more": [("grade", "is.nullx")],
    "is true of a number": [("grade", "is.true")],
    "a NUL": [("name", "eq.\x00")],
    "half a surrogate pair": [("name", "eq.\ud800")],
    "a long value": [("name", "x" * (MAX_CHARACTERS + 1))],
    "an open quote": [("name", 'eq."a')],
    "another escape": [("name", 'eq."\\n"')],
    "text after a quote": [("name", 'eq."a"b')],
    "an empty list": [("id", "in.()")],
    "an open list": [("id", "in.(1,2")],
    "text after a list": [("id", "in.(1)2")],
    "an empty value in a list": [("name", "in.(a,,b)")],
    "a list without parentheses": [("id", "in.1,2")],
    "an empty group": [("or", "()")],
    "an open group": [("or", "(grade.eq.1")],
    "a group without parentheses": [("or", "grade.eq.1")],
    "an unknown column in a group": [("or", "(grad.eq.1)")],
    "parentheses alone": [("or", "(" * DEEP)],
    "groups nested deep": [("or", "(or" * DEEP + "(grade.eq.1)" + ")" * DEEP)],
    "groups nested eleven deep": [("or", "(or" * 10 + "(grade.eq.1)" + ")" * 10)],
    "negations nested deep": [("grade", "not." * DEEP + "eq.1")],
    "a negated group nested deep": [("not." * DEEP + "or", "(grade.eq.1)")],
    "too many conditions": [("grade", f"neq.{number}") for number in range(101)],
    "too many values": [("id", f"in.({','.join('1' * 600)})"), ("grade", f"in.({','.join('1' * 600)})")],
    "limit 0": [("limit", "0")],
    "a limit below 0": [("limit", "-1")],
    "a limit over the most": [("limit", "11")],
    "a limit that is no number": [("limit", "many")],
    "page 0": [("page", "0")],
    "a page too far": [("page", "10001"), ("limit", "10")],
    "page and cursor": [("page", "1"), ("cursor", "x")],
    "limit_per and page": [("page", "1"), ("limit_per", "grade")],
    "limit_per and cursor": [("cursor", "x"), ("limit_per", "grade")],
    "limit_per of nothing": [("limit_per", "nothing")],
    "another count": [("count", "all")],
    "an empty count": [("count", "")],
    "an unknown column selected": [("select", "nothing")],
    "an empty selection": [("select", "")],
    "an order by nothing": [("order", "nothing")],
    "another direction": [("order", "id.sideways")],
    "an unknown parameter": [("nothing", "1")],
    "an empty name": [("", "1")],
    **{f"{name} twice": [(name, "1"), (name, "1")] for name in ("limit", "cursor", "page")},
    **{f"{name} twice": [(name, "id"), (name, "id")] for name in ("select", "order", "limit_per", "count")},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_url_is_refused_for(name: str) -> None:
    with pytest.raises(Invalid):
        parse_url(REFUSED[name], READINGS)


def nested(times: int) -> Any:
    """A condition in that many groups."""
    condition: Any = {"grade": {"eq": 1}}
    for _ in range(times):
        condition = {"or": [condition]}
    return condition


REFUSED_JSON: dict[str, Any] = {
    "a list": [],
    "nothing": None,
    "an unknown member": {"selekt": ["id"]},
    "where as a list": {"where": []},
    "an unknown column": {"where": {"grad": {"eq": 1}}},
    "an unknown operator": {"where": {"grade": {"equals": 1}}},
    "a value alone": {"where": {"grade": 1}},
    "no operator": {"where": {"grade": {}}},
    "a text for a number": {"where": {"grade": {"eq": "1"}}},
    "true for a number": {"where": {"grade": {"eq": True}}},
    "a fraction for an integer": {"where": {"grade": {"eq": 1.5}}},
    "a number for a text": {"where": {"name": {"eq": 1}}},
    "1 for true": {"where": {"is_good": {"eq": 1}}},
    "is 1": {"where": {"is_good": {"is": 1}}},
    "is a list": {"where": {"is_good": {"is": []}}},
    "null for a value": {"where": {"grade": {"eq": None}}},
    "an empty list": {"where": {"id": {"in": []}}},
    "no list": {"where": {"id": {"in": 1}}},
    "a long list": {"where": {"id": {"in": [1] * 1_001}}},
    "a NUL": {"where": {"name": {"eq": "\x00"}}},
    "an empty group": {"where": {"or": []}},
    "an empty condition in a group": {"where": {"or": [{}]}},
    "not of nothing": {"where": {"not": {}}},
    "groups nested deep": {"where": nested(60)},
    "groups nested eleven deep": {"where": nested(11)},
    "a limit as a text": {"limit": "3"},
    "a limit as true": {"limit": True},
    "a cursor as a number": {"cursor": 1},
    "an empty selection": {"select": []},
    "a selection as a text": {"select": "id"},
    "a selection of numbers": {"select": [1]},
    "an order as a text": {"order": "id"},
    "an order of texts": {"order": ["id"]},
    "an order without a column": {"order": [{"direction": "asc"}]},
    "an order with more": {"order": [{"column": "id", "nulls": "first"}]},
    "another direction": {"order": [{"column": "id", "direction": "up"}]},
    "an empty count": {"count": ""},
}


@pytest.mark.parametrize("name", REFUSED_JSON)
def test_json_is_refused_for(name: str) -> None:
    with pytest.raises(Invalid):
        parse_json(REFUSED_JSON[name], READINGS)


def test_groups_may_be_nested_ten_deep() -> None:
    deepest = "(or" * 9 + "(grade.eq.1)" + ")" * 9
    assert where(("or", deepest)) == Comparison("grade", "eq", 1)
    assert parse_json({"where": nested(10)}, READINGS).where == Comparison("grade", "eq", 1)


@pytest.mark.parametrize(
    ("pair", "nearest"),
    [
        (("nmae", "x"), "name"),
        (("grade", "gth.1"), "gt"),
        (("selct", "id"), "select"),
        (("order", "amonut"), "amount"),
        (("order", "id.des"), "desc"),
        (("or", "(grdae.eq.1)"), "grade"),
        (("count", "exakt"), "exact"),
    ],
)
def test_a_refusal_names_the_nearest_valid_thing(pair: tuple[str, str], nearest: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_url([pair], READINGS)
    assert refusal.value.did_you_mean == nearest


def test_json_and_long_texts_are_neither_ordered_by_nor_cut_by() -> None:
    columns = (Column("id", ColumnType.INTEGER), Column("doc", ColumnType.JSON))
    shape = Shape("s", (*columns, Column("body", ColumnType.TEXT, is_orderable=False)), ("id",), (Order("id"),))
    assert parse_url([("doc", "not.is.null")], shape).where == Not(Comparison("doc", "is", None))
    for pair in [("order", "doc"), ("order", "body"), ("limit_per", "doc"), ("limit_per", "body"), ("doc", "{}")]:
        with pytest.raises(Invalid):
            parse_url([pair], shape)


def test_a_parameter_that_a_list_does_not_offer_is_a_column_or_unknown() -> None:
    columns = (Column("id", ColumnType.INTEGER), Column("page", ColumnType.INTEGER))
    shape = Shape("s", columns, ("id",), (Order("id"),), parameters=("limit", "cursor"))
    assert parse_url([("page", "gt.1")], shape).where == Comparison("page", "gt", 1)
    for pair in [("count", "exact"), ("or", "(id.eq.1)")]:
        with pytest.raises(Invalid):
            parse_url([pair], shape)
    with pytest.raises(Invalid):
        parse_json({"count": "exact"}, shape)


marks = st.text('().,"\\*not.orandeqgtinis12 é\x00\ud800', max_size=40)
names = st.sampled_from([*READINGS.names, *READINGS.parameters, "not.or", "x"])


@settings(max_examples=500, deadline=None)
@given(pairs=st.lists(st.tuples(names | marks, marks), max_size=4))
def test_any_url_is_read_or_refused(pairs: Pairs) -> None:
    with suppress(Invalid):
        assert isinstance(parse_url(pairs, READINGS), Query)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | marks,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(names | marks | st.sampled_from(["where", "eq"]), inner)
    ),
    max_leaves=15,
)


@settings(max_examples=500, deadline=None)
@given(body=anything, place=st.sampled_from(["", "where", "order", "select"]))
def test_any_json_is_read_or_refused(body: Any, place: str) -> None:
    with suppress(Invalid):
        assert isinstance(parse_json({place: body} if place else body, READINGS), Query)


@pytest.mark.parametrize("piece", ["(", '"', '\\"', "not.", "or(", "a,", "(a", "grade.eq.1,", 'name.eq."'])
def test_reading_takes_time_in_proportion_to_the_length(piece: str) -> None:
    text = (piece * MAX_CHARACTERS)[:MAX_CHARACTERS]
    started = time.perf_counter()
    for name in ("name", "or", "select", "order", "id"):
        for prefix in ("", "in.(", "("):
            with pytest.raises(Invalid):
                parse_url([(name, f'{prefix}{text}"'), ("limit", "0")], READINGS)
    assert time.perf_counter() - started < 1
