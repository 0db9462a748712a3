"""Files nobody vouches for: what comes of good ones, how bad ones are refused, and that nothing is left behind."""

import csv
import gzip
import io
import json
import os
import resource
import signal
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_api.backends.parsing import ExpectedColumn, Format, Kind, Limits, Parsed, Parser, format_of, parse
from rest_api.errors import Invalid, Overloaded, TooLarge

SMALL = Limits(memory_bytes=512 * 2**20, seconds=20)
AMOUNTS = (ExpectedColumn("id", pa.int64(), is_nullable=False), ExpectedColumn("amount", pa.decimal128(18, 2)))
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    {"id": 1, "name": 'Zoë, "Z"', "at": NOON, "paid": 1.5},
    {"id": 2, "name": None, "at": NOON, "paid": None},
]
TYPES = (("id", "int64"), ("name", "string"), ("at", "timestamp[us, tz=UTC]"), ("paid", "double"))


class Desk:
    """A folder with one file, which is parsed into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = folder / "out" / "part.parquet"
        self.target.parent.mkdir()

    def parse(
        self,
        name: str,
        data: bytes,
        expected: tuple[ExpectedColumn, ...] | None = None,
        limits: Limits = SMALL,
    ) -> Parsed:
        source = self.folder / name
        source.write_bytes(data)
        return parse(source, format_of(name), self.target, limits, expected)

    @property
    def rows(self) -> list[dict[str, Any]]:
        table: list[dict[str, Any]] = pq.read_table(self.target).to_pylist()
        return table

    @property
    def left(self) -> list[Path]:
        return list(self.target.parent.iterdir())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _parquet(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    data: bytes = buffer.getvalue().to_pybytes()
    return data


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _json(rows: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(row, default=lambda at: at.isoformat()).encode() for row in rows]


def _good(name: str) -> bytes:
    if name.startswith("g.csv"):
        texts = [["" if value is None else str(value) for value in row.values()] for row in ROWS]
        return _csv([list(ROWS[0]), *texts])
    if name.startswith("g.json") and not name.startswith("g.jsonl"):
        return b"\xef\xbb\xbf [" + b" ,\n".join(_json(ROWS)) + b"]\n"
    return _parquet(pa.Table.from_pylist(ROWS)) if name == "g.parquet" else b"\r\n".join(_json(ROWS))


@pytest.mark.parametrize("extension", ["csv", "json", "ndjson", "jsonl", "csv.gz", "json.gz", "ndjson.gz", "parquet"])
def test_every_format_gives_the_same_rows(desk: Desk, extension: str) -> None:
    data = _good(f"g.{extension}")
    parsed = desk.parse(f"g.{extension}", gzip.compress(data) if extension.endswith("gz") else data)
    assert parsed == Parsed(TYPES, 2, desk.target.stat().st_size)
    assert desk.rows == ROWS
    assert desk.left == [desk.target]


def test_what_is_written_is_zstd_in_row_groups_with_statistics(desk: Desk) -> None:
    desk.parse("a.csv", b"a\n" + b"".join(b"%d\n" % number for number in range(130_000)))
    metadata = pq.read_metadata(desk.target)
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [122_880, 7_120]
    column = metadata.row_group(0).column(0)
    assert (column.compression, column.statistics.min, column.statistics.max) == ("ZSTD", 0, 122_879)


def test_names_tell_the_format() -> None:
    assert format_of("A.CSV.GZ") == Format(Kind.CSV, is_gzip=True)
    with pytest.raises(Invalid, match=r"\.csv, \.csv\.gz, \.parquet"):
        format_of("a.xlsx")


@pytest.mark.parametrize(
    ("texts", "type_"),
    [
        (["1", "", "-20"], "int64"),
        (["1", "2.5"], "double"),
        (["true", "FALSE"], "bool"),
        (["2026-01-02", "2026-01-02T03:04:05.123456+02:00"], "timestamp[us, tz=UTC]"),
        (["1", "007"], "string"),
        (["1", " 2"], "string"),
        (["1", "0x1F"], "string"),
        (["1", "9223372036854775808"], "string"),
        (["0.5", "9007199254740993"], "string"),
        (["0.5", "1e999"], "string"),
        (["0.5", "1234567890123456.78"], "string"),
        (["2026-02-30", "2026-01-01"], "string"),
        (["9999-12-31T23:59:59-14:00"], "string"),
        (["", ""], "string"),
    ],
)
def test_a_csv_column_has_the_narrowest_type_that_keeps_every_value(desk: Desk, texts: list[str], type_: str) -> None:
    parsed = desk.parse("a.csv", _csv([["a", "b"], *([text, "x"] for text in texts)]))
    assert dict(parsed.columns)["a"] == type_
    if type_ == "string":
        assert [row["a"] for row in desk.rows] == [text or None for text in texts]


def test_a_text_in_the_last_row_makes_the_whole_column_text(desk: Desk) -> None:
    desk.parse("a.csv", b"a\n" + b"1\n" * 300_000 + b"none\n")
    column = pq.read_table(desk.target).column("a")
    assert (column[0].as_py(), column[-1].as_py()) == ("1", "none")


def test_json_keeps_what_no_column_type_holds_as_text(desk: Desk) -> None:
    lines = (
        b'{"big": 18446744073709551616, "inner": {"x": [1, "\xc3\xa9"]}, "mixed": "a"}\n{"mixed": 1.5, "late": true}'
    )
    desk.parse("a.ndjson", lines)
    assert desk.rows == [
        {"big": "18446744073709551616", "inner": '{"x":[1,"é"]}', "mixed": "a", "late": None},
        {"big": None, "inner": None, "mixed": "1.5", "late": True},
    ]


def test_nested_parquet_becomes_json_text(desk: Desk) -> None:
    table = pa.table({"a": [{"x": [1, 2], "at": NOON}, None], "b": pa.array(["u", "v"]).dictionary_encode()})
    desk.parse("a.parquet", _parquet(table))
    assert desk.rows == [{"a": '{"x":[1,2],"at":"2026-01-02T12:00:00+00:00"}', "b": "u"}, {"a": None, "b": "v"}]


def test_values_are_made_to_fit_the_table(desk: Desk) -> None:
    rows = [{"id": 7, "amount": Decimal("12.30")}, {"id": 8, "amount": None}]
    desk.parse("a.csv", b"amount,id\n12.3,007\n,8\n", AMOUNTS)
    assert desk.rows == rows
    desk.parse("a.ndjson", b'{"amount": 12.30, "id": 7}\n{"id": 8}', AMOUNTS)
    assert desk.rows == rows
    desk.parse("a.parquet", _parquet(pa.table({"id": pa.array([7, 8], pa.int16()), "amount": ["12.3", None]})), AMOUNTS)
    assert desk.rows == rows


def test_no_digit_of_a_decimal_is_lost(desk: Desk) -> None:
    desk.parse("a.ndjson", b'{"amount": 1234567890123456.78, "id": 1}', AMOUNTS)
    assert desk.rows[0]["amount"] == Decimal("1234567890123456.78")


@pytest.mark.parametrize(
    ("name", "data", "field"),
    [
        ("a.csv", b'id,amount\n1,"1"\n\n2,"\n3"\n', "line.4.amount"),
        ("a.csv", b'amount,id\n"1",1\n"2\n",2\n', "line.3.amount"),
        ("a.csv", b"id,amount\n1,1.234\n", "line.2.amount"),
        ("a.csv", b"id,amount\n,1\n", "line.2.id"),
        ("a.csv", b"id,amont\n1,1\n", "line.1.amont"),
        ("a.csv", b"amount\n1\n", "id"),
        ("a.ndjson", b'{"id": 1}\n\n{"id": true}', "line.3.id"),
        ("a.ndjson", b'{"id": 1}\n{"id": null}', "line.2.id"),
        ("a.ndjson", b'{"id": 1}\n{"id": 1, "amont": 2}', "line.2.amont"),
        ("a.json", b'[{"id": 1}, {"id": 1.5}]', "element.2.id"),
        ("a.parquet", _parquet(pa.table({"id": ["1", "2", "x"]})), "row.3.id"),
        ("a.parquet", _parquet(pa.table({"id": [1], "amont": [1]})), "row.1.amont"),
        ("a.parquet", _parquet(pa.table({"id": [NOON]})), "row.1.id"),
    ],
)
def test_what_does_not_fit_the_table_is_named_with_its_line(desk: Desk, name: str, data: bytes, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        desk.parse(name, data, AMOUNTS)
    assert [error.field for error in refused.value.errors] == [field]
    assert refused.value.did_you_mean == ("amount" if "amont" in field else None)
    assert desk.left == []


def test_a_line_far_into_the_file_is_named_rightly(desk: Desk) -> None:
    with pytest.raises(Invalid, match="Line 200003, column 'amount': 'x' is not decimal"):
        desk.parse("a.csv", b'id,amount\n1,"2"\n' + b"1,2\n" * 200_000 + b"1,x\n" + b"1,2\n" * 200_000, AMOUNTS)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"a,b\n1,2\n3\n", "Line 3: 1 values"),
        ("a.csv", b'a,b\n"\n",2\n3,4,5\n', "Line 4: 3 values"),
        ("a.csv", b'a,b\n1,2\n3,"4\n5,6\n', "Line 3: a quote is not closed"),
        ("a.csv", b"a,b\n1,2\n3,\xff\n", "Line 3: not in UTF-8"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("a.csv", b"a,b\n1,\x00\n", "NUL"),
        ("a.csv", b"", "no columns"),
        ("a.csv", b"a,\n1,2\n", "Column 2 has no name"),
        ("a.csv", b"a,a\n1,2\n", "two columns 'a'"),
        ("a.csv", b"a,A\n1,2\n", "differ in case only"),
        ("a.csv", b'a,"b\n"\n1,2\n', "control character"),
        ("a.csv", b"a," + b"b" * 129 + b"\n1,2\n", "more than 128"),
        ("a.csv", gzip.compress(b"a\n1\n", mtime=0), "contents are gzip"),
        ("a.csv", _parquet(pa.table({"a": [1]})), "contents are Parquet"),
        ("a.csv.gz", b"a,b\n1,2\n", "not gzip"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-5], "corrupt"),
        ("a.parquet", b"a,b\n1,2\n", "not Parquet"),
        ("a.parquet", _parquet(pa.table({"a": [1, 2]}))[:-20], "corrupt"),
        ("a.parquet", b"PAR1" + b"\0" * 100 + b"PAR1", "corrupt"),
        ("a.ndjson", b'{"a": 1}\n[1]\n', "Line 2: not an object"),
        ("a.ndjson", b'{"a": 1}\n{"a": 1, "a": 2}\n', "Line 2: a key is given twice"),
        ("a.ndjson", b'{"a": 1}\n{"a": NaN}\n', "Line 2: NaN"),
        ("a.ndjson", b'{"a": 1}\n{"a": 1e999}\n', "Line 2: a number is beyond"),
        ("a.ndjson", b'{"a": ' + b"[" * 100_000, "Line 1: nested too deep"),
        ("a.ndjson", b'{"a": "\\ud800"}', "Line 1|line 1"),
        ("a.ndjson", b'{"\\ud800": 1}', "not Unicode"),
        ("a.json", b'{"a": 1}', "not a JSON array"),
        ("a.json", b'[{"a": 1}, {"a" 1}]' + b" " * 1000, "Element 2: not JSON"),
        ("a.json", b'[{"a": 1}, {"a": 1}', "Element 2: is followed by neither"),
        ("a.json", b'[{"a": 1},]', "Element 2: not an object"),
        ("a.json", b'[{"a": 1}] x', "follows"),
    ],
)
def test_what_is_not_what_it_says_is_refused_clearly(desk: Desk, name: str, data: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        desk.parse(name, data)
    assert desk.left == []


def test_a_parquet_page_that_rotted_is_refused(desk: Desk) -> None:
    data = bytearray(_parquet(pa.table({"a": [str(number) for number in range(10_000)]})))
    data[200:300] = bytes(100)
    with pytest.raises(Invalid, match="corrupt"):
        desk.parse("a.parquet", bytes(data))


def test_only_a_regular_file_is_read(desk: Desk) -> None:
    (desk.folder / "real.csv").write_bytes(b"a\n1\n")
    (desk.folder / "link.csv").symlink_to(desk.folder / "real.csv")
    os.mkfifo(desk.folder / "pipe.csv")
    for name in ("link.csv", "pipe.csv", "gone.csv", "out"):
        with pytest.raises(Invalid):
            parse(desk.folder / name, Format(Kind.CSV), desk.target, SMALL)
    assert desk.left == []


def _many_rows(millions: int) -> bytes:
    return gzip.compress(b"a,b\n") + gzip.compress(b"1,2\n" * 1_000_000, 1) * millions


def _huge_texts() -> bytes:
    """30 GB of text in about a kilobyte."""
    texts = pa.DictionaryArray.from_arrays(pa.array(array("i", [0]) * 300_000, pa.int32()), pa.array(["x" * 100_000]))
    return _parquet(pa.table({"a": texts}))


@pytest.mark.parametrize(
    ("name", "make", "limits", "said"),
    [
        ("a.parquet", _huge_texts, SMALL, "more memory than 512 MiB"),
        ("a.csv.gz", lambda: gzip.compress(b"x" * 10**8, 1) * 10, SMALL, "longer than 8 MiB"),
        ("a.json.gz", lambda: gzip.compress(b'[{"a":"' + b"x" * 10**8, 1), SMALL, "longer than 8 MiB"),
        ("a.ndjson.gz", lambda: gzip.compress(b'{"a":"' + b"x" * 10**8, 1), SMALL, "longer than 8 MiB"),
        ("a.csv.gz", lambda: _many_rows(50), Limits(rows=1_000_000), "more than 1000000 rows"),
        ("a.csv.gz", lambda: _many_rows(400), Limits(seconds=1), "longer than 1 seconds"),
        ("a.parquet", lambda: _parquet(pa.table({"a": [0] * 500_000})), Limits(rows=499_999), "more than 499999 rows"),
        ("a.csv", lambda: b"a\n" + os.urandom(50_000).hex("\n").encode(), Limits(written_bytes=10_000), "10000 bytes"),
    ],
)
def test_a_file_that_takes_too_much_is_refused_and_costs_the_parent_nothing(
    desk: Desk, name: str, make: Callable[[], bytes], limits: Limits, said: str
) -> None:
    data = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge, match=said):
        desk.parse(name, data, limits=limits)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024
    assert desk.left == []


def test_as_many_rows_as_are_allowed_are_taken(desk: Desk) -> None:
    assert desk.parse("a.csv", b"a\n1\n2\n", limits=Limits(rows=2)).rows == 2
    with pytest.raises(TooLarge):
        desk.parse("a.csv", b"a\n1\n2\n3\n", limits=Limits(rows=2))


def test_a_refused_file_leaves_the_target_as_it_was(desk: Desk) -> None:
    desk.target.write_bytes(b"before")
    with pytest.raises(Invalid):
        desk.parse("a.csv", b"a\n1,2\n")
    assert (desk.target.read_bytes(), desk.left) == (b"before", [desk.target])


def test_a_large_file_has_more_time_and_rows_and_a_small_one_has_not() -> None:
    assert SMALL.for_file(10 * 2**20) == SMALL
    large = SMALL.for_file(10 * 2**30)
    assert large.seconds > 5_000
    assert large.rows > 10**10
    assert (large.memory_bytes, large.written_bytes) == (SMALL.memory_bytes, SMALL.written_bytes)


def _limits(child: Path) -> dict[str, str]:
    """The soft limits of a process, by their name in its `/proc`."""
    lines = (child / "limits").read_text().splitlines()
    return {line[:25].strip(): line[26:46].strip() for line in lines}


def _only_child() -> Path:
    """The child of this process, once it has taken on its limits; pytest's time limit ends a wait in vain."""
    while True:
        threads = Path("/proc/self/task").iterdir()
        for number in " ".join((thread / "children").read_text() for thread in threads).split():
            with suppress(FileNotFoundError, ProcessLookupError):
                if _limits(Path("/proc", number))["Max cpu time"] == str(SMALL.seconds):
                    return Path("/proc", number)


