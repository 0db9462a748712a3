"""`/data/datasets/{dataset}/export`: all rows as a stream, recorded at both ends and broken by a revocation."""

import csv
import hashlib
import http.client
import io
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flask import Flask
from sqlalchemy import text

from rest_api.errors import Forbidden
from tests.api.lake import append, build_lake, give, lake_folder, transactions, with_lake
from tests.conftest import Caller, log_in
from tests.live import LiveCore, core

CSV, NDJSON = "text/csv", "application/x-ndjson"
ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
BINARY = (ARROW, PARQUET)
Row = dict[str, Any]


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return with_lake(make_app())


def export(caller: Caller, query: str, media_type: str = NDJSON) -> bytes:
    with closing(caller.get(f"/data/datasets/{query}", headers={"Accept": media_type})) as answer:
        assert answer.status_code == 200, answer.json
        assert answer.mimetype == media_type
        return bytes(answer.data)


def lines(body: bytes) -> list[Row]:
    return [json.loads(line, parse_float=Decimal) for line in body.decode().split("\n")[:-1]]


def table(body: bytes, media_type: str) -> pa.Table:
    return pa.ipc.open_stream(body).read_all() if media_type == ARROW else pq.read_table(io.BytesIO(body))


def pages(caller: Caller, dataset: str, query: str = "") -> list[Row]:
    found: list[Row] = []
    path = f"/data/datasets/{dataset}/rows?{query}"
    while path:
        page = json.loads(caller.get(path).data, parse_float=Decimal)
        found += page["data"]
        path = page["next_url"]
    return found


DATASETS = ("transactions", "stores", "visits", "sales.orders", "articles")


@pytest.mark.parametrize("dataset", DATASETS)
def test_lines_of_json_are_the_rows_of_all_pages(app: Flask, admin: Caller, dataset: str) -> None:
    for n in range(3):
        admin.post("/articles", {"title": f"No {n}", "content": 'a "quoted"\nline\t\\ and é\x01'})
    rows = lines(export(admin, f"{dataset}/export"))
    assert rows == pages(admin, dataset)
    assert rows
    assert [list(row) for row in rows[:1]] == [list(row) for row in pages(admin, dataset)[:1]]


@pytest.mark.parametrize(
    "query", ["select=amount,country", "amount=gt.400", "order=amount.desc", "version=1&user_id=1"]
)
def test_it_takes_columns_filters_order_and_version(admin: Caller, query: str) -> None:
    rows = lines(export(admin, f"transactions/export?{query}"))
    assert rows == pages(admin, "transactions", query)
    assert len(rows) > 10


@pytest.mark.parametrize("media_type", BINARY)
def test_arrow_and_parquet_hold_the_stored_values(admin: Caller, media_type: str) -> None:
    found = table(export(admin, "transactions/export", media_type), media_type)
    assert found.to_pylist() == transactions()
    assert found.schema.field("amount").type == pa.decimal128(18, 2)
    assert found.schema.field("timestamp").type == pa.timestamp("us", "UTC")


@pytest.mark.parametrize("media_type", BINARY)
def test_nothing_is_exported_as_a_whole_table_without_rows(admin: Caller, media_type: str) -> None:
    query = "transactions/export?amount=lt.0&select=amount,country"
    found = table(export(admin, query, media_type), media_type)
    assert (found.num_rows, found.column_names) == (0, ["amount", "country"])
    assert export(admin, query) == b""
    assert export(admin, query, CSV) == b"amount,country\r\n"


ODD: list[Row] = [
    {"text": 'say "hi", you', "number": Decimal("0.0000000001"), "nested": {"a": [1, None]}, "ratio": 0.1},
    {"text": "two\r\nlines", "number": Decimal("-12345678901234567890.0000000000"), "nested": None, "ratio": 1e300},
    {"text": "", "number": None, "nested": {"a": []}, "ratio": float("nan")},
    {"text": None, "number": Decimal(0), "nested": {"a": [2]}, "ratio": -3.0},
    {"text": "=1+1", "number": Decimal(7), "nested": {"a": None}, "ratio": None},
    {"text": " é\x7f\x01\t", "number": Decimal(8), "nested": {"a": [3]}, "ratio": float("inf")},
]
"""Values that are written wrongly by many."""


