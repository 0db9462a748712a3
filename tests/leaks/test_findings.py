"""Leaks that were found once: each test is the attack that found one."""

import shutil
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flask import Flask

from tests.api.lake import append, give, lake_folder, with_lake, write_parquet
from tests.conftest import Caller

DATASETS = "/data/datasets"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What leaks, leaks from the lake; one kind of database is enough."""
    return f"sqlite:///{tmp_path}/lakeport.db"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return with_lake(make_app())


@pytest.fixture
def folder(app: Flask) -> Path:
    """The lake."""
    return lake_folder(app)


def refusal(answer: Any) -> tuple[int, str, str | None]:
    return answer.status_code, answer.json["code"], answer.json.get("did_you_mean")


def rows(caller: Caller, path: str) -> Any:
    answer = caller.get(f"{DATASETS}/{path}".rstrip("/"))
    assert answer.status_code == 200, answer.json
    return answer.json["data"]


def test_a_dataset_that_a_folder_grant_does_not_admit_to_is_named_by_nobody(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "/sales", filter="country=eq.FR")  # sales.regions has no country
    for path in ("sales.regions", "sales.regions/rows?version=0", "sales.regions/versions", "sales.regionz"):
        assert refusal(reader.get(f"{DATASETS}/{path}"))[2] in (None, "sales.orders")
        assert reader.get(f"{DATASETS}/{path}").status_code == 404
    assert [each["name"] for each in rows(reader, "")] == ["sales.orders"]


def test_a_hidden_dataset_leaves_no_page_after_the_last_one(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "/sales", filter="country=eq.FR")
    assert reader.get(f"{DATASETS}?limit=1").json["next"] is None


@pytest.mark.parametrize("asked", ["", "/rows?version=7", "/rows?as_of=2000-01-01", "/diff?from=0&to=9", "/versions"])
def test_a_grant_that_sleeps_tells_nothing_of_what_took_the_name(
    admin: Caller, reader: Caller, folder: Path, asked: str
) -> None:
    append(folder / "people", pa.table({"a": [1]}))
    give(admin, "rita", "people")
    assert len(rows(reader, "people/rows")) == 1
    shutil.rmtree(folder / "people")
    absent = refusal(reader.get(f"{DATASETS}/people{asked}"))
    append(folder / "people", pa.table({"other": [1]}))
    assert refusal(reader.get(f"{DATASETS}/people{asked}")) == absent
    shutil.rmtree(folder / "people")
    write_parquet(folder / "people" / "a.parquet", [{"other": 1}])
    assert refusal(reader.get(f"{DATASETS}/people{asked}")) == absent
    (folder / "people" / "b.parquet").write_bytes(b"not parquet")
    assert refusal(reader.get(f"{DATASETS}/people{asked}")) == absent
    assert absent == (404, "not_found", None)


def test_a_new_table_in_the_place_of_another_is_a_new_one_at_once(admin: Caller, folder: Path) -> None:
    for value in range(3):  # the numbers of files and folders are likely to be given again
        append(folder / "people", pa.table({f"column{value}": [value]}))
        assert rows(admin, "people/rows") == [{f"column{value}": value}]
        assert len(rows(admin, "people/versions")) == 1
        shutil.rmtree(folder / "people")


def test_nobody_is_kept_from_the_list_by_a_dataset_that_he_may_only_write_or_that_is_corrupt(
    admin: Caller, reader: Caller, folder: Path
) -> None:
    write_parquet(folder / "broken" / "a.parquet", [{"a": 1}])
    for target, privilege in (("stores", "write"), ("broken", "read"), ("visits", "read")):
        give(admin, "rita", target, privilege)
    (folder / "broken" / "a.parquet").write_bytes(b"not parquet")
    assert [each["name"] for each in rows(reader, "")] == ["visits"]


def test_what_changes_out_of_sight_changes_no_tag_and_no_length(admin: Caller, reader: Caller, folder: Path) -> None:
    append(folder / "n", pa.table({"k": ["v", "h", "v"], "x": [1, 2, 3]}))
    append(folder / "n", pa.table({"k": ["v"], "x": [4]}))
    give(admin, "rita", "n", filter="k=v")

    def seen() -> list[Any]:
        answers = [reader.get(f"{DATASETS}/n{asked}") for asked in ("", "/rows", "/rows?limit=1", "/rows?count=exact")]
        tags = [answer.headers["ETag"] for answer in answers]
        return [tags, [answer.headers["Content-Length"] for answer in answers]]

    before = seen()
    append(folder / "n", pa.table({"k": ["h"] * 500, "x": list(range(500))}))
    assert seen() == before
    tag = before[0][2]
    assert reader.get(f"{DATASETS}/n/rows?limit=1", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        (pa.array([0.1]), "eq.0.1"),
        (pa.array([0.1], pa.float32()), "eq.0.1"),
        (pa.array([0.1], pa.float32()), "gte.0.1"),
        (pa.array([Decimal("1234567890123456.78")], pa.decimal128(18, 2)), "eq.1234567890123456.78"),
        (pa.array([Decimal("-1234567890123456.78")], pa.decimal128(18, 2)), "in.(1,-1234567890123456.78)"),
    ],
)
def test_whether_a_row_is_found_does_not_depend_on_the_rows_beside_it(
    admin: Caller, folder: Path, values: pa.Array, asked: str
) -> None:
    append(folder / "alone", pa.table({"x": values}))
    least, greatest = values.cast(pa.float64())[0].as_py() - 1, values.cast(pa.float64())[0].as_py() + 1
    beside = pa.array([least, greatest]).cast(values.type, safe=False)
    append(folder / "beside", pa.table({"x": pa.concat_arrays([values, beside])}))
    found = [admin.get(f"{DATASETS}/{name}/rows?x={asked}&count=exact").json["count"] for name in ("alone", "beside")]
    assert found in ([1, 1], [1, 2])


def test_a_column_that_differs_in_case_is_not_read_for_another_one(admin: Caller, reader: Caller, folder: Path) -> None:
    write_parquet(folder / "mixed" / "a.parquet", [{"Open": 1}])
    give(admin, "rita", "mixed", columns=["Open"])
    write_parquet(folder / "mixed" / "b.parquet", [{"open": 2}])  # a secret of that name
    assert refusal(reader.get(f"{DATASETS}/mixed/rows"))[:2] == (409, "dataset_corrupt")


@pytest.mark.parametrize("name", ["file_index", "FILE_INDEX", "file_row_number"])
def test_a_column_cannot_be_taken_for_the_place_of_a_row(admin: Caller, folder: Path, name: str) -> None:
    append(folder / "placed", pa.table({name: [7, 8], "b": [1, 2]}))
    write_parquet(folder / "parts" / f"{name}=7" / "a.parquet", [{"b": 1}])
    assert refusal(admin.get(f"{DATASETS}/placed/rows?limit=1"))[:2] == (409, "unsupported_table_feature")
    assert refusal(admin.get(f"{DATASETS}/parts/rows?limit=1"))[:2] == (409, "dataset_corrupt")


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us", "UTC"), pa.timestamp("us")])
def test_a_time_out_of_sight_that_no_calendar_has_makes_no_error(
    admin: Caller, reader: Caller, folder: Path, kind: Any
) -> None:
    far = pa.array([1, 190_000_000], pa.int32()).cast(kind) if kind == pa.date32() else pa.array([1, 2**60]).cast(kind)
    (folder / "far").mkdir()
    pq.write_table(pa.table({"k": ["v", "h"], "at": far}), folder / "far" / "a.parquet")
    give(admin, "rita", "far", filter="k=v")
    for asked in ("", "?order=at", "?order=at.desc", "?at=gt.1960-01-01", "?limit_per=at", "?at=lt.1980-01-01&order=k"):
        assert len(rows(reader, f"far/rows{asked}")) == 1


def test_a_date_beyond_all_times_is_null(admin: Caller, folder: Path) -> None:
    (folder / "beyond").mkdir()
    days = pa.array([1, 2_000_000_000], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"at": days}), folder / "beyond" / "a.parquet")
    assert rows(admin, "beyond/rows?order=at") == [{"at": "1970-01-02T00:00:00Z"}, {"at": None}]


def test_whole_numbers_of_any_size_in_one_column_are_read(admin: Caller, folder: Path) -> None:
    write_parquet(folder / "whole" / "a.parquet", [{"u": 1}])
    pq.write_table(pa.table({"u": pa.array([2**64 - 1], pa.uint64())}), folder / "whole" / "b.parquet")
    assert rows(admin, "whole/rows") == [{"u": 1}, {"u": 2**64 - 1}]


@pytest.mark.parametrize("name", ["é" * 128, "😀" * 100, "a" * 128, "a" * 300])
def test_a_name_that_no_disk_can_hold_is_that_of_nothing(admin: Caller, name: str) -> None:
    assert refusal(admin.get(f"{DATASETS}/{name}/rows"))[:2] == (404, "not_found")


def test_dates_are_midnights_still(admin: Caller, folder: Path) -> None:
    write_parquet(folder / "days" / "a.parquet", [{"at": date(2026, 11, 1)}])
    assert rows(admin, "days/rows?at=eq.2026-11-01") == [{"at": "2026-11-01T00:00:00Z"}]


def test_how_many_rows_others_read_is_not_told_to_who_manages_only_some(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "stores", "manage", filter="country=FR")
    admin.get(f"{DATASETS}/stores/export").get_data()
    told = rows(reader, "stores/accesses")
    assert [each["rows"] for each in told] == [None] * len(told)
    assert told
    assert rows(reader, "stores/accesses?rows=gt.0") == []
    assert rows(admin, "stores/accesses?rows=gt.0") != []
