"""Folders of CSV, JSON and Parquet, as a client reads them."""

import gzip
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flask import Flask

from rest_api.backends.parsed import ParsedTexts
from rest_api.backends.parsing import Format, Parsed, Parser
from rest_api.backends.storage.local import LocalStorage
from tests.api.lake import give, lake_folder
from tests.conftest import Caller, log_in

TIME = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/lakeport.db"


@pytest.fixture
def lake(app: Flask) -> Path:
    return lake_folder(app)


@pytest.fixture
def root(app: Flask) -> Caller:
    return log_in(app, "root")


def put(folder: Path, **files: str | bytes) -> None:
    """Write files; `__` in a name stands for its dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name.replace("__", ".")).write_bytes(data)


def put_parquet(folder: Path, *columns: Sequence[Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, column in enumerate(columns):
        pq.write_table(pa.table({"c": column}), folder / f"{number}.parquet")


def rows(caller: Caller, dataset: str, query: str = "") -> Any:
    answer = caller.get(f"/data/datasets/{dataset}/rows{query}")
    assert answer.status_code == 200, answer.json
    return answer.json["data"]


def columns(caller: Caller, dataset: str) -> dict[str, str]:
    told = caller.get(f"/data/datasets/{dataset}").json
    return {column["name"]: column["type"] for column in told["columns"]}


CONTENTS = {
    "csv": ("a__csv", "id,name\n1,Ada\n2,Bo\n"),
    "csv.gz": ("a__csv__gz", gzip.compress(b"id,name\n1,Ada\n2,Bo\n")),
    "json": ("a__json", '[{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bo"}]'),
    "ndjson": ("a__ndjson", '{"id": 1, "name": "Ada"}\n{"id": 2, "name": "Bo"}\n'),
    "jsonl.gz": ("a__jsonl__gz", gzip.compress(b'{"id": 1, "name": "Ada"}\n{"id": 2, "name": "Bo"}\n')),
    "upper case": ("A__CSV", "id,name\n1,Ada\n2,Bo\n"),
}


@pytest.mark.parametrize(("name", "content"), CONTENTS.values(), ids=list(CONTENTS))
def test_a_file_of_text_is_read_and_filtered(lake: Path, root: Caller, name: str, content: str | bytes) -> None:
    put(lake / "people", **{name: content})
    assert rows(root, "people") == [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bo"}]
    assert rows(root, "people", "?id=gt.1") == [{"id": 2, "name": "Bo"}]
    assert columns(root, "people") == {"id": "integer", "name": "text"}


def test_a_file_that_changes_is_read_anew(lake: Path, root: Caller) -> None:
    put(lake / "people", a__csv="id\n1\n")
    assert rows(root, "people") == [{"id": 1}]
    put(lake / "people", a__csv="id\n2\n3\n")
    assert rows(root, "people") == [{"id": 2}, {"id": 3}]


def test_only_managers_learn_which_line_of_which_file_is_broken(lake: Path, root: Caller, app: Flask) -> None:
    put(lake / "people", a__csv="id,name\n1,Ada\n2\n", secret_name__ndjson="{}{")
    give(root, "rita", "/people")
    told, hidden = (caller.get("/data/datasets/people/rows") for caller in (root, log_in(app, "rita")))
    assert (
        (told.status_code, told.json["code"]) == (hidden.status_code, hidden.json["code"]) == (409, "dataset_corrupt")
    )
    assert "a.csv" in told.json["detail"]
    assert "Line 3" in told.json["detail"]
    assert "csv" not in hidden.get_data(as_text=True)


def test_a_bomb_is_refused_and_takes_no_other_dataset_down(lake: Path, root: Caller) -> None:
    put(lake / "bomb", a__json__gz=gzip.compress(b"[" * 200_000_000))
    put(lake / "people", a__csv="id\n1\n")
    assert root.get("/data/datasets/bomb/rows").json["code"] == "dataset_corrupt"
    assert rows(root, "people") == [{"id": 1}]


MIXED: dict[str, tuple[list[Sequence[Any]], str, list[Any]]] = {
    "integer and double": ([[1], [1.5]], "number", [1, 1.5]),
    "integers": ([pa.array([1], pa.int8()), [2**40]], "integer", [1, 2**40]),
    "integer and text": ([[5], ["x"]], "text", ["5", "x"]),
    "boolean and integer": ([[True], [7]], "text", ["true", "7"]),
    "time and integer": ([[TIME], [7]], "text", ["2026-01-01T00:00:00.000000Z", "7"]),
    "date and time": ([[TIME.date()], [TIME]], "timestamp", ["2026-01-01T00:00:00Z"] * 2),
    "three kinds": ([[1], ["x"], [True], [2]], "text", ["1", "x", "true", "2"]),
    "nothing and integer": ([pa.array([None], pa.string()), [7]], "integer", [None, 7]),
    "nothing and time": ([pa.array([None], pa.string()), [TIME]], "timestamp", [None, "2026-01-01T00:00:00Z"]),
}


@pytest.mark.parametrize(("stored", "kind", "seen"), MIXED.values(), ids=list(MIXED))
def test_columns_of_several_types_become_the_type_that_holds_all(
    lake: Path, root: Caller, stored: list[Sequence[Any]], kind: str, seen: list[Any]
) -> None:
    put_parquet(lake / "mixed", *stored)
    assert columns(root, "mixed") == {"c": kind}
    assert [row["c"] for row in rows(root, "mixed")] == seen
    last = rows(root, "mixed", f"?c=eq.{seen[-1]}")
    assert {"c": seen[-1]} in last
    assert [row["c"] for row in rows(root, "mixed", "?order=c&limit=1")] == [min(filter(None, seen))]


def test_a_mixed_column_is_read_page_by_page(lake: Path, root: Caller) -> None:
    put_parquet(lake / "mixed", list(range(7)), ["x"] * 7, list(range(7, 14)))
    page = root.get("/data/datasets/mixed/rows?limit=5").json
    seen = [row["c"] for row in page["data"]]
    while page["next_url"]:
        page = root.get(page["next_url"]).json
        seen += [row["c"] for row in page["data"]]
    assert seen == [*map(str, range(7)), *["x"] * 7, *map(str, range(7, 14))]


def test_values_of_partitions_are_decoded(lake: Path, root: Caller) -> None:
    for folder, name in {"city=S%C3%A3o%20Paulo": "a", "city=a%3Db%2Fc": "b", "city=100%25": "c"}.items():
        put(lake / "visits" / folder, a__csv=f"who\n{name}\n")
    found = {row["who"]: row["city"] for row in rows(root, "visits")}
    assert found == {"a": "São Paulo", "b": "a=b/c", "c": "100%"}
    assert rows(root, "visits", "?city=eq.São Paulo") == [{"who": "a", "city": "São Paulo"}]


def test_names_that_nothing_reads_make_no_dataset(lake: Path, root: Caller) -> None:
    put(lake / "odd", a__parquet__gz="x", b__txt="x", _c__csv="id\n1\n")
    assert root.get("/data/datasets/odd/rows").status_code == 404


class CountingParser(Parser):
    """Counts what it parses."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def parse(self, source: Path, format_: Format, target: Path, expected: Any = None) -> Parsed:
        self.count += 1
        return super().parse(source, format_, target, expected)


