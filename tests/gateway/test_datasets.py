"""Datasets as typed fields: what each caller sees of them, and what he cannot find out."""

import re
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.gateway.conftest import GraphQL
from tests.gateway.lake import LiveLake, payments

COLUMNS = ["id", "at", "country", "amount", "card", "order"]
FIELDS = "{ __schema { queryType { fields { name } } types { name fields { name } inputFields { name } } } }"
PAGE = "nodes { id } edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"


@pytest.fixture(scope="module")
def admin(lake: LiveLake) -> GraphQL:
    """The administrator."""
    return lake.admin()


@pytest.fixture(scope="module")
def fay(lake: LiveLake) -> GraphQL:
    """Who sees the French payments, not who they were paid by, nor whether."""
    filters = {"filter": "country=eq.FR", "columns": COLUMNS, "masks": {"card": "last4"}}
    return lake.user("fay", {"dataset": "payments", **filters})


@pytest.fixture(scope="module")
def ida(lake: LiveLake) -> GraphQL:
    """Who sees the ids and times of all payments."""
    return lake.user("ida", {"dataset": "payments", "columns": ["id", "at"]})


def columns_of(client: GraphQL, type_: str) -> list[str] | None:
    """The fields of a type, as introspection tells of them."""
    told = client.result("query ($name: String!) { __type(name: $name) { fields { name } } }", name=type_)
    return [each["name"] for each in told["fields"]] if told else None


def ids(page: dict[str, Any]) -> list[int]:
    """The ids of a page's nodes."""
    return [each["id"] for each in page["nodes"]]


def test_columns_are_fields_and_conditions_are_typed(admin: GraphQL) -> None:
    document = """{
      payments(where: {amount: {gt: 10}, country: {eq: "FR"}}, orderBy: {at: DESC}, first: 2) {
        totalCount nodes { id country amount paid at }
      }
    }"""
    assert admin.result(document) == {
        "totalCount": 5,
        "nodes": [
            {"id": 24, "country": "FR", "amount": 24.5, "paid": True, "at": "2026-11-02T00:00:00Z"},
            {"id": 21, "country": "FR", "amount": 21.5, "paid": False, "at": "2026-11-01T21:00:00Z"},
        ],
    }


def test_conditions_are_combined(admin: GraphQL) -> None:
    where = {"or": [{"id": {"lt": 2}}, {"and": [{"id": {"gte": 23}}, {"not": {"paid": {"eq": True}}}]}]}
    found = admin.result(
        "query ($w: PaymentsWhere) { payments(where: $w, orderBy: [{id: ASC}]) { nodes { id } } }", w=where
    )
    assert ids(found) == [0, 1, 23]


def test_a_column_cannot_be_compared_with_what_it_does_not_hold(admin: GraphQL) -> None:
    error = admin.error('{ payments(where: {amount: {gt: "much"}}) { nodes { id } } }')
    assert error["extensions"]["code"] == "INVALID"


def test_users_with_different_grants_have_different_schemas(admin: GraphQL, fay: GraphQL, ida: GraphQL) -> None:
    assert columns_of(admin, "PaymentsRow") == ["id", "at", "country", "amount", "card", "paid", "order"]
    assert columns_of(fay, "PaymentsRow") == COLUMNS
    assert columns_of(ida, "PaymentsRow") == ["id", "at"]
    assert columns_of(admin, "HiddenRow") == ["secret"]
    assert columns_of(fay, "HiddenRow") is None


def test_what_is_hidden_is_nowhere_in_introspection(fay: GraphQL, ida: GraphQL) -> None:
    for client, hidden in ((fay, ("paid", "hidden", "secret")), (ida, ("paid", "card", "hidden", "secret"))):
        _, text, _ = client.post({"query": FIELDS})
        words = text.lower().replace('"', " ").split()
        assert "payments" in words
        assert not {*hidden} & {*words}
        sdl = client.result("{ _service { sdl } }")["sdl"]
        row = sdl.split("type PaymentsRow {")[1].split("}")[0]
        assert "id: Long" in row
        assert not any(f"{name}:" in row for name in hidden)
        assert "HiddenRow" not in sdl


