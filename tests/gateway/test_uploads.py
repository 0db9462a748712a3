"""Files by GraphQL multipart request: passed through as they come, all of them or nothing."""

import hashlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateway.conftest import GraphQL, hanging_up, replying, upstream
from tests.live import Live, LiveCore, core, gateway

BOUNDARY = "f1l3"
UPLOAD = """mutation ($file: Upload!, $dataset: String!, $kind: DatasetKind, $mode: UploadMode) {
  uploadFile(file: $file, dataset: $dataset, kind: $kind, mode: $mode) {
    success errors code dataset version rows bytes sha256
  }
}"""
CSV = b"id,name\n1,Ada\n2,Bo\n"
MEGABYTE = 1 << 20
MAP = {"0": ["variables.file"]}


def operations(**variables: Any) -> dict[str, Any]:
    return {"query": UPLOAD, "variables": {"file": None, **variables}}


def field(name: str, value: Any) -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + text + b"\r\n"


def file(content: bytes = CSV, name: str = "0", filename: str = "people.csv") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
    return f"{head}Content-Type: text/csv\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def form(asked: Any, mapping: Any = MAP, content: bytes = CSV, filename: str = "people.csv") -> bytes:
    return field("operations", asked) + field("map", mapping) + file(content, filename=filename) + END