@pytest.mark.parametrize(("content", "is_taken"), [("id\n1\n", True), ("id\n1,2\n", False)])
def test_readers_that_come_first_together_parse_once(tmp_path: Path, content: str, is_taken: bool) -> None:
    put(tmp_path / "lake" / "people", a__csv=content)
    [entry] = LocalStorage(tmp_path / "lake").entries("/people") or ()
    source, parser = str(tmp_path / "lake/people/a.csv"), CountingParser()
    kept = [ParsedTexts(tmp_path / "parsed", parser) for _ in range(2)]

    def placed(number: int) -> bool:
        try:
            return Path(kept[number % 2].place(source, entry)).exists()
        except Exception:  # noqa: BLE001
            return False

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(placed, range(6))) == {is_taken}
    assert placed(0) is is_taken
    assert parser.count == 1


def test_parsed_files_that_nobody_uses_are_swept(tmp_path: Path) -> None:
    put(tmp_path / "lake" / "people", a__csv="id\n1\n", b__csv="id\n1\n")
    entries = LocalStorage(tmp_path / "lake").entries("/people") or ()
    kept = ParsedTexts(tmp_path / "parsed", Parser())
    unused, used = (Path(kept.place(str(tmp_path / "lake/people" / entry.name), entry)) for entry in entries)
    long_ago = time.time() - 8 * 86_400
    for path in (unused, used):
        os.utime(path, (long_ago, long_ago))
    kept.place(str(tmp_path / "lake/people/b.csv"), entries[1])
    kept.sweep()
    assert (unused.exists(), used.exists()) == (False, True)


def test_the_form_before_a_change_goes_when_its_readers_are_done(tmp_path: Path) -> None:
    def placed() -> Path:
        [entry] = LocalStorage(tmp_path / "lake").entries("/people") or ()
        return Path(kept.place(str(tmp_path / "lake/people/a.csv"), entry))

    kept = ParsedTexts(tmp_path / "parsed", Parser())
    put(tmp_path / "lake" / "people", a__csv="id\n1\n")
    first = placed()
    put(tmp_path / "lake" / "people", a__csv="id\n1\n2\n")
    placed()
    assert first.exists()
    os.utime(first, (time.time() - 7_200,) * 2)
    put(tmp_path / "lake" / "people", a__csv="id\n1\n2\n3\n")
    placed()
    assert not first.exists()


def test_the_demo_has_its_stores(make_app: Callable[..., Flask]) -> None:
    from rest_api.demo.files import build_stores

    app = make_app()
    build_stores(lake_folder(app) / "reference" / "stores", 7)
    root = log_in(app, "root")
    assert len(rows(root, "reference.stores")) == 10
    assert columns(root, "reference.stores")["opened_on"] == "timestamp"
