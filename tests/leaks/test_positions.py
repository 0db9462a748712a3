"""Names and values of every kind in every position: answers are never failures, and never a part of a statement."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import duckdb
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rest_api.app import create_app
from rest_api.backends.engine.duckdb import DuckDbEngine
from rest_api.backends.engine.rendering import Sql
from tests.api.lake import give, lake_folder, with_lake, write_parquet
from tests.conftest import Caller, log_in, prepare_database, settings_for

FRAGMENTS = (
    "'",
    '"',
    "''",
    '""',
    "\\",
    "\x00",
    "\n",
    "--",
    "/*",
    ";",
    "%",
    "*",
    "_",
    "(",
    ")",
    ",",
    ".",
    "$p1",
    "$files",
    "?",
    ":p1",
    "file_index",
    "file_row_number",
    "filename",
    "lakeport_view",
    "lakeport_rank",
    "transactions",
    "amount",
    "null",
    "1 or 1=1",
    "' or 1=1 --",
    '"; drop table x; --',
    "union select * from duckdb_settings()",
    "read_text('/etc/passwd')",
    "getenv('HOME')",
    "İ",
    "ß",
    "\u202e",
    "\u200b",
    "é",
    "e\u0301",
    "李",
    "😀",
    "\ud800",
    "A" * 300,
    "9" * 25,
    "1e999",
    "NaN",
    "Infinity",
    "-0",
    "true",
    "is.null",
    "not.eq.1",
    "or",
    "and",
    "0001-01-01",
    "9999-12-31T23:59:59.999999Z",
    "\t",
    " ",
)
TEXTS = st.one_of(
    st.sampled_from(FRAGMENTS),
    st.lists(st.sampled_from(FRAGMENTS), min_size=2, max_size=4).map("".join),
    st.text(max_size=40),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
COLUMNS = ("transaction_id", "timestamp", "user_id", "amount", "customer_rating", "country")
OPERATORS = ("eq", "neq", "gt", "gte", "lt", "lte", "in", "like", "ilike", "is", "not.eq", "not.in")
FUNCTIONS = frozenset({"read_parquet", "count", "count_star", "like_escape", "ilike_escape"})
QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One lake for all examples; nobody's example changes it but for grants and descriptions."""
    folder: Path = tmp_path_factory.mktemp("positions")
    url = f"sqlite:///{folder}/lakeport.db"
    found = settings_for(folder, DATABASE_URL=url, REQUESTS_PER_MINUTE="10000000")
    found.heads_dir.mkdir()
    prepare_database(url)
    app = with_lake(create_app(found))
    yield app
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture(scope="module")
def root(lake: Flask) -> Caller:
    return log_in(lake, "root")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Sql]:
    """The statements that DuckDB is given."""
    found: list[Sql] = []
    run = DuckDbEngine._run

    def running(self: DuckDbEngine, sql: Sql) -> Any:
        found.append(sql)
        return run(self, sql)

    monkeypatch.setattr(DuckDbEngine, "_run", running)
    return found


def asked(caller: Caller, method: str, path: str, pairs: Any = (), body: Any = None) -> int:
    """The status of a call. What cannot be sent at all is left out."""
    text = urlencode(list(pairs), errors="surrogatepass")
    data = None if body is None else json.dumps(body).encode("utf-8", "surrogatepass")
    answer = caller.call(method, f"{path}?{text}", data=data, content_type="application/json", buffered=True)
    assert answer.status_code < 500, (method, path, pairs, body, answer.json)
    return int(answer.status_code)


