"""Datasets by their names: rows as JSON, versions, differences, accesses and changes."""

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.gateway.conftest import GraphQL
from tests.gateway.lake import LiveLake, payments

APPEND = """
mutation ($dataset: String!, $rows: [JSON!]!, $mode: WriteMode! = APPEND, $key: String) {
  appendRows(dataset: $dataset, rows: $rows, mode: $mode, idempotencyKey: $key) {
    success errors code dataset version rows
  }
}
"""
DESCRIBE = """
mutation (
  $name: String!, $description: String, $owner: String, $tags: [String!], $key: [String!], $timeColumn: String
) {
  describeDataset(
    name: $name, description: $description, owner: $owner, tags: $tags, key: $key, timeColumn: $timeColumn
  ) { success errors code dataset { name description owner tags key timeColumn } }
}
"""
ROWS = """
query ($name: String!, $select: [String!], $where: JSON, $orderBy: [RowOrder!], $first: Int, $after: String) {
  dataset(name: $name) {
    rows(select: $select, where: $where, orderBy: $orderBy, first: $first, after: $after) {
      nodes totalCount edges { cursor node } pageInfo { hasNextPage hasPreviousPage endCursor }
    }
  }
}
"""


@pytest.fixture(scope="module")
def admin(lake: LiveLake) -> GraphQL:
    """The administrator."""
    return lake.admin()


@pytest.fixture(scope="module")
def rob(lake: LiveLake) -> GraphQL:
    """Who reads a part of the payments, and nothing else."""
    return lake.user("rob", {"dataset": "payments", "filter": "country=eq.FR", "columns": ["id", "country"]})


def rows_of(client: GraphQL, **variables: Any) -> Any:
    """A page of JSON rows."""
    return client.result(ROWS, **variables)["rows"]


def test_a_dataset_tells_of_itself(admin: GraphQL, rob: GraphQL) -> None:
    document = """{ dataset(name: "payments") {
      name kind rowCount version columns { name type isMasked } privileges description owner tags key timeColumn
    } }"""
    whole, part = admin.result(document), rob.result(document)
    assert (whole["kind"], whole["rowCount"], whole["version"]) == ("TABLE", 25, 2)
    assert whole["columns"][3] == {"name": "amount", "type": "NUMBER", "isMasked": False}
    assert whole["privileges"] == ["READ", "WRITE", "EXPORT", "REPLAY", "MANAGE"]
    assert [each["name"] for each in part["columns"]] == ["id", "country"]
    assert (part["rowCount"], part["version"], part["privileges"]) == (None, None, ["READ"])


def test_a_member_is_told_alone(admin: GraphQL) -> None:
    for member in ("kind", "rowCount", "sizeBytes", "timeColumn", "__typename"):
        assert list(admin.result(f'{{ dataset(name: "payments") {{ {member} }} }}')) == [member]


