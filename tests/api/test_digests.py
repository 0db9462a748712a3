"""`/articles/digest`: checksums that anybody can compute from the rows, whoever wrote them and however."""

import hashlib
from typing import Any

import pytest

from tests.conftest import Caller


def hashed(external_id: str, version: int, title: str = "T", content: str = "c") -> int:
    """The definition in docs/INTEGRATION.md, once more."""
    key, head = external_id.encode(), title.encode()
    text = f"{len(key)}:".encode() + key + f"{version}:{len(head)}:".encode() + head + content.encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8])


def checksum(*hashes: int) -> str:
    return f"{sum(hashes) % 2**64:016x}"


def upsert(external_id: str, version: int, **more: Any) -> dict[str, Any]:
    named = {"op": "upsert", "origin": "a", "external_id": external_id, "external_version": version}
    return {**named, "title": "T", "content": "c", **more}


def apply(editor: Caller, *operations: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = editor.post("/articles/batch", {"operations": list(operations), **more})
    assert answer.status_code == 200, answer.json
    return dict(answer.json or {})


def digest(caller: Caller, **query: Any) -> dict[str, Any]:
    answer = caller.get("/articles/digest", query_string={"origin": "a", **query})
    assert answer.status_code == 200, answer.json
    return dict(answer.json or {})


def ranges(caller: Caller, *asked: dict[str, str], **more: Any) -> Any:
    answer = caller.post("/articles/digest", {"origin": "a", "ranges": list(asked), **more})
    return answer.status_code, answer.json


def test_many_ranges_are_answered_as_each_alone(editor: Caller) -> None:
    apply(editor, *(upsert(str(key), 1) for key in range(-5, 40)))
    asked = [{"from": "-3", "to": "10"}, {"to": "2"}, {"from": "100"}, {}, {"from": "7", "to": "7"}]
    status, found = ranges(editor, *asked, parts=3)
    alone = [digest(editor, parts=3, **each) for each in asked]
    assert (status, found) == (200, {"data": [{"parts": each["data"]} for each in alone], "order": "integer"})
    texts = ranges(editor, {"from": "1", "to": "2"}, {"from": "a"})[1]
    assert texts["order"] == "bytes"
    assert texts["data"][1] == {"parts": []}


@pytest.mark.parametrize(
    "body",
    [
        {"ranges": []},
        {"ranges": [{}] * 1_001, "parts": 1},
        {"ranges": [{}] * 21, "parts": 1_000},
        {"parts": 0},
        {"ranges": [{"from": ""}]},
        {"ranges": [{"from": 1}]},
        {"ranges": [{"form": "1"}]},
        {"origin": ""},
        {"origins": "a"},
    ],
    ids=str,
)
def test_a_question_about_ranges_is_read_strictly(editor: Caller, body: dict[str, Any]) -> None:
    assert editor.post("/articles/digest", {"origin": "a", "ranges": [{}], **body}).status_code == 400


def test_ids_that_are_all_integers_are_ordered_as_such(editor: Caller) -> None:
    apply(editor, *(upsert(key, 1) for key in ("10", "9", "-3", "2")))
    found = digest(editor, parts=2)
    assert found == {
        "order": "integer",
        "data": [
            {"from": "-3", "to": "2", "count": 2, "checksum": checksum(hashed("-3", 1), hashed("2", 1))},
            {"from": "9", "to": "10", "count": 2, "checksum": checksum(hashed("9", 1), hashed("10", 1))},
        ],
    }


@pytest.mark.parametrize("text", ["007", "-0", "+1", "1 ", "a", "9" * 19, "é"])
def test_one_id_that_is_no_integer_puts_all_in_the_order_of_their_bytes(editor: Caller, text: str) -> None:
    keys = ["10", "9", "B", text]
    apply(editor, *(upsert(key, 1) for key in keys))
    found = digest(editor, parts=9)
    assert found["order"] == "bytes"
    assert [part["from"] for part in found["data"]] == sorted(keys, key=str.encode)


def test_a_range_has_both_its_ends(editor: Caller) -> None:
    apply(editor, *(upsert(str(key), 1) for key in range(20)))
    assert [part["from"] for part in digest(editor, **{"from": "9", "to": "11", "parts": "1000"})["data"]] == [
        "9",
        "10",
        "11",
    ]
    assert digest(editor, **{"from": "50"})["data"] == []
    assert digest(editor, origin="b") == {"data": [], "order": "integer"}


def test_checksums_follow_every_way_to_write(editor: Caller) -> None:
    number = apply(editor, upsert("1", 5))["data"][0]["id"]
    assert digest(editor)["data"][0]["checksum"] == checksum(hashed("1", 5))
    apply(editor, upsert("1", 6, title="new"))
    assert digest(editor)["data"][0]["checksum"] == checksum(hashed("1", 6, "new"))
    editor.patch(f"/articles/{number}", {"content": "édité"})
    assert digest(editor)["data"][0]["checksum"] == checksum(hashed("1", 6, "new", "édité"))
    editor.put(f"/articles/{number}", {"title": "put", "content": ""})
    assert digest(editor)["data"][0]["checksum"] == checksum(hashed("1", 6, "put", ""))
    apply(editor, {"op": "upsert", "id": number, "title": "by id", "content": "c"})
    assert digest(editor)["data"][0]["checksum"] == checksum(hashed("1", 6, "by id"))
    apply(editor, upsert("1", -2, repair=True))
    assert digest(editor)["data"][0]["checksum"] == checksum(hashed("1", -2))
    editor.delete(f"/articles/{number}")
    assert digest(editor)["data"] == []


def test_a_sum_of_many_hashes_does_not_overflow(editor: Caller) -> None:
    apply(editor, *(upsert(str(key), 2**63 - 1) for key in range(900)))
    (part,) = digest(editor, parts=1)["data"]
    assert (part["count"], part["checksum"]) == (900, checksum(*(hashed(str(key), 2**63 - 1) for key in range(900))))


def test_articles_written_here_are_in_no_digest_and_hashes_in_no_dataset(admin: Caller) -> None:
    admin.post("/articles", {"title": "T", "content": "c"})
    assert digest(admin)["data"] == []
    columns = [each["name"] for each in admin.get("/data/datasets/articles").json["columns"]]
    assert "external_id" in columns
    assert not {"row_hash", "external_number"} & {*columns, *admin.get("/articles").json["data"][0]}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "origin=",
        "origin=a&parts=0",
        "origin=a&parts=1001",
        "origin=a&part=1",
        "origin=a&origin=b",
    ],
)
def test_what_cannot_be_asked_is_refused(reader: Caller, query: str) -> None:
    assert reader.get(f"/articles/digest?{query}").status_code == 400