@pytest.mark.parametrize(
    ("hidden", "absent"),
    [
        ("{ hidden { nodes { secret } } }", "{ hidxen { nodes { secret } } }"),
        ("{ payments { nodes { paid } } }", "{ payments { nodes { paxd } } }"),
        (
            "{ payments(where: {paid: {eq: true}}) { nodes { id } } }",
            "{ payments(where: {paxd: {eq: true}}) { nodes { id } } }",
        ),
        ("{ payments(orderBy: {paid: ASC}) { nodes { id } } }", "{ payments(orderBy: {paxd: ASC}) { nodes { id } } }"),
        ('{ dataset(name: "hidden") { name } }', '{ dataset(name: "hidxen") { name } }'),
        ("{ ... on HiddenRow { secret } }", "{ ... on HidxenRow { secret } }"),
        ('{ __type(name: "HiddenRow") { name } }', '{ __type(name: "HidxenRow") { name } }'),
    ],
)
def test_what_is_hidden_is_told_as_what_is_not_there(fay: GraphQL, hidden: str, absent: str) -> None:
    first, second = (_told(fay, document) for document in (hidden, absent))
    assert first == second.replace("paxd", "paid").replace("idxen", "idden")


def _told(client: GraphQL, document: str) -> str:
    """An answer without what differs from one request to another, and the names it suggests, which are visible ones."""
    answer = client.run(document)
    for error in answer.get("errors", ()):
        del error["extensions"]["requestId"]
    text = str(answer)
    for suggested in re.findall(r" Did you mean (.*?)\?", text):
        assert {*re.findall(r"'(\w+)'", suggested)} <= {*COLUMNS, "and", "or", "not"}
    return re.sub(r" Did you mean .*?\?", "", text)


@pytest.mark.parametrize(("mistaken", "meant"), [("hiden", "hidden"), ("payments { nodes { paids } }", "paid")])
def test_suggestions_name_what_the_caller_sees(admin: GraphQL, fay: GraphQL, mistaken: str, meant: str) -> None:
    document = f"{{ {mistaken} }}"
    assert f"'{meant}'" in str(admin.run(document)["errors"])
    assert f"'{meant}'" not in str(fay.run(document)["errors"])


def test_rows_are_those_that_grants_admit_and_masks_hold(fay: GraphQL) -> None:
    page = fay.result('{ payments(where: {card: {eq: "0003"}}) { totalCount nodes { id country card } } }')
    assert page == {"totalCount": 1, "nodes": [{"id": 3, "country": "FR", "card": "0003"}]}
    assert fay.result('{ payments(where: {card: {eq: "4000-0003"}}) { totalCount } }') == {"totalCount": 0}
    assert fay.result("{ payments { totalCount } }") == {"totalCount": 9}
    shown = fay.result('{ __type(name: "PaymentsRow") { fields { name description } } }')["fields"]
    assert [each["name"] for each in shown if each["description"]] == ["card"]


DIGITS = {
    "0.12345678901234567890": "0.12345678901234567890",
    "1.10": "1.10000000000000000000",
    "123456789012345678.00000000000000000001": "123456789012345678.00000000000000000001",
    "-7": "-7.00000000000000000000",
    "1e-7": "0.00000010000000000000",
    "9007199254740993.5": "9007199254740993.50000000000000000000",
    "0": "0.00000000000000000000",
}


def test_decimals_come_digit_for_digit_and_are_compared_so(lake: LiveLake, admin: GraphQL) -> None:
    values = pa.array([Decimal(each) for each in DIGITS], pa.decimal128(38, 20))
    lake.write("digits", pa.table({"n": list(range(len(DIGITS))), "amount": values}))
    _, text, _ = admin.post({"query": "{ digits(orderBy: {n: ASC}) { nodes { amount } } }"})
    told = ",".join(f'{{"amount":{written}}}' for written in DIGITS.values())
    assert text.startswith(f'{{"data":{{"digits":{{"nodes":[{told}]}}}}')
    for number, given in enumerate(DIGITS):
        page = f'{{"data":{{"digits":{{"nodes":[{{"n":{number}}}]}}}}'
        assert _found(admin, f"(where: {{amount: {{eq: {given}}}}})").startswith(page)
        assert _found(admin, "(where: {amount: {eq: $x}})", "($x: Decimal)", f'{{"x":{given}}}').startswith(page)
    _, text, _ = admin.post({"query": '{ dataset(name: "digits") { rows(where: {n: {eq: 2}}) { nodes } } }'})
    assert '{"n":2,"amount":123456789012345678.00000000000000000001}' in text


def _found(client: GraphQL, arguments: str, variables: str = "", given: str = "{}") -> str:
    document = f"query {variables} {{ digits{arguments} {{ nodes {{ n }} }} }}"
    _, text, _ = client.post(f'{{"query": "{document}", "variables": {given}}}'.encode())
    return text


@pytest.mark.parametrize("number", ["1e99999999999999999999", "1" * 101, "NaN", "-Infinity"])
def test_what_is_no_number_is_refused(admin: GraphQL, number: str) -> None:
    assert (
        admin.error(f"{{ payments(where: {{amount: {{eq: {number}}}}}) {{ nodes {{ id }} }} }}")["extensions"]["code"]
        == "INVALID"
    )