def test_datasets_are_listed_by_pages(lake: LiveLake, admin: GraphQL, rob: GraphQL) -> None:
    document = """query ($after: String) {
      datasets(first: 2, after: $after) { nodes { name } pageInfo { hasNextPage endCursor } }
    }"""
    seen: list[str] = []
    after = None
    while True:
        page = admin.result(document, after=after)
        seen += [each["name"] for each in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert seen == sorted(seen)
    assert {"payments", "hidden", "sales.eu"} <= {*seen}
    assert rob.result(document)["nodes"] == [{"name": "payments"}]
    assert admin.error("{ datasets(first: 101) { nodes { name } } }")["extensions"]["code"] == "INVALID"


@pytest.mark.parametrize("name", ["hidden", "nothing", "a/b", "..", "", "payments/rows", "hidden/query", "x" * 3_000])
def test_a_dataset_that_is_hidden_or_absent_is_null_and_an_error(rob: GraphQL, name: str) -> None:
    answer = rob.run("query ($name: String!) { dataset(name: $name) { name rows { nodes } } }", name=name)
    (error,) = answer["errors"]
    assert answer["data"] == {"dataset": None}
    assert error["message"] == f"Dataset {name} is not there, or is not for you to see"
    assert (error["path"], error["extensions"]["code"]) == (["dataset"], "NOT_FOUND")


def test_rows_have_the_names_that_columns_have(admin: GraphQL) -> None:
    page = rows_of(admin, name="sales.eu", orderBy=[{"column": "total sum", "direction": "DESC"}], select=["total sum"])
    assert (page["nodes"], page["totalCount"]) == ([{"total sum": 2.5}, {"total sum": 1.5}], 2)
    where = {"or": [{"total sum": {"gt": 2}}, {"id": {"in": [7]}}]}
    assert rows_of(admin, name="sales.eu", where=where)["nodes"] == [{"id": 2, "total sum": 2.5}]


def test_json_rows_go_on_after_any_edge(admin: GraphQL) -> None:
    asked = {"name": "payments", "select": ["id"], "orderBy": [{"column": "id"}]}
    page = rows_of(admin, **asked, first=4)
    after = page["edges"][1]["cursor"]
    assert [each["id"] for each in rows_of(admin, **asked, first=3, after=after)["nodes"]] == [2, 3, 4]
    following = rows_of(admin, **asked, first=10, after=page["pageInfo"]["endCursor"])
    assert [each["id"] for each in following["nodes"]] == list(range(4, 14))
    assert following["pageInfo"]["hasPreviousPage"]


def test_json_rows_are_as_they_were(admin: GraphQL) -> None:
    document = """{ dataset(name: "payments") {
      old: rows(version: 0) { totalCount } new: rows(asOf: "2100-01-01") { totalCount }
    } }"""
    assert admin.result(document) == {"old": {"totalCount": 10}, "new": {"totalCount": 25}}


WRONG = [
    ({"where": 5}, "where"),
    ({"where": []}, "where"),
    ({"where": {"nope": {"eq": 1}}}, "nope"),
    ({"where": {"id": 1}}, "id"),
    ({"where": {"id": {"near": 1}}}, "near"),
    ({"where": {"or": 1}}, "or"),
    ({"where": {"amount": {"eq": "much"}}}, "amount"),
    ({"select": ["nope"]}, "nope"),
    ({"orderBy": [{"column": "nope"}]}, "nope"),
    ({"first": 11}, "first"),
    ({"first": 0}, "first"),
    ({"after": "x"}, "cursor"),
]


@pytest.mark.parametrize(("asked", "named"), WRONG)
def test_what_cannot_be_asked_is_said(admin: GraphQL, asked: dict[str, Any], named: str) -> None:
    answer = admin.run(ROWS, name="payments", **asked)
    (error,) = answer["errors"]
    assert answer["data"] == {"dataset": {"rows": None}}
    assert (error["path"], error["extensions"]["code"]) == (["dataset", "rows"], "INVALID")
    assert named in error["message"]


def test_a_variable_stands_in_a_condition(admin: GraphQL) -> None:
    document = """query ($id: Long) {
      dataset(name: "payments") { rows(select: ["id"], where: {id: {in: [$id, 3]}}) { nodes } }
    }"""
    assert admin.result(document, id=2)["rows"]["nodes"] == [{"id": 2}, {"id": 3}]


def test_hidden_columns_are_unknown_in_json_too(rob: GraphQL) -> None:
    for asked in ({"select": ["card"]}, {"where": {"card": {"is": None}}}, {"orderBy": [{"column": "card"}]}):
        hidden = rob.error(ROWS, name="payments", **asked)["message"]
        absent = rob.error(ROWS, name="payments", **json.loads(json.dumps(asked).replace("card", "carx")))["message"]
        assert hidden == absent.replace("carx", "card")


def test_versions_are_told_the_newest_first(admin: GraphQL, rob: GraphQL) -> None:
    document = """query ($after: String) { dataset(name: "payments") { versions(first: 2, after: $after) {
      nodes { number at operation rows who } pageInfo { hasNextPage endCursor }
    } } }"""
    page = admin.result(document)["versions"]
    assert [(each["number"], each["rows"]) for each in page["nodes"]] == [(2, 5), (1, 10)]
    rest = admin.result(document, after=page["pageInfo"]["endCursor"])["versions"]
    assert [each["number"] for each in rest["nodes"]] == [0]
    assert not rest["pageInfo"]["hasNextPage"]
    seen = rob.result(document)["versions"]["nodes"]
    assert [(each["number"], each["rows"]) for each in seen] == [(2, None), (1, None)]


def test_differences_are_counted_and_told_by_pages(lake: LiveLake, admin: GraphQL) -> None:
    lake.write("compared", payments(rows=12))
    assert admin.result(DESCRIBE, name="compared", key=["id"])["success"]
    changed = admin.result(APPEND, dataset="compared", mode="MERGE", rows=[{"id": 3, "amount": 1}, {"id": 50}])
    assert changed["success"], changed
    document = """query ($from: Long!, $to: Long!, $first: Int, $after: String) { dataset(name: "compared") {
      diff(from: $from, to: $to, first: $first, after: $after) {
        nodes { change row before } edges { cursor } counts { added removed changed } pageInfo { endCursor }
      } } }"""
    ends = {"from": 0, "to": changed["version"]}
    page = admin.result(document, **ends)["diff"]
    assert page["counts"] == {"added": 1, "removed": 0, "changed": 1}
    told = {each["change"]: (each["row"]["id"], each["before"] and each["before"]["amount"]) for each in page["nodes"]}
    assert told == {"CHANGED": (3, 3.5), "ADDED": (50, None)}
    first = admin.result(document, **ends, first=1)["diff"]
    rest = admin.result(document, **ends, after=first["edges"][0]["cursor"])["diff"]
    assert [*first["nodes"], *rest["nodes"]] == page["nodes"]
    assert admin.error(document, **{"from": 0, "to": 99})["extensions"]["code"] == "VERSION_NOT_FOUND"


def test_who_manages_a_dataset_is_told_who_read_it(admin: GraphQL, rob: GraphQL) -> None:
    rob.result("{ payments(first: 3) { nodes { id } } }")
    document = """query ($where: AccessWhere) { dataset(name: "payments") { accesses(first: 1, where: $where) {
      nodes { at username operation columns rows requestId } pageInfo { hasNextPage }
    } } }"""
    where = {"username": {"eq": "rob"}, "operation": {"in": ["read rows", "query"]}, "rows": {"gt": 0}}
    (access,) = admin.result(document, where=where)["accesses"]["nodes"]
    assert (access["username"], access["operation"], access["columns"]) == ("rob", "read rows", ["id"])
    assert access["rows"] == 3
    found = admin.result(document, where={"requestId": {"eq": access["requestId"]}, "not": {"username": {"eq": "x"}}})
    assert found["accesses"]["nodes"] == [access]
    answer = rob.run(document)
    assert answer["data"] == {"dataset": {"accesses": None}}
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


def test_of_many_datasets_one_that_fails_is_one_null_and_one_error(admin: GraphQL) -> None:
    answer = admin.run(
        "{ datasets(first: 100) { nodes { name kind versions(first: 1) { nodes { number } } rows { totalCount } } } }"
    )
    nodes = answer["data"]["datasets"]["nodes"]
    tables = [each["name"] for each in nodes if each["kind"] == "TABLE"]
    assert len(tables) > 2
    assert [each["name"] for each in nodes if each["versions"]] == tables
    failed = [nodes[error["path"][2]]["name"] for error in answer["errors"]]
    assert failed == [each["name"] for each in nodes if each["kind"] != "TABLE"]
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"DATASET_NOT_VERSIONED"}


