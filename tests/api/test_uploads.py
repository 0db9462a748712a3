"""Uploads: what becomes of a file, who may send it, and that nothing is left of one that is refused."""

import gzip
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from flask import Flask
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from rest_api import bodies
from rest_api.backends import writing
from rest_api.resources import multipart
from rest_api.resources import uploads as resource
from rest_api.services import changes
from tests.api.lake import append, give, lake_folder, with_lake
from tests.conftest import Caller, log_in

CSV = b"id,name\n1,Ada\n2,Bo\n"
ROWS = [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bo"}]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Uploads differ from rows in nothing that has to do with the database."""
    return f"sqlite:///{tmp_path}/lakeport.db"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Iterator[Flask]:
    app = make_app(UPLOAD_BYTES="3000000")
    yield app
    assert_nothing_is_left(app)


def assert_nothing_is_left(app: Flask) -> None:
    folders = (app.extensions["lakeport"].settings.uploads_dir, lake_folder(app) / "_staging")
    assert [path for folder in folders if folder.exists() for path in folder.iterdir()] == []


@pytest.fixture
def root(app: Flask) -> Caller:
    return log_in(app, "root")


def send(
    caller: Caller, dataset: str = "people", content: bytes = CSV, filename: str = "a.csv", **more: Any
) -> TestResponse:
    headers = more.pop("headers", {})
    # Werkzeug's own boundary is too long for a form every now and then.
    boundary, data = encode_multipart(
        {"dataset": dataset, **more, "file": FileStorage(io.BytesIO(content), filename)}, "a-boundary-of-the-tests"
    )
    form = f"multipart/form-data; boundary={boundary}"
    return caller.call("POST", "/data/upload", data=data, headers=headers, content_type=form)


def call(caller: Caller, environ: dict[str, Any]) -> TestResponse:
    """Send a body that is in an environment as a server makes it; its boundary is x."""
    environ = {"CONTENT_TYPE": "multipart/form-data; boundary=x", **environ}
    return caller.client.post("/data/upload", headers=caller.headers, environ_overrides=environ)


def rows(caller: Caller, dataset: str = "people") -> Any:
    answer = caller.get(f"/data/datasets/{dataset}/rows")
    assert answer.status_code == 200, answer.json
    return answer.json["data"]


def in_parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


FILES = {
    "a.csv": CSV,
    "a.csv.gz": gzip.compress(CSV, mtime=0),
    "a.json": b'[{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bo"}]',
    "a.ndjson": b'{"id": 1, "name": "Ada"}\n{"id": 2, "name": "Bo"}\n',
    "A.PARQUET": in_parquet(pa.table({"id": [1, 2], "name": ["Ada", "Bo"]})),
}


@pytest.mark.parametrize("kind", ["table", "files"])
def test_a_file_becomes_a_dataset(app: Flask, root: Caller, kind: str) -> None:
    for number, (filename, content) in enumerate(FILES.items()):
        name, version = f"sales.people{number}", 0 if kind == "table" else None
        answer = send(root, name, content, filename, kind=kind)
        assert answer.status_code == 201, answer.json
        sha256 = hashlib.sha256(content).hexdigest()
        told = {"dataset": name, "version": version, "rows": 2, "bytes": len(content), "sha256": sha256}
        assert answer.json == told
        assert answer.headers["Location"] == f"/data/datasets/{name}"
        assert rows(root, name) == ROWS
        shown = root.get(f"/data/datasets/{name}").json
        assert (shown["kind"], shown["version"]) == (kind, version)


def test_a_new_table_keeps_its_times_in_utc_and_its_log_for_a_year(app: Flask, root: Caller) -> None:
    send(root, content=b"at\n2026-11-01T12:00:00+02:00\n")
    table = DeltaTable(lake_folder(app) / "people")
    assert str(pa.schema(table.schema().to_arrow()).field("at").type) == "timestamp[us, tz=UTC]"
    assert table.metadata().configuration["delta.logRetentionDuration"] == "interval 365 days"
    assert rows(root) == [{"at": "2026-11-01T10:00:00Z"}]


def test_an_upload_is_told_in_versions_events_and_audit(root: Caller) -> None:
    sent = send(root, filename="Ada's \u00e9.csv").json
    assert root.get("/data/datasets/people/versions").json["data"][0]["who"] == "root"
    [event] = root.get("/events?type=dataset.changed").json["data"]
    assert event["data"] == {"dataset": "people", "version": 0, "kind": "create", "rows": 2}
    [entry] = root.get("/audit?path=/data/upload&select=body,body_bytes,body_sha256,dataset,rows").json["data"]
    assert (entry["dataset"], entry["rows"]) == ("people", 2)
    assert (entry["body_bytes"], entry["body_sha256"]) == (sent["bytes"], sent["sha256"])
    assert "Ada's é.csv" in str(entry["body"])


def test_what_is_there_is_appended_to_unless_it_is_asked_otherwise(app: Flask, root: Caller) -> None:
    assert send(root).json["version"] == 0
    assert send(root, content=b"id\n3\n").json["version"] == 1
    assert [row["id"] for row in rows(root)] == [1, 2, 3]
    assert send(root, mode="create").status_code == 409
    assert send(root, content=b"id\n9\n", mode="overwrite").json["version"] == 2
    assert rows(root) == [{"id": 9, "name": None}]
    assert send(root, "nothing", mode="append").status_code == 404
    assert send(root, "nothing", mode="overwrite").status_code == 404


def test_files_are_added_to_a_folder_under_names_of_ours(app: Flask, root: Caller) -> None:
    send(root, kind="files", filename="../../evil.csv")
    send(root, content=b"id\n3\n", filename="a.csv")
    assert sorted(row["id"] for row in rows(root)) == [1, 2, 3]
    names = [path.name for path in (lake_folder(app) / "people").iterdir()]
    assert [bool(re.fullmatch(r"[0-9a-f]{32}\.csv", name)) for name in names] == [True, True]
    assert send(root, mode="overwrite").status_code == 409
    assert send(root, kind="table").status_code == 409


def test_a_file_has_to_fit_its_table(app: Flask, root: Caller) -> None:
    send(root)
    wrong = send(root, content=b"id,name\n1,a\nx,b\n")
    assert (wrong.status_code, wrong.json["errors"][0]["field"]) == (400, "line.3.id")
    unknown = send(root, content=b"id,nmae\n1,a\n")
    assert (unknown.status_code, unknown.json["did_you_mean"]) == (400, "name")
    assert rows(root) == ROWS


def test_a_key_stays_unique(app: Flask, root: Caller) -> None:
    send(root)
    root.put("/data/datasets/people", {"key": ["id"]})
    assert send(root, content=b"id\n2\n").json["code"] == "key_not_unique"
    assert send(root, content=b"id\n3\n3\n").status_code == 400
    assert send(root, content=b"id,name\n,a\n").status_code == 400
    assert send(root, content=b"id\n3\n").status_code == 201
    assert send(root, content=b"id\n3\n3\n", mode="overwrite").status_code == 400
    assert [row["id"] for row in rows(root)] == [1, 2, 3]


NAMES = (
    "", ".", "..", "../x", "/etc/x", "a/b", "a..b", ".a", "a.", "a\\b", "a b", "A", "Ä", "a\u2024b", "\uff41",
    "a\u202eb",
    "_delta_log", "people._delta_log", "_staging.x", "_locks", "a=b", "x" * 65, ".".join(["abcdefgh"] * 34), "a\x00b",
    "%2e%2e", "%2fetc", "a\nb", "~", "con:", "-", "a*", "a?", "a'b", "é", "\U0001f600", "..\u2215etc", "people/../x",
)  # fmt: skip


def test_hostile_names_are_refused(app: Flask, root: Caller) -> None:
    folders = lake_folder(app), lake_folder(app).parent
    before = [{path for path in folder.rglob("*") if path.is_dir()} for folder in folders]
    for name in NAMES:
        for kind in ("table", "files"):
            answer = send(root, name, kind=kind)
            assert answer.status_code == 400, (name, answer.json)
            assert str(lake_folder(app)) not in answer.get_data(as_text=True)
    after = [{path for path in folder.rglob("*") if path.is_dir()} for folder in folders]
    made = {path.name for old, new in zip(before, after, strict=True) for path in new - old}
    assert made <= {"_staging", "_locks", "uploads", "lake"}


def test_no_dataset_is_made_inside_another_or_around_it(app: Flask, root: Caller) -> None:
    with_lake(app)
    (lake_folder(app) / "link").symlink_to("/tmp")
    (lake_folder(app) / "misc").mkdir()
    (lake_folder(app) / "misc" / "notes.txt").write_text("x")
    for name in (
        "transactions.more",
        "stores.more",
        "visits.country",
        "sales",
        "articles.more",
        "link",
        "link.x",
        "misc",
    ):
        for kind in ("table", "files"):
            assert send(root, name, kind=kind).status_code == 409, name
    assert send(root, "articles").status_code == 409
    assert send(root, "visits", kind="files").status_code == 409
    assert send(root, "sales.new").status_code == 201


def test_who_may_create_append_and_overwrite(app: Flask, root: Caller) -> None:
    rita = log_in(app, "rita")
    assert send(rita).status_code == 403
    send(root, "sales.people")
    give(root, "rita", "/other", "manage")
    taken, free = send(rita, "sales.people"), send(rita, "sales.nobody")
    assert (taken.status_code, free.status_code) == (404, 404)
    assert taken.json["detail"].replace("people", "nobody") == free.json["detail"]
    assert send(rita, "other.new").status_code == 201
    give(root, "rita", "/sales", "read", "write")
    assert send(rita, "sales.people").status_code == 201
    assert send(rita, "sales.nobody").status_code == 404
    assert send(rita, "sales.people", mode="overwrite").status_code == 403


def test_a_grant_to_write_lets_append_and_no_more(app: Flask, root: Caller) -> None:
    send(root)
    give(root, "rita", "people", "write")
    rita = log_in(app, "rita")
    assert send(rita).status_code == 201
    assert send(rita, mode="overwrite").status_code == 403
    assert send(rita, mode="create").status_code == 404
    assert len(rows(root)) == 4


def test_a_part_of_a_folder_gives_no_right_to_create(app: Flask, root: Caller) -> None:
    give(root, "rita", "/sales", "manage", filter="id=gt.5")
    give(root, "rita", "/other", "write")
    assert send(log_in(app, "rita"), "sales.new").status_code == 404


def test_grants_on_an_earlier_dataset_of_the_name_stay_asleep(app: Flask, root: Caller) -> None:
    import shutil

    send(root)
    give(root, "rita", "people")
    shutil.rmtree(lake_folder(app) / "people")
    send(root)
    assert log_in(app, "rita").get("/data/datasets/people/rows").status_code == 404


class Unread(io.RawIOBase):
    """A body that is never to be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: Any) -> int:
        raise AssertionError("the body was read")


def test_who_can_write_nothing_is_refused_before_his_body_is_read(app: Flask) -> None:
    rita = log_in(app, "rita")
    assert call(rita, {"wsgi.input": Unread(), "CONTENT_LENGTH": "2000000"}).status_code == 403


def form(*parts: tuple[str, bytes], end: bytes = b"--x--\r\n") -> bytes:
    """A body of parts: the parameters of their Content-Disposition and their content."""
    return (
        b"".join(b"--x\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (a.encode(), b) for a, b in parts) + end
    )


FILE_PART = ('name="file"; filename="a.csv"', CSV)
DATASET_PART = ('name="dataset"', b"people")
FORMS = {
    "no dataset": form(FILE_PART),
    "no file": form(DATASET_PART),
    "file without a name": form(DATASET_PART, ('name="file"', CSV)),
    "name without an ending": form(DATASET_PART, ('name="file"; filename="a"', CSV)),
    "unknown ending": form(DATASET_PART, ('name="file"; filename="a.exe"', CSV)),
    "two files": form(DATASET_PART, FILE_PART, FILE_PART),
    "file of another name": form(DATASET_PART, ('name="data"; filename="a.csv"', CSV)),
    "field given twice": form(DATASET_PART, DATASET_PART, FILE_PART),
    "unknown field": form(DATASET_PART, ('name="knid"', b"table"), FILE_PART),
    "unknown kind": form(DATASET_PART, ('name="kind"', b"sql"), FILE_PART),
    "unknown mode": form(DATASET_PART, ('name="mode"', b"merge"), FILE_PART),
    "long field": form(('name="dataset"', b"x" * 2_000), FILE_PART),
    "endless field": form(('name="dataset"', b"x" * 200_000), FILE_PART),
    "no UTF-8": form(('name="dataset"', b"\xff\xfe"), FILE_PART),
    "cut off in the file": form(DATASET_PART, FILE_PART)[:-30],
    "without an end": form(DATASET_PART, FILE_PART, end=b""),
    "no form": b"id\n1\n",
    "nothing": b"",
    "many parts": form(*[('name="x"', b"")] * 40, FILE_PART),
}


def test_malformed_forms_are_refused(app: Flask, root: Caller) -> None:
    for case, body in FORMS.items():
        answer = root.call("POST", "/data/upload", data=body, content_type="multipart/form-data; boundary=x")
        assert (answer.status_code, answer.json["code"]) == (400, "invalid"), case
    assert [dataset["name"] for dataset in root.get("/data/datasets").json["data"]] == ["articles"]


def test_fields_come_in_any_order(app: Flask, root: Caller) -> None:
    body = form(FILE_PART, ('name="kind"', b"files"), DATASET_PART)
    assert (
        root.call("POST", "/data/upload", data=body, content_type="multipart/form-data; boundary=x").status_code == 201
    )
    assert rows(root) == ROWS


def test_bodies_of_another_type_and_size_are_refused(app: Flask, root: Caller) -> None:
    assert root.call("POST", "/data/upload", data=CSV, content_type="text/csv").status_code == 415
    assert root.call("POST", "/data/upload", data=CSV, content_type="multipart/form-data").status_code == 400
    assert call(root, {"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "3000001"}).status_code == 413
    body = form(DATASET_PART, ('name="file"; filename="a.csv"', b"x" * 3_000_001))
    environ = {"wsgi.input": io.BytesIO(body), "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = call(root, environ)
    assert answer.status_code == 413, answer.json


def test_a_repeated_upload_has_one_effect_and_one_answer(app: Flask, root: Caller) -> None:
    key = {"Idempotency-Key": "k1"}
    first, again = send(root, headers=key), send(root, headers=key, filename="b.csv")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json
    assert send(root, headers=key, content=b"id\n1\n").status_code == 422
    assert send(root, "others", headers=key).status_code == 422
    assert rows(root) == ROWS


@pytest.mark.parametrize("kind", ["table", "files"])
@pytest.mark.parametrize("mode", ["create", None])
def test_an_upload_whose_answer_was_lost_finds_what_it_did(
    app: Flask, root: Caller, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str | None
) -> None:
    finish = changes.finish

    def lost(*_: Any) -> None:
        monkeypatch.setattr(changes, "finish", finish)
        raise SystemExit

    monkeypatch.setattr(changes, "finish", lost)
    fields: dict[str, Any] = {"kind": kind, **({"mode": mode} if mode else {}), "headers": {"Idempotency-Key": "k1"}}
    with pytest.raises(SystemExit):
        send(root, **fields)
    again = send(root, **fields)
    assert (again.status_code, (again.json or {}).get("rows")) == (201, 2), again.json
    assert rows(root) == ROWS
    assert len(root.get("/events?type=dataset.changed").json["data"]) == 1


def test_a_slow_sender_is_given_up(app: Flask, root: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing_end = os.pipe()
    monkeypatch.setattr(resource, "parts", lambda stream, length, most: bodies.parts(stream, length, most, -2.5))
    with os.fdopen(reading, "rb", buffering=0) as stream, os.fdopen(writing_end, "wb", buffering=0) as sender:
        sender.write(form(DATASET_PART, FILE_PART)[:60])
        answer = call(root, {"wsgi.input": stream, "CONTENT_LENGTH": "1000"})
    assert (answer.status_code, answer.json["code"]) == (408, "request_timeout")


def test_one_user_cannot_take_all_places(make_app: Callable[..., Flask]) -> None:
    app = make_app(RECEIVING_UPLOADS_PER_USER="1")
    root = log_in(app, "root")
    give_back = app.extensions["lakeport"].door.uploads.take(root.get("/auth/me").json["id"])
    assert send(root).status_code == 429
    give_back()
    assert send(root).status_code == 201


BOMBS = {
    "a.csv.gz": gzip.compress(b"id\n" + b"1" * 300_000_000, mtime=0),
    "a.json.gz": gzip.compress(b"[" * 300_000_000, mtime=0),
}


def test_a_gzip_bomb_is_refused(app: Flask, root: Caller) -> None:
    for filename, bomb in BOMBS.items():
        answer = send(root, content=bomb, filename=filename)
        assert answer.status_code in (400, 413), answer.json
    assert root.get("/data/datasets/people").status_code == 404


def test_a_parquet_bomb_is_refused_and_never_stored_as_it_is(app: Flask, root: Caller) -> None:
    schema = pa.schema([("text", pa.dictionary(pa.int32(), pa.string()))])
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["x" * 1_000_000])
    bomb = in_parquet(pa.table([column], schema=schema))
    assert len(bomb) < 200_000
    for kind in ("table", "files"):
        answer = send(root, content=bomb, filename="a.parquet", kind=kind)
        if answer.status_code == 201:
            assert answer.json["rows"] == 20_000
        assert answer.status_code in (201, 400, 413)
    assert root.get("/health/ready").status_code == 200


def full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device (os error 28)")


@pytest.mark.parametrize("where", ["received", "committed", "put"])
def test_a_full_disk_is_503_and_nothing_is_half_written(
    app: Flask, root: Caller, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    from rest_api.backends.storage import local

    send(root, "others")
    with monkeypatch.context() as patch:
        if where == "received":
            patch.setattr(multipart.Receiver, "_see", full)
        elif where == "committed":
            patch.setattr(writing, "write_deltalake", full)
        else:
            patch.setattr(local, "_move", full)
        for dataset in ("people", "others") if where != "put" else ("people",):
            answer = send(root, dataset)
            assert (answer.status_code, answer.json["code"]) == (503, "unavailable"), answer.json
            assert answer.headers["Retry-After"]
    assert root.get("/data/datasets/people").status_code == 404
    assert not (lake_folder(app) / "people").exists()
    assert rows(root, "others") == ROWS
    assert send(root).status_code == 201


def test_what_a_killed_process_left_is_swept_at_the_next_start(app: Flask, tmp_path: Path) -> None:
    from rest_api.backends.storage import workplaces

    parent = tmp_path / "places"
    with workplaces.workplace(parent) as worked_in:
        (worked_in / "body").write_bytes(b"x")
        (parent / "left").mkdir()
        (parent / "left" / "body").write_bytes(b"x")
        workplaces.sweep(parent)
        assert [path.name for path in parent.iterdir()] == [worked_in.name]
    assert list(parent.iterdir()) == []


def test_a_table_made_elsewhere_is_appended_to_with_its_own_types(app: Flask, root: Caller) -> None:
    schema = pa.schema([("id", pa.int16()), ("price", pa.decimal128(18, 2)), ("at", pa.timestamp("us"))])
    append(lake_folder(app) / "items", pa.table([[1], [None], [None]], schema=schema))
    answer = send(root, "items", b"at,price,id\n2026-11-01,9999999999999999.99,7\n")
    assert answer.status_code == 201, answer.json
    assert rows(root, "items")[1] == {"id": 7, "price": 9999999999999999.99, "at": "2026-11-01T00:00:00Z"}