def test_pages_follow_one_another_to_the_end(admin: GraphQL) -> None:
    document = f"query ($after: String) {{ payments(orderBy: {{id: DESC}}, after: $after) {{ {PAGE} totalCount }} }}"
    seen: list[int] = []
    after = None
    for has_next in (True, True, False):
        page = admin.result(document, after=after)
        info = page["pageInfo"]
        assert (info["hasNextPage"], info["hasPreviousPage"]) == (has_next, after is not None)
        assert [each["node"]["id"] for each in page["edges"]] == ids(page)
        assert (info["startCursor"], info["endCursor"]) == (page["edges"][0]["cursor"], page["edges"][-1]["cursor"])
        assert page["totalCount"] == 25
        seen += ids(page)
        after = info["endCursor"]
    assert seen == list(range(24, -1, -1))
    beyond = admin.result(document, after=after)
    assert (ids(beyond), beyond["pageInfo"]["hasNextPage"], beyond["totalCount"]) == ([], False, 25)


def test_a_list_goes_on_after_any_of_its_edges(admin: GraphQL) -> None:
    arguments = "orderBy: {id: ASC}, after: $after, first: $first"
    document = f"query ($after: String, $first: Int) {{ payments({arguments}) {{ {PAGE} }} }}"
    page = admin.result(document, first=10)
    for place in (0, 4, 9):
        following = admin.result(document, after=page["edges"][place]["cursor"], first=4)
        assert ids(following) == list(range(place + 1, place + 5))
        again = admin.result(document, after=following["edges"][1]["cursor"], first=3)
        assert ids(again) == list(range(place + 3, place + 6))


def test_a_page_without_rows_asked_for_is_counted(admin: GraphQL) -> None:
    assert admin.result("{ payments { totalCount } }") == {"totalCount": 25}
    assert admin.result("{ payments(first: 1) { nodes { __typename } } }") == {"nodes": [{"__typename": "PaymentsRow"}]}


def test_a_cursor_is_good_for_its_caller_and_its_list_only(admin: GraphQL, fay: GraphQL) -> None:
    document = "query ($after: String) { payments(after: $after, first: 2) { nodes { id } pageInfo { endCursor } } }"
    cursor = admin.result(document)["pageInfo"]["endCursor"]
    assert fay.error(document, after=cursor)["extensions"]["code"] == "INVALID"
    for forged in ("", "x", "1", "0.x", "101.", "-1.", f"{cursor}x", "1." + "x" * 500):
        assert admin.error(document, after=forged)["extensions"]["code"] == "INVALID", forged


@pytest.mark.parametrize("first", [0, -1, 11, 2_147_483_647])
def test_a_page_has_from_one_to_ten_rows(admin: GraphQL, first: int) -> None:
    error = admin.error(f"{{ payments(first: {first}) {{ nodes {{ id }} }} }}")
    assert (error["message"], error["extensions"]["code"]) == ("first goes from 1 to 10", "INVALID")


def test_a_table_is_read_as_it_was(admin: GraphQL) -> None:
    old = "query ($version: Long, $asOf: DateTime) { payments(version: $version, asOf: $asOf) { totalCount } }"
    assert [admin.result(old, version=number)["totalCount"] for number in range(3)] == [10, 20, 25]
    assert admin.result(old, asOf="2100-01-01")["totalCount"] == 25
    assert admin.error(old, version=9)["extensions"]["code"] == "VERSION_NOT_FOUND"
    assert admin.error(old, asOf="2020-01-01T00:00:00Z")["extensions"]["code"] == "VERSION_NOT_FOUND"
    assert admin.error(old, version=1, asOf="2100-01-01")["extensions"]["code"] == "INVALID"


def test_columns_called_as_parameters_are_asked_for_all_the_same(lake: LiveLake, admin: GraphQL) -> None:
    names = ["limit", "order", "select", "cursor", "version", "count", "or", "not", "page", "q"]
    lake.write("reserved", pa.table({name: [1, 2, 3] for name in names}))
    for name in names:
        rows = admin.result(f"{{ reserved(orderBy: {{{name}: DESC}}, first: 1) {{ nodes {{ {name} }} }} }}")
        assert rows == {"nodes": [{name: 3}]}
        if name in ("or", "not"):
            continue
        where = f"{{{name}: {{gt: 1}}, or: [{{{name}: {{lt: 3}}}}]}}"
        document = f"{{ reserved(where: {where}) {{ totalCount nodes {{ {name} }} }} }}"
        assert admin.result(document) == {"totalCount": 1, "nodes": [{name: 2}]}
    document = 'query ($w: JSON) { dataset(name: "reserved") { rows(where: $w) { totalCount } } }'
    assert admin.result(document, w={"order": {"eq": 2}}) == {"rows": {"totalCount": 1}}