def test_what_is_not_said_of_a_dataset_stays(lake: LiveLake, admin: GraphQL) -> None:
    lake.write("described", payments(rows=3))
    first = admin.result(DESCRIBE, name="described", description="All", owner="ada", tags=["x", "y"], timeColumn="at")
    assert first["dataset"] == {
        "name": "described",
        "description": "All",
        "owner": "ada",
        "tags": ["x", "y"],
        "key": [],
        "timeColumn": "at",
    }
    second = admin.result(DESCRIBE, name="described", key=["id"], owner=None)
    assert second["dataset"] == {**first["dataset"], "key": ["id"], "owner": None}
    told = admin.result('{ __type(name: "DescribedRow") { description } }')
    assert told == {"description": "All"}


def test_what_cannot_be_said_of_a_dataset_is_refused_as_data(admin: GraphQL, rob: GraphQL) -> None:
    refused = admin.result(DESCRIBE, name="payments", key=["nope"])
    assert (refused["success"], refused["code"], refused["dataset"]) == (False, "INVALID", None)
    assert "nope" in refused["errors"][0]
    assert rob.result(DESCRIBE, name="payments", description="Mine")["code"] == "FORBIDDEN"
    hidden, absent = (rob.result(DESCRIBE, name=name, description="Mine") for name in ("hidden", "hidxen"))
    assert hidden["code"] == "NOT_FOUND"
    assert str(hidden) == str(absent).replace("hidxen", "hidden")