def test_a_bound_that_is_no_integer_has_the_ids_ordered_by_bytes(editor: Caller) -> None:
    apply(editor, upsert("9", 1), upsert("10", 1))
    asked = "/articles/digest?origin=a&parts=1000"
    by_bytes = editor.get(f"{asked}&from=1&to=9x").json
    assert (by_bytes["order"], [each["from"] for each in by_bytes["data"]]) == ("bytes", ["10", "9"])
    assert editor.get(f"{asked}&from=1&to=99").json["order"] == "integer"


def test_a_dry_run_says_what_would_be_and_changes_nothing(editor: Caller) -> None:
    number = apply(editor, upsert("1", 5))["data"][0]["id"]
    asked = [upsert("1", 4), upsert("2", 1), {"op": "upsert"}, upsert("1", 6, title="x"), upsert("2", 2, title="y")]
    told = apply(editor, *asked, dry_run=True)
    assert [(each["outcome"], each["id"]) for each in told["data"]] == [
        ("stale", number),
        ("created", None),
        ("updated", number),
        ("updated", None),
    ]
    assert [each["index"] for each in told["errors"]] == [2]
    assert len(editor.get("/events?type=article.*").json["data"]) == 1
    assert digest(editor)["data"] == [{"from": "1", "to": "1", "count": 1, "checksum": checksum(hashed("1", 5))}]
    done = apply(editor, *asked)
    assert [each["outcome"] for each in done["data"]] == [each["outcome"] for each in told["data"]]