@QUICK
@given(name=TEXTS, text=TEXTS, column=st.sampled_from(COLUMNS), op=st.sampled_from(OPERATORS))
def test_a_url_is_answered_whatever_is_in_it(root: Caller, name: str, text: str, column: str, op: str) -> None:
    rows = "/data/datasets/transactions/rows"
    listed = f"({text})" if op.endswith("in") else text
    for pairs in (
        [(column, f"{op}.{listed}"), ("count", "exact")],
        [(name, f"{op}.{listed}")],
        [("or", f"({column}.{op}.{listed},{name}.eq.1)")],
        [("and", f'({column}.{op}."{text}")')],
        [("select", name)],
        [("order", f"{name}.desc,{column}.{text}")],
        [("limit_per", name)],
        [(text, name), ("limit", text)],
        [("version", text)],
        [("as_of", text)],
        [("cursor", text)],
        [("page", text)],
        [("count", text)],
    ):
        asked(root, "GET", rows, pairs)
    asked(root, "GET", "/data/datasets/transactions/export", [(column, f"{op}.{listed}"), ("select", "user_id")])
    asked(root, "GET", "/data/datasets/transactions/diff", [("from", text), ("to", "1"), ("cursor", name)])
    asked(root, "GET", "/data/datasets/transactions/versions", [("cursor", text), ("limit", name)])
    asked(root, "GET", "/data/datasets/transactions/accesses", [("username", text), ("columns", name)])
    for figure, more in (("spend", []), ("spend/series", [("step", "1h")]), ("top-products", [("x", "3")])):
        window = [("window", "30d"), ("at", "2026-10-20T00:00:00Z"), *more]
        asked(root, "GET", f"/analytics/{figure}", [*window, (column, f"{op}.{listed}")])
        asked(root, "GET", f"/analytics/{figure}", [("window", text), ("at", name), *more])


@QUICK
@given(name=TEXTS, value=JSON, column=st.sampled_from(COLUMNS), op=st.sampled_from(OPERATORS[:10]))
def test_a_body_is_answered_whatever_is_in_it(root: Caller, name: str, value: Any, column: str, op: str) -> None:
    for body in (
        {"where": {column: {op: value}}, "count": "exact"},
        {"where": {name: {op: value}}},
        {"where": {"or": [{column: {"not": {op: value}}}, {name: value}]}},
        {"select": [name], "order": [{"column": name}]},
        {"select": value, "order": value},
        {"order": [{"column": column, "direction": value}]},
        {"limit": value, "page": value},
        {"cursor": value},
        {"version": value},
        {"as_of": value},
        {"limit_per": value},
        {name: value},
        value,
    ):
        asked(root, "POST", "/data/datasets/transactions/query", body=body)
    for body in (
        {"principal": name, "dataset": name, "privileges": ["read"]},
        {"principal": "ed", "dataset": "transactions", "privileges": ["read"], "filter": f"{column}={op}.{name}"},
        {"principal": "ed", "path": f"/{name}", "privileges": ["read"], "filter": name},
        {"principal": "ed", "path": "/sales", "privileges": ["read"], "columns": [name], "masks": {name: "hash"}},
        {"principal": "ed", "dataset": "transactions", "privileges": value, "columns": value, "masks": value},
        {"principal": "ed", "dataset": "transactions", "privileges": ["read"], "expires_at": value},
    ):
        asked(root, "POST", "/grants", body=body)
    asked(root, "POST", "/grants/explain", body={"dataset": name, "principal": name, "columns": [name]})
    asked(root, "PUT", "/data/datasets/stores", body={"description": name, "tags": [name], "key": [name]})


@QUICK
@given(name=TEXTS)
def test_a_path_is_answered_whatever_is_in_it(root: Caller, name: str) -> None:
    part = quote(name.encode("utf-8", "surrogatepass"), safe="")
    for path in ("", "/rows", "/export", "/versions", "/diff", "/accesses"):
        asked(root, "GET", f"/data/datasets/{part}{path}", [("from", "0"), ("to", "1")] if path == "/diff" else ())
    asked(root, "POST", f"/data/datasets/{part}/query", body={})


@settings(QUICK, max_examples=60)
@given(
    text=TEXTS.filter(lambda each: not re.search("[\x00\ud800-\udfff]", each)), number=st.integers(-(2**63), 2**63 - 1)
)
def test_the_statement_is_the_same_whatever_the_values_are(root: Caller, text: str, number: int) -> None:
    statements: list[str] = []
    run = DuckDbEngine._run

    def running(self: DuckDbEngine, sql: Sql) -> Any:
        statements.append(sql.text)
        return run(self, sql)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DuckDbEngine, "_run", running)
        made = []
        for one, other in ((text, number), ("plain", 1)):
            for body in _bodies(one, other):
                asked(root, "POST", "/data/datasets/stores/query", body=body)
            made.append(tuple(statements))
            statements.clear()
    assert made[0] == made[1]
    assert len(made[0]) >= len(_bodies("", 0))