@contextmanager
def _under_way(desk: Desk) -> Iterator[tuple[Path, Future[Parsed], Parser]]:
    (desk.folder / "long.csv.gz").write_bytes(_many_rows(400))
    parser = Parser(children=1, limits=SMALL, wait_seconds=0.01)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(parser.parse, desk.folder / "long.csv.gz", Format(Kind.CSV, is_gzip=True), desk.target)
        child = _only_child()
        try:
            yield child, running, parser
        finally:
            os.kill(int(child.name), signal.SIGKILL)


def test_a_killed_child_is_a_refusal(desk: Desk) -> None:
    with _under_way(desk) as (_, running, _):
        pass
    with pytest.raises(TooLarge, match="more memory"):
        running.result()
    assert desk.left == []


def test_the_child_inherits_no_secret_and_no_other_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRETS", "k1:secret")
    with (desk.folder / "private").open("w"), _under_way(desk) as (child, _, _):
        assert b"secret" not in (child / "environ").read_bytes()
        opened = {str(link.readlink()).split(":")[0] for link in (child / "fd").iterdir()}
        names = {Path(name).name for name in opened if name not in ("pipe", "/dev/null")}
        assert len(names) == 2
        assert "long.csv.gz" in names
        limits = _limits(child)
        assert limits["Max address space"] == str(SMALL.memory_bytes)
        assert limits["Max core file size"] == "0"