@pytest.mark.parametrize(
    ("name", "is_field"),
    [
        ("article", True),
        ("user", True),
        ("Query", True),
        ("page_info", True),
        ("getArticles", False),
        ("naïve", False),
        ("a-b", False),
        ("1st", False),
        ("open.one", False),
    ],
)
def test_whatever_it_is_called_a_dataset_is_reached_by_its_name(
    lake: LiveLake, admin: GraphQL, name: str, is_field: bool
) -> None:
    lake.write(name, pa.table({"id": [7], "a b": [1.5]}))
    document = "query ($name: String!) { dataset(name: $name) { name rows(first: 1) { nodes } } }"
    rows = {"nodes": [{"id": 7, "a b": 1.5}]}
    assert admin.result(document, name=name) == {"name": name, "rows": rows}
    fields = admin.result("{ __schema { queryType { fields { name description } } } }")["queryType"]["fields"]
    described = [each["description"] for each in fields if each["name"] == name]
    assert any("'a b'" in each for each in described) == is_field
    if is_field:
        assert admin.result(f"{{ {name} {{ nodes {{ id }} }} }}") == {"nodes": [{"id": 7}]}


def test_a_grant_that_is_revoked_shows_nothing_though_the_schema_was_kept(lake: LiveLake, fay: GraphQL) -> None:
    lake.write("passing", pa.table({"word": ["x"], "other": ["y"]}))
    grant = lake.grant("fay", dataset="passing")
    assert fay.result("{ passing { nodes { word } } }") == {"nodes": [{"word": "x"}]}
    lake.revoke(grant)
    assert fay.error("{ passing { nodes { word } } }")["extensions"]["code"] == "NOT_FOUND"
    assert fay.run("{ passing { __typename } }")["data"] == {"passing": None}
    assert fay.run('{ __type(name: "PassingRow") { name } }')["data"] == {"__type": None}
    assert "'passing'" not in str(fay.run("{ passin { nodes { word } } }")["errors"])


def test_of_a_narrowed_grant_nothing_more_is_shown_though_the_schema_was_kept(lake: LiveLake, fay: GraphQL) -> None:
    lake.write("narrowed", pa.table({"word": ["x"], "other": ["y"]}))
    wide = lake.grant("fay", dataset="narrowed")
    document = "{ narrowed { nodes { word other } } }"
    assert fay.result(document) == {"nodes": [{"word": "x", "other": "y"}]}
    lake.grant("fay", dataset="narrowed", columns=["word"])
    lake.revoke(wide)
    answer = fay.run(document)
    assert answer["errors"][0]["extensions"]["code"] == "INVALID"
    assert "'y'" not in str(answer)
    assert columns_of(fay, "NarrowedRow") == ["word"]


def test_new_datasets_and_columns_are_there_at_the_next_request(lake: LiveLake, admin: GraphQL) -> None:
    assert admin.error("{ newly { nodes { id } } }")["extensions"]["code"] == "INVALID"
    lake.write("newly", pa.table({"id": [1]}))
    assert admin.result("{ newly { nodes { id } } }") == {"nodes": [{"id": 1}]}
    lake.write("newly", pa.table({"id": [2], "more": ["x"]}), mode="append", schema_mode="merge")
    page = admin.result("{ newly(orderBy: {id: ASC}) { nodes { id more } } }")
    assert page == {"nodes": [{"id": 1, "more": None}, {"id": 2, "more": "x"}]}


def test_several_datasets_are_read_in_one_request_and_fail_apart(lake: LiveLake, admin: GraphQL) -> None:
    lake.write("other", payments(rows=3))
    answer = admin.run("{ a: payments(version: 99) { nodes { id } } b: other(first: 1) { nodes { id } } }")
    assert answer["data"] == {"a": None, "b": {"nodes": [{"id": 0}]}}
    assert [error["path"] for error in answer["errors"]] == [["a"]]


def test_who_has_no_grants_has_no_datasets(lake: LiveLake) -> None:
    nia = lake.user("nia")
    assert nia.result("{ datasets { nodes { name } pageInfo { hasNextPage endCursor } } }") == {
        "nodes": [],
        "pageInfo": {"hasNextPage": False, "endCursor": None},
    }
    assert "payments" not in str(nia.run(FIELDS)).lower().split("'")