@pytest.mark.parametrize("name", ["", ".", "..", "payments/rows", "payments/versions", "../articles", "payments?x"])
def test_no_name_leads_to_another_route(admin: GraphQL, name: str) -> None:
    answer = admin.result(DESCRIBE, name=name, description="Mine")
    assert (answer["code"], answer["dataset"]) == ("NOT_FOUND", None)


def test_rows_are_appended_digit_for_digit(lake: LiveLake, admin: GraphQL) -> None:
    lake.write("exact", pa.table({"n": [0], "x": pa.array([Decimal(0)], pa.decimal128(38, 10))}))
    given = "1234567890123456789012345678.0123456789"
    body = json.dumps({"query": APPEND, "variables": {"dataset": "exact", "rows": [{"n": 1, "x": "X"}]}}).replace(
        '"X"', given
    )
    _, text, _ = admin.post(body.encode())
    assert json.loads(text)["data"]["appendRows"]["success"], text
    assert admin.run(f'mutation {{ appendRows(dataset: "exact", rows: [{{n: 2, x: {given}}}]) {{ success }} }}')["data"]
    _, text, _ = admin.post({"query": "{ exact(orderBy: {n: DESC}, first: 2) { nodes { n x } } }"})
    assert text.startswith(f'{{"data":{{"exact":{{"nodes":[{{"n":2,"x":{given}}},{{"n":1,"x":{given}}}]}}}}')


def test_rows_sent_twice_under_one_key_are_written_once(lake: LiveLake, admin: GraphQL) -> None:
    lake.write("once", pa.table({"id": [0]}))
    sent = {"dataset": "once", "rows": [{"id": 1}], "key": "k-1"}
    first, second = admin.result(APPEND, **sent), admin.result(APPEND, **sent)
    assert (first, first["rows"], first["dataset"]) == (second, 1, "once")
    assert admin.result("{ once { totalCount } }") == {"totalCount": 2}
    other = admin.error(APPEND, **{**sent, "rows": [{"id": 2}]})
    assert other["extensions"]["code"] == "IDEMPOTENCY_KEY_REUSED"
    for key in ("", "a b", "a\r\nX-Evil: 1", "é", "x" * 256):
        assert admin.result(APPEND, **{**sent, "key": key})["code"] == "INVALID"
    assert admin.result("{ once { totalCount } }") == {"totalCount": 2}


@pytest.mark.parametrize(
    ("dataset", "rows", "code"),
    [
        ("payments", [{"nope": 1}], "INVALID"),
        ("payments", [1], "INVALID"),
        ("payments", [], "INVALID"),
        ("payments", [{"id": "x"}], "INVALID"),
        ("nothing", [{"id": 1}], "NOT_FOUND"),
        ("payments/../hidden", [{"secret": "y"}], "NOT_FOUND"),
        ("articles", [{"id": 1}], "CONFLICT"),
    ],
)
def test_rows_that_cannot_be_written_are_refused_as_data(
    admin: GraphQL, dataset: str, rows: list[Any], code: str
) -> None:
    answer = admin.result(APPEND, dataset=dataset, rows=rows)
    assert (answer["success"], answer["code"], answer["rows"]) == (False, code, None)
    assert answer["errors"]


def test_who_may_not_write_writes_nothing(admin: GraphQL, rob: GraphQL) -> None:
    assert rob.result(APPEND, dataset="payments", rows=[{"id": 99}])["code"] == "FORBIDDEN"
    assert rob.result(APPEND, dataset="hidden", rows=[{"secret": "y"}])["code"] == "NOT_FOUND"
    assert admin.result("{ hidden { totalCount } }") == {"totalCount": 1}


def test_an_earlier_version_is_the_newest_again(lake: LiveLake, admin: GraphQL, rob: GraphQL) -> None:
    lake.write("restored", payments(rows=3))
    lake.write("restored", payments(rows=2), mode="overwrite")
    document = """mutation ($name: String!, $version: Long!) { restoreDataset(name: $name, version: $version) {
      success errors code dataset { name version rowCount rows(first: 1) { totalCount } }
    } }"""
    answer = admin.result(document, name="restored", version=0)
    assert answer["dataset"] == {"name": "restored", "version": 2, "rowCount": 3, "rows": {"totalCount": 3}}
    assert admin.result(document, name="restored", version=99)["code"] == "VERSION_NOT_FOUND"
    assert admin.result(document, name="articles", version=0)["code"] == "DATASET_NOT_VERSIONED"
    assert rob.result(document, name="restored", version=0)["code"] == "NOT_FOUND"