@pytest.fixture
def odd(app: Flask) -> Flask:
    schema = pa.schema(
        [
            ("text", pa.string()),
            ("number", pa.decimal128(38, 10)),
            ("nested", pa.struct([("a", pa.list_(pa.int64()))])),
            ("ratio", pa.float64()),
            ("single", pa.float32()),
            ("day", pa.date32()),
            ("moment", pa.timestamp("us")),
            ("is_odd", pa.bool_()),
        ]
    )
    more: Row = {
        "single": 0.1,
        "day": date(2026, 3, 1),
        "moment": datetime(1969, 12, 31, 23, 59, 59, 5),  # noqa: DTZ001  (as it is stored)
        "is_odd": True,
    }
    append(lake_folder(app) / "odd", pa.Table.from_pylist([{**row, **more} for row in ODD], schema))
    return app


def test_csv_is_quoted_where_needed_and_tells_null_from_empty(odd: Flask, admin: Caller) -> None:
    body = export(admin, "odd/export?select=text,number,is_odd", CSV).decode()
    assert body.split("\r\n")[0] == "text,number,is_odd"
    assert '\r\n"",,true\r\n,0.0000000000,true\r\n=1+1,7.0000000000,true\r\n' in body
    rows = list(csv.reader(io.StringIO(body, newline=""), strict=True))[1:]
    assert [row[0] for row in rows] == [row["text"] or "" for row in ODD]
    assert [row[1] for row in rows[:2]] == ["0.0000000001", "-12345678901234567890.0000000000"]


def test_csv_writes_times_in_rfc_3339_and_what_is_nested_as_json(odd: Flask, admin: Caller) -> None:
    body = export(admin, "odd/export?select=day,moment,nested,ratio,single", CSV).decode()
    rows = list(csv.reader(io.StringIO(body, newline=""), strict=True))[1:]
    assert rows[0] == [
        "2026-03-01T00:00:00Z",
        "1969-12-31T23:59:59.000005Z",
        '{"a":[1,null]}',
        "0.1",
        str(float32(0.1)),
    ]
    assert [row[3] for row in rows] == ["0.1", "1e+300", "nan", "-3.0", "", "inf"]


def float32(value: float) -> float:
    return float(pa.scalar(value, pa.float32()).as_py())


def test_lines_of_json_are_what_pages_show_of_odd_values(odd: Flask, admin: Caller) -> None:
    rows = lines(export(admin, "odd/export"))
    assert rows == pages(admin, "odd")
    assert [row["text"] for row in rows] == [row["text"] for row in ODD]
    assert b'"number":0.0000000001,' in export(admin, "odd/export")


def test_columns_with_odd_names_are_written_as_such(app: Flask, admin: Caller) -> None:
    append(lake_folder(app) / "names", pa.table({'a "b", c': [1], "d": ["x"]}))
    assert export(admin, "names/export", CSV) == b'"a ""b"", c",d\r\n1,x\r\n'
    assert lines(export(admin, "names/export")) == [{'a "b", c': 1, "d": "x"}]