def send(client: GraphQL, body: bytes | Iterable[bytes], **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and answer of a multipart request; what is not sent because the door closed does not matter."""
    sent = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "GraphQL-Require-Preflight": "1",
        **client.headers,
        **headers,
    }
    connection = http.client.HTTPConnection(urlsplit(client.url).netloc, timeout=60)
    with closing(connection):
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", "/graphql", body, sent, encode_chunked=not isinstance(body, bytes))
        with connection.getresponse() as response:
            answer: dict[str, Any] = json.loads(response.read())
    return response.status, answer


def upload(client: GraphQL, dataset: str, content: bytes = CSV, **more: Any) -> dict[str, Any]:
    filename = more.pop("filename", "people.csv")
    _, answer = send(client, form(operations(dataset=dataset, **more), content=content, filename=filename))
    assert "errors" not in answer, answer["errors"]
    found: dict[str, Any] = answer["data"]["uploadFile"]
    return found


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCore]:
    """A core that takes files of 48 MB."""
    with core(tmp_path_factory.mktemp("core"), UPLOAD_BYTES=str(48 * MEGABYTE)) as live:
        yield live


@pytest.fixture(scope="module")
def door(lake: LiveCore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A gateway before it."""
    with gateway(lake.url, tmp_path_factory.mktemp("gateway")) as live:
        yield live


@pytest.fixture(scope="module")
def root(lake: LiveCore, door: Live) -> GraphQL:
    """A client with the administrator's token."""
    return GraphQL(door.url, {"Authorization": f"Bearer {lake.log_in('admin', lake.admin_password)}"})


def rows(lake: LiveCore, root: GraphQL, dataset: str) -> tuple[int, Any]:
    return lake.call("GET", f"/data/datasets/{dataset}/rows", token=root.headers["Authorization"].split()[1])


def test_a_file_becomes_a_table(lake: LiveCore, root: GraphQL) -> None:
    assert upload(root, "people") == {
        "success": True,
        "errors": [],
        "code": None,
        "dataset": "people",
        "version": 0,
        "rows": 2,
        "bytes": len(CSV),
        "sha256": hashlib.sha256(CSV).hexdigest(),
    }
    assert rows(lake, root, "people")[1]["data"] == [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bo"}]
    assert upload(root, "people", mode="APPEND")["version"] == 1
    assert upload(root, "people", mode="OVERWRITE")["version"] == 2
    assert len(rows(lake, root, "people")[1]["data"]) == 2


def test_a_file_is_put_into_a_folder(root: GraphQL) -> None:
    answer = upload(root, "papers", b'{"a": 1}\n', kind="FILES", filename="a.ndjson")
    assert (answer["success"], answer["version"], answer["rows"]) == (True, None, 1)


def test_refusals_of_the_core_come_through_as_they_are(root: GraphQL, lake: LiveCore, door: Live) -> None:
    assert upload(root, "people", b"id,name\nx,y\n")["code"] == "INVALID"
    assert upload(root, "people", filename="people.exe")["code"] == "INVALID"
    assert upload(root, "people", mode="CREATE")["code"] == "CONFLICT"
    reader = GraphQL(door.url, {"Authorization": f"Bearer {lake.add_user('reader')}"})
    assert upload(reader, "people")["code"] in ("FORBIDDEN", "NOT_FOUND")
    _, answer = send(GraphQL(door.url, {"Authorization": "Bearer x.y.z"}), form(operations(dataset="people")))
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_without_a_token_there_is_no_upload(door: Live) -> None:
    _, answer = send(GraphQL(door.url), form(operations(dataset="people")))
    assert answer["errors"][0]["message"] == "Unknown type 'Upload'."


@pytest.mark.parametrize("filename", ["../../../etc/people.csv", "%22;x=%22/../people.csv"])
def test_a_filename_leads_nowhere(root: GraphQL, lake: LiveCore, filename: str) -> None:
    assert upload(root, "named", filename=filename)["success"]
    assert not [path for path in lake.data_dir.rglob("*") if path.name.endswith("people.csv")]


def test_what_the_variables_hold_beside_the_file_stays_as_it_is(root: GraphQL) -> None:
    answer = upload(root, "nulls", kind=None, mode=None)
    assert answer["success"]


@pytest.mark.parametrize(
    "header", ["GraphQL-Require-Preflight", "Apollo-Require-Preflight", "X-Apollo-Operation-Name", None]
)
def test_a_multipart_request_has_a_header_that_no_other_site_can_send_unasked(
    root: GraphQL, header: str | None
) -> None:
    headers = {"GraphQL-Require-Preflight": "", **({header: "1"} if header else {})}
    asked = {"query": "{ __typename }", "variables": {"file": None}}
    status, answer = send(root, form(asked), **headers)
    assert (status, "data" in answer) == ((200, True) if header else (400, False))


ASKED = operations(dataset="refused")
IN_LIST = {"query": UPLOAD, "variables": {"files": [None], "file": 1, "dataset": "refused"}}
REFUSED = {
    "the file first": file() + field("operations", ASKED) + field("map", MAP) + END,
    "the map first": field("map", MAP) + field("operations", ASKED) + file() + END,
    "no map": field("operations", ASKED) + file() + END,
    "no file": field("operations", ASKED) + field("map", MAP) + END,
    "nothing": END,
    "no end": field("operations", ASKED)[:-9],
    "no parts": b"x" * 1_000,
    "a batch": form([ASKED, ASKED], {"0": ["0.variables.file"]}),
    "operations that are a text": form("{ __typename }"),
    "operations that are not JSON": form(b"{"),
    "a map that is not JSON": form(ASKED, b"{"),
    "an empty map": form(ASKED, {}),
    "a map that is a list": form(ASKED, ["variables.file"]),
    "two files": form(ASKED, {"0": ["variables.file"], "1": ["variables.dataset"]}),
    "one file in two places": form(ASKED, {"0": ["variables.file", "variables.dataset"]}),
    "a file in no place": form(ASKED, {"0": []}),
    "a path that is no text": form(ASKED, {"0": [7]}),
    "a path outside the variables": form({**ASKED, "operationName": None}, {"0": ["operationName"]}),
    "a path to the query": form(ASKED, {"0": ["query"]}),
    "a path to nothing": form(ASKED, {"0": ["variables.nothing"]}),
    "a path beyond a text": form(ASKED, {"0": ["variables.dataset.0"]}),
    "a path to what is not null": form(ASKED, {"0": ["variables.dataset"]}),
    "a path beyond a list": form(IN_LIST, {"0": ["variables.files.1"]}),
    "a path before a list": form(IN_LIST, {"0": ["variables.files.-1"]}),
    "a path with a huge number": form(IN_LIST, {"0": ["variables.files." + "9" * 5_000]}),
    "a file of another name": field("operations", ASKED) + field("map", MAP) + file(name="1") + END,
    "a file without a filename": field("operations", ASKED) + field("map", MAP) + field("0", CSV) + END,
    "operations that are a file": file(json.dumps(ASKED).encode(), "operations") + field("map", MAP) + file() + END,
    "operations twice": field("operations", ASKED) * 2 + field("map", MAP) + file() + END,
    "a key twice": form(b'{"query": "{ a }", "query": "{ b }", "variables": {"file": null}}'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_is_not_as_it_should_be_is_400(root: GraphQL, lake: LiveCore, name: str) -> None:
    before = root.samples("graphql_upstream_requests_total")
    status, answer = send(root, REFUSED[name])
    assert (status, answer["errors"][0]["extensions"]["code"]) == (400, "INVALID")
    assert root.samples("graphql_upstream_requests_total") == before
    assert rows(lake, root, "refused")[0] == 404


AFTER = {
    "a second file": field("operations", ASKED) + field("map", MAP) + file() + file(name="1") + END,
    "a field after the file": field("operations", ASKED) + field("map", MAP) + file() + field("x", 1) + END,
    "no end after the file": field("operations", ASKED) + field("map", MAP) + file(),
}


@pytest.mark.parametrize("name", AFTER)
def test_what_comes_after_the_file_undoes_it(root: GraphQL, lake: LiveCore, name: str) -> None:
    _, answer = send(root, AFTER[name])
    assert answer["errors"][0]["extensions"]["code"] == "INVALID"
    assert rows(lake, root, "refused")[0] == 404


def test_operations_and_map_are_within_the_limit_of_any_body(root: GraphQL) -> None:
    asked = {**ASKED, "extensions": {"x": "x" * MEGABYTE}}
    status, answer = send(root, form(asked))
    assert (status, answer["errors"][0]["extensions"]["code"]) == (413, "TOO_LARGE")
    status, answer = send(root, field("operations", ASKED) + field("map", b'{"0": "' + b"x" * MEGABYTE + b'"}') + END)
    assert (status, answer["errors"][0]["extensions"]["code"]) == (413, "TOO_LARGE")


@pytest.mark.parametrize(
    "value", ["http://127.0.0.1/people.csv", "file:///etc/passwd", "/etc/passwd", {"path": "/etc/passwd"}, 7, ["a"]]
)
def test_neither_a_text_nor_an_address_is_a_file(root: GraphQL, value: Any) -> None:
    error = root.error(UPLOAD, file=value, dataset="refused")
    assert error["extensions"]["code"] == "INVALID"
    written = f'mutation {{ uploadFile(file: {json.dumps("/etc/passwd")}, dataset: "refused") {{ success }} }}'
    assert root.error(written)["extensions"]["code"] == "INVALID"


def test_a_file_can_be_used_once(root: GraphQL) -> None:
    twice = """mutation ($file: Upload!) {
      a: uploadFile(file: $file, dataset: "once") { rows }
      b: uploadFile(file: $file, dataset: "twice") { rows }
    }"""
    _, answer = send(root, form({"query": twice, "variables": {"file": None}}))
    assert [error["path"] for error in answer["errors"]] == [["b"]]


def test_an_upload_repeated_under_its_key_is_made_once(root: GraphQL, lake: LiveCore) -> None:
    body = form(operations(dataset="keyed"))
    answers = [send(root, body, **{"Idempotency-Key": "one"})[1]["data"]["uploadFile"] for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(rows(lake, root, "keyed")[1]["data"]) == 2
    other = form(operations(dataset="keyed"), content=CSV + b"3,Cy\n")
    _, answer = send(root, other, **{"Idempotency-Key": "one"})
    assert "IDEMPOTENCY" in json.dumps(answer)


def pieces(size_bytes: int, dataset: str = "large") -> Iterator[bytes]:
    """A request with a CSV of about that size, never in one piece."""
    yield field("operations", operations(dataset=dataset)) + field("map", MAP)
    yield file(b"", filename="large.csv")[:-2] + b"id,text\n"
    line = b"x" * 99_990
    for number in range(size_bytes // 100_000):
        yield b"%08d,%b\n" % (number, line)
    yield b"\r\n" + END


def family(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from family(int(child))


def memory_bytes(process: int, name: str) -> int:
    """What the processes of a gateway have in memory (VmRSS), or had at most (VmHWM)."""
    told = [Path(f"/proc/{pid}/status").read_text() for pid in family(process)]
    return sum(int(text.split(f"{name}:")[1].split()[0]) << 10 for text in told)


def test_the_gateway_keeps_nothing_of_a_file_in_memory(root: GraphQL, door: Live) -> None:
    upload(root, "warm")
    for pid in family(door.process.pid):
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): the peak counts from now on
    before = memory_bytes(door.process.pid, "VmRSS")
    _, answer = send(root, pieces(40 * MEGABYTE))
    assert answer["data"]["uploadFile"]["rows"] == 40 * MEGABYTE // 100_000
    assert memory_bytes(door.process.pid, "VmHWM") - before < 16 * MEGABYTE


def test_a_file_that_is_too_large_is_told_so(root: GraphQL) -> None:
    _, answer = send(root, pieces(80 * MEGABYTE))
    assert answer["errors"][0]["extensions"]["code"] == "TOO_LARGE"


def test_a_refusal_comes_before_the_file_has(root: GraphQL, lake: LiveCore, door: Live) -> None:
    reader = GraphQL(door.url, {"Authorization": f"Bearer {lake.add_user('reader')}"})

    sent = 0

    def counted() -> Iterator[bytes]:
        nonlocal sent
        for piece in pieces(40 * MEGABYTE):
            sent += len(piece)
            yield piece

    _, answer = send(reader, counted())
    assert answer["data"]["uploadFile"]["code"] in ("FORBIDDEN", "NOT_FOUND")
    assert sent < 30 * MEGABYTE


def half_a_request(client: GraphQL) -> socket.socket:
    """A connection on which half a file has been sent."""
    address = urlsplit(client.url)
    opened = socket.create_connection((address.hostname, address.port))
    body = b"".join(pieces(2 * MEGABYTE, "left"))
    head = f"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nGraphQL-Require-Preflight: 1\r\n"
    head += f"Authorization: {client.headers['Authorization']}\r\n"
    opened.sendall(f"{head}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode())
    opened.sendall(body[:MEGABYTE])
    return opened


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_who_leaves_in_the_middle_has_uploaded_nothing(root: GraphQL, lake: LiveCore, door: Live) -> None:
    version = upload(root, "left")["version"]
    staged = lake.data_dir / "uploads"
    opened = half_a_request(root)
    until(lambda: any(staged.rglob("body")))
    opened.close()
    until(lambda: not any(staged.rglob("body")))
    assert upload(root, "left")["version"] == version + 1
    assert "unexpected error" not in door.log.read_text()


def test_uploads_have_few_places_and_leave_the_others_alone(root: GraphQL, lake: LiveCore, tmp_path: Path) -> None:
    with gateway(lake.url, tmp_path, GATEWAY_UPLOADS="1") as live:
        client = GraphQL(live.url, root.headers)
        opened = half_a_request(client)
        until(lambda: any((lake.data_dir / "uploads").rglob("body")))
        _, answer = send(client, form(operations(dataset="crowded")))
        assert answer["errors"][0]["extensions"]["code"] == "OVERLOADED"
        assert client.result("{ getArticles { success } }")["success"]
        opened.close()


def test_a_core_that_is_away_or_talks_nonsense_is_told_without_a_word_of_where_it_is(tmp_path: Path) -> None:
    with upstream() as away, gateway(away.url, tmp_path) as live:
        client = GraphQL(live.url, {"Authorization": "Bearer x"})
        for reply in (hanging_up, replying(200, b"<html>"), replying(500, b"<html>"), replying(200, [])):
            away.will(reply)
            _, answer = send(client, form(operations(dataset="away")))
            text = json.dumps(answer)
            assert "UPSTREAM_UNAVAILABLE" in text
            assert "127.0.0.1" not in text
            assert "html" not in text