def _bodies(text: str, number: int) -> list[dict[str, Any]]:
    wheres: list[dict[str, Any]] = [{"name": {op: text}} for op in ("eq", "neq", "gt", "lte", "like", "ilike")]
    wheres += [{"store_id": {op: number}} for op in ("eq", "neq", "gt", "gte", "lt", "lte")]
    wheres += [{"or": [{"name": {"in": [text, text]}}, {"not": {"store_id": {"in": [number]}}}]}]
    return [{"where": where, "count": "exact", "order": [{"column": "country"}]} for where in wheres]


NAMES = (
    'a"b',
    "a'b",
    "a;b",
    "a--b",
    "a/*b",
    "$p1",
    "$files",
    "lakeport_nothing",
    "filename",
    "select",
    "a b",
    "a.b",
    "a,b",
    "(a)",
    "é",
    "e\u0301",
    "\u202ea",
    "😀",
    "a\\b",
    "a%b",
    "*",
    "or",
    "x" * 200,
    "rowid",
    "p0",
    "a\tb",
    "count",
    "order",
)


def test_a_name_is_only_ever_a_quoted_identifier(lake: Flask, root: Caller, said: list[Sql]) -> None:
    give(root, "rita", "/names", filter="deciding=eq.1")
    rita = log_in(lake, "rita")
    trees = {}
    for number, name in enumerate(("plain", *NAMES)):
        row = {name: "v", "deciding": 1, "beside": "w"}
        write_parquet(lake_folder(lake) / "names" / f"n{number}" / "a.parquet", [row, {**row, "deciding": 2}])
        said.clear()
        for body in (
            {"select": [name], "order": [{"column": name, "direction": "desc"}]},
            {"where": {name: {"like": "v*"}}, "count": "exact"},
            {"where": {"or": [{name: {"in": ["v"]}}, {"not": {name: {"is": None}}}]}},
            {"limit_per": name, "limit": 1},
        ):
            answer = rita.post(f"/data/datasets/names.n{number}/query", body)
            assert (answer.status_code, len((answer.json or {}).get("data", []))) == (200, 1), (name, body, answer.json)
            assert answer.json["data"][0][name] == "v"
        trees[name] = [_canonical(tree_of(sql), name) for sql in said]
    plain = trees.pop("plain")
    assert {name: tree for name, tree in trees.items() if tree != plain} == {}


def test_a_tree_holds_nothing_but_the_plan(root: Caller, said: list[Sql]) -> None:
    hostile = "' union select * from read_text('/etc/passwd') --"
    for body in _bodies(hostile, 7):
        root.post("/data/datasets/stores/query", body)
    for sql in said:
        tree = tree_of(sql)
        found = list(_nodes(tree))
        assert {node["function_name"] for node in found if node.get("type") == "FUNCTION"} <= FUNCTIONS
        assert not [node for node in found if node.get("type") == "BASE_TABLE"]
        constants = [node["literal"] for node in found if node.get("class") == "CONSTANT"]
        assert hostile not in json.dumps(tree)
        assert all(each["kind"] in ("INTEGER", "BOOLEAN", "NULL") or each["text"] == "\\" for each in constants), (
            constants
        )


def tree_of(sql: Sql) -> Any:
    """What DuckDB itself reads in a statement."""
    with duckdb.connect() as connection:
        written = connection.execute("select json_serialize_sql($said)", {"said": sql.text}).fetchall()[0][0]
    tree = json.loads(written)
    assert tree["error"] is False, tree
    assert len(tree["statements"]) == 1
    return tree["statements"][0]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(inner)


def _canonical(tree: Any, name: str) -> Any:
    """The tree with one name for the column, and without where in the text things stand."""
    if isinstance(tree, dict):
        return {key: _canonical(value, name) for key, value in tree.items() if not key.startswith("query_location")}
    if isinstance(tree, list):
        return [_canonical(each, name) for each in tree]
    return "<name>" if tree in (name, "plain") else tree