def test_a_file_too_many_is_sent_away(desk: Desk) -> None:
    (desk.folder / "a.csv").write_bytes(b"a\n1\n")
    with _under_way(desk) as (_, _, parser), pytest.raises(Overloaded):
        parser.parse(desk.folder / "a.csv", Format(Kind.CSV), desk.target)
    assert parser.parse(desk.folder / "a.csv", Format(Kind.CSV), desk.target).rows == 1


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map("x".__add__)
_TEXT_CSV = st.one_of(_TEXT, st.sampled_from(['x"', "x,\n", "x\r\n\r", "x''"]))
_TIME = st.integers(-(10**15), 10**17).map(
    lambda micros: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)
_KINDS: tuple[st.SearchStrategy[Any], ...] = (
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    _TIME,
    _TEXT_CSV,
)


@st.composite
def _tables(draw: st.DrawFn, kinds: tuple[st.SearchStrategy[Any], ...]) -> list[dict[str, Any]]:
    columns = draw(st.lists(st.sampled_from(kinds), min_size=2, max_size=5))
    cells = [st.one_of(st.none(), kind) for kind in columns]
    rows = draw(st.lists(st.tuples(*cells), min_size=1, max_size=6))
    return [{f"c{number}": value for number, value in enumerate(row)} for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


@settings(max_examples=10, deadline=None)
@given(_tables(_KINDS))
def test_any_table_comes_back_from_csv(rows: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.parse("a.csv", _csv([list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]))
        assert desk.rows == rows


@settings(max_examples=10, deadline=None)
@given(_tables((*_KINDS, st.lists(st.integers(0, 2**70), max_size=2))))
def test_any_table_comes_back_from_ndjson(rows: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.parse("a.ndjson", b"\n".join(_json(rows)))
        assert desk.rows == [{name: _as_kept(value) for name, value in row.items()} for row in rows]


def _as_kept(value: Any) -> Any:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value