def test_long_texts_are_cut_into_pieces_and_none_is_lost(app: Flask, admin: Caller) -> None:
    texts = [secrets.token_hex(1_000) for _ in range(20_000)]
    append(lake_folder(app) / "long", pa.table({"n": range(20_000), "text": texts}))
    assert [row["text"] for row in lines(export(admin, "long/export"))] == texts
    for media_type in BINARY:
        assert table(export(admin, "long/export", media_type), media_type)["text"].to_pylist() == texts
    with closing(admin.get("/data/datasets/long/export", buffered=False)) as answer:
        assert max(map(len, answer.iter_encoded())) < 10_000_000


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", NDJSON),
        (None, NDJSON),
        ("text/*", CSV),
        (f"{CSV};q=0.4, {PARQUET};q=0.9", PARQUET),
        ("text/html, */*;q=0.1", NDJSON),
    ],
)
def test_the_format_is_what_accept_prefers(admin: Caller, accept: str | None, media_type: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    with closing(admin.get("/data/datasets/stores/export", headers=headers)) as answer:
        assert answer.mimetype == media_type
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=stores.")


def test_another_format_is_not_acceptable(admin: Caller) -> None:
    answer = admin.get("/data/datasets/stores/export", headers={"Accept": "text/html, application/json"})
    assert (answer.status_code, answer.json["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize("name", ["limit=5", "page=2", "cursor=x", "count=exact", "limit_per=country"])
def test_an_export_has_no_pages(admin: Caller, name: str) -> None:
    answer = admin.get(f"/data/datasets/stores/export?{name}")
    assert answer.status_code == 400
    assert answer.json["errors"][0]["field"] == name.partition("=")[0]


def test_it_needs_the_privilege_and_gives_what_that_grant_shows(app: Flask, admin: Caller) -> None:
    rita = log_in(app, "rita")
    assert rita.get("/data/datasets/transactions/export").status_code == 404
    give(admin, "rita", "transactions")
    assert rita.get("/data/datasets/transactions/export").status_code == 403
    give(
        admin,
        "rita",
        "transactions",
        "export",
        filter="country=FR",
        columns=["transaction_id", "user_name", "country"],
        masks={"user_name": "null"},
    )
    expected = [
        {"transaction_id": row["transaction_id"], "user_name": None, "country": "FR"}
        for row in transactions()
        if row["country"] == "FR"
    ]
    assert lines(export(rita, "transactions/export")) == expected
    for query in ("select=amount", "amount=gt.5", "order=amount", "or=(amount.gt.5,country.eq.FR)"):
        refused = rita.get(f"/data/datasets/transactions/export?{query}")
        assert refused.status_code == 400
        assert refused.json["detail"].startswith("Unknown ")
        assert refused.json["did_you_mean"] in ("country", "count")


def test_a_hidden_dataset_is_an_absent_one(app: Flask) -> None:
    rita = log_in(app, "rita")
    answers = [
        rita.get(f"/data/datasets/{name}/export", headers={"X-Request-ID": "x"}) for name in ("stores", "storez")
    ]
    assert answers[0].status_code == answers[1].status_code == 404
    assert answers[0].json["detail"].replace("stores", "storez") == answers[1].json["detail"]


def test_both_ends_are_recorded_with_rows_and_bytes(admin: Caller) -> None:
    sent = export(admin, "transactions/export?select=amount,country&user_id=gt.1&order=timestamp")
    end, begin = admin.get("/audit?path=like.*export").json["data"]
    assert begin["request_id"] == end["request_id"]
    assert (begin["status"], begin["rows"], begin["body"]) == (200, None, None)
    assert (end["status"], end["rows"]) == (200, len(lines(sent)))
    assert json.loads(end["body"]) == {"end": "complete", "sent_bytes": len(sent)}
    assert begin["columns"] == end["columns"] == ["timestamp", "user_id", "amount", "country"]
    assert begin["dataset"] == end["dataset"] == "transactions"
    assert admin.get("/audit/verify").json["ok"]


def test_the_beginning_is_recorded_before_the_first_byte(app: Flask, admin: Caller) -> None:
    answer = admin.get("/data/datasets/transactions/export")
    entries = admin.get("/audit?path=like.*export").json["data"]
    assert [entry["rows"] for entry in entries] == [None]
    answer.close()


def execute(app: Flask, statement: str) -> None:
    with app.app_context(), app.extensions["sqlalchemy"].engine.begin() as connection:
        connection.execute(text(statement))


def test_without_its_record_nothing_is_exported_and_no_place_is_lost(
    make_app: Callable[..., Flask],
) -> None:
    app = with_lake(make_app(WAITING_REQUESTS_PER_USER="1"))
    admin = log_in(app, "root")
    execute(app, "alter table audit_records rename to hidden")
    for _ in range(2):
        answer = admin.get("/data/datasets/stores/export")
        assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    execute(app, "alter table hidden rename to audit_records")
    assert len(lines(export(admin, "stores/export"))) == 12


def test_an_end_that_cannot_be_recorded_is_no_proper_end(app: Flask, admin: Caller) -> None:
    answer = admin.get("/data/datasets/stores/export", buffered=False)
    execute(app, "alter table audit_records rename to hidden")
    chunks: list[bytes] = []
    with pytest.raises(Exception, match="cannot be recorded"):
        chunks.extend(answer.iter_encoded())
    assert b"".join(chunks).endswith(b'{"')
    assert b"".join(chunks).count(b"\n") < 12
    answer.close()


def test_a_user_has_only_so_many_exports_at_once(make_app: Callable[..., Flask]) -> None:
    app = with_lake(make_app(WAITING_REQUESTS_PER_USER="2"))
    admin = log_in(app, "root")
    running = [admin.get("/data/datasets/stores/export") for _ in range(2)]
    refused = admin.get("/data/datasets/stores/export")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
    for each in running:
        each.close()
    assert len(lines(export(admin, "stores/export"))) == 12


def test_a_failure_at_the_beginning_is_a_refusal(app: Flask, admin: Caller) -> None:
    part = lake_folder(app) / "stores" / "part-1.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:100] + bytes(len(whole) - 600) + whole[-500:])
    answer = admin.get("/data/datasets/stores/export")
    assert (answer.status_code, answer.json["code"]) == (409, "dataset_corrupt")


@pytest.mark.parametrize("media_type", [NDJSON, CSV, *BINARY])
def test_no_reader_takes_a_broken_export_for_a_whole_one(
    app: Flask, admin: Caller, monkeypatch: pytest.MonkeyPatch, media_type: str
) -> None:
    append(lake_folder(app) / "numbers", pa.table({"n": range(300_000)}))
    grant = give(admin, "rita", "numbers", "export")
    monkeypatch.setattr("rest_api.resources.exports.SECONDS_BETWEEN_LOOKS", 0)
    rita = log_in(app, "rita")
    with closing(rita.get("/data/datasets/numbers/export", headers={"Accept": media_type}, buffered=False)) as answer:
        chunks = answer.iter_encoded()
        received = [next(chunks)]
        assert admin.delete(f"/grants/{grant['id']}").status_code == 204
        with pytest.raises(Forbidden):
            received.extend(chunks)
    with pytest.raises((csv.Error, json.JSONDecodeError, pa.ArrowInvalid, OSError)):
        read(b"".join(received), media_type)


def test_rights_that_shrink_break_it_too(app: Flask, admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    append(lake_folder(app) / "numbers", pa.table({"n": range(100_000)}))
    wider = give(admin, "rita", "numbers", "export")
    give(admin, "rita", "numbers", "export", filter="n=lt.90000")
    monkeypatch.setattr("rest_api.resources.exports.SECONDS_BETWEEN_LOOKS", 0)
    with closing(log_in(app, "rita").get("/data/datasets/numbers/export", buffered=False)) as answer:
        chunks = answer.iter_encoded()
        next(chunks)
        admin.delete(f"/grants/{wider['id']}")
        with pytest.raises(Forbidden):
            list(chunks)


def read(body: bytes, media_type: str) -> Any:
    if media_type in BINARY:
        return table(body, media_type)
    if media_type == NDJSON:
        return [json.loads(line) for line in body.splitlines()]
    return list(csv.reader(io.StringIO(body.decode()), strict=True))


# Over a real server, which the client may leave and whose answer may be cut.

ROWS = 400_000


@pytest.fixture
def live(tmp_path: Path, database_url: str) -> Iterator[LiveCore]:
    """A core whose lake has a large dataset, larger than all buffers on the way to a client."""
    folder = tmp_path / "lake" / "large"
    folder.mkdir(parents=True)
    stored = pa.table({"n": range(ROWS), "text": [hashlib.sha512(b"%d" % n).hexdigest() for n in range(ROWS)]})
    pq.write_table(stored, folder / "part.parquet", row_group_size=50_000)
    build_lake(tmp_path / "lake")
    with core(tmp_path, DATABASE_URL=database_url) as running:
        yield running


@contextmanager
def started(live: LiveCore, token: str, accept: str = NDJSON) -> Iterator[http.client.HTTPResponse]:
    """An export whose head has come."""
    parts = urlsplit(live.url)
    headers = {"Authorization": f"Bearer {token}", "Accept": accept}
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as connection:
        connection.request("GET", "/data/datasets/large/export", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        yield answer
        answer.close()


def ended(live: LiveCore, token: str, rows: str = "not.is.null") -> Row:
    """The entry of the export's end, which is waited for."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        _, found = live.call("GET", f"/audit?path=like.*export&rows={rows}", token=token)
        if found["data"]:
            return dict(found["data"][0])
        time.sleep(0.05)
    raise AssertionError("the end was not recorded")


def exporter(live: LiveCore, admin: str) -> tuple[str, int]:
    """The token of somebody who may export, and the number of his grant."""
    token = live.add_user("reader")
    _, me = live.call("GET", "/auth/me", token=token)
    grant = {"principal": me["username"], "dataset": "large", "privileges": ["export"]}
    status, given = live.call("POST", "/grants", grant, admin)
    assert status == 201, given
    return token, given["id"]


def whole(live: LiveCore, token: str, accept: str = NDJSON) -> bytes:
    with started(live, token, accept) as answer:
        return answer.read()


def test_a_whole_export_comes_through_a_real_server(live: LiveCore) -> None:
    token = live.log_in("admin", live.admin_password)
    body = whole(live, token)
    assert [row["n"] for row in lines(body)] == list(range(ROWS))
    assert json.loads(ended(live, token)["body"]) == {"end": "complete", "sent_bytes": len(body)}


@pytest.mark.parametrize("how", ["grant", "login"])
def test_a_revocation_breaks_the_stream(live: LiveCore, how: str) -> None:
    admin = live.log_in("admin", live.admin_password)
    token, grant = exporter(live, admin)
    with started(live, token) as answer:
        begun = answer.read(1_000_000)
        if how == "grant":
            assert live.call("DELETE", f"/grants/{grant}", token=admin)[0] == 204
        else:
            assert live.call("POST", "/auth/revoke", token=token)[0] == 204
        wait_a_look()
        body = begun + read_to_the_end(answer)
    assert body.count(b"\n") < ROWS
    with pytest.raises(json.JSONDecodeError):
        json.loads(body.rsplit(b"\n", 1)[1])
    end = ended(live, admin)
    assert json.loads(end["body"])["end"] == {"grant": "policy_changed", "login": "unauthenticated"}[how]
    assert end["rows"] == body.count(b"\n")


def test_who_leaves_ends_his_export(live: LiveCore) -> None:
    token = live.log_in("admin", live.admin_password)
    with started(live, token) as answer:
        answer.read(100_000)
    end = ended(live, token)
    assert json.loads(end["body"])["end"] == "left"
    assert 0 < end["rows"] < ROWS


def test_an_export_takes_little_memory(live: LiveCore) -> None:
    token = live.log_in("admin", live.admin_password)
    whole(live, token)
    before = peak_kib(live)
    for media_type in (NDJSON, CSV, ARROW):
        assert len(whole(live, token, media_type)) > 50_000_000
    assert peak_kib(live) - before < 60_000


def peak_kib(live: LiveCore) -> int:
    workers = Path(f"/proc/{live.process.pid}/task/{live.process.pid}/children").read_text().split()
    found = [Path(f"/proc/{pid}/status").read_text() for pid in workers]
    return max(int(line.split()[1]) for status in found for line in status.splitlines() if line.startswith("VmHWM"))


def wait_a_look() -> None:
    """Until rights are looked up again: nothing else tells that a second has passed."""
    time.sleep(1.1)


def read_to_the_end(answer: http.client.HTTPResponse) -> bytes:
    """What comes until the server ends it, in whatever way."""
    found = b""
    try:
        while chunk := answer.read(1_000_000):
            found += chunk
    except http.client.IncompleteRead as error:
        found += error.partial
    return found
