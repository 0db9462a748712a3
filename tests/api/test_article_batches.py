"""`POST /articles/batch`: newest wins, whatever order and however often changes arrive."""

from itertools import permutations
from typing import Any

import pytest

from rest_api.services.article_batches import judge
from tests.conftest import Caller


def upsert(version: int, title: str = "T", external_id: str = "1", **more: Any) -> dict[str, Any]:
    return {
        "op": "upsert",
        "origin": "a",
        "external_id": external_id,
        "external_version": version,
        "title": title,
        "content": "c",
        **more,
    }


def delete(version: int, external_id: str = "1") -> dict[str, Any]:
    return {"op": "delete", "origin": "a", "external_id": external_id, "external_version": version}


def apply(editor: Caller, *operations: dict[str, Any]) -> dict[str, Any]:
    answer = editor.post("/articles/batch", {"operations": list(operations)})
    assert answer.status_code == 200, answer.json
    return dict(answer.json or {})


def outcomes(editor: Caller, *operations: dict[str, Any]) -> list[str]:
    return [each["outcome"] for each in apply(editor, *operations)["data"]]


def test_each_outcome_is_told(editor: Caller) -> None:
    assert outcomes(editor, upsert(5)) == ["created"]
    assert outcomes(editor, upsert(5), upsert(4, "old"), upsert(6, "new")) == ["unchanged", "stale", "updated"]
    assert outcomes(editor, upsert(6, "other")) == ["updated"]
    assert outcomes(editor, delete(5), delete(7), delete(7)) == ["stale", "deleted", "unchanged"]
    assert outcomes(editor, upsert(7), upsert(8)) == ["stale", "created"]


def test_a_row_that_goes_and_comes_in_one_batch_is_there(editor: Caller) -> None:
    outcomes(editor, upsert(1))
    assert outcomes(editor, delete(2), upsert(3, "back"), upsert(4, "again")) == ["deleted", "created", "updated"]
    assert [row["title"] for row in editor.get("/articles").json["data"]] == ["again"]


@pytest.mark.parametrize("order", permutations([0, 1, 2]))
def test_any_order_of_arrival_ends_alike(editor: Caller, order: tuple[int, ...]) -> None:
    changes = [upsert(1, "first"), upsert(2, "second"), delete(3)]
    for index in order:
        apply(editor, changes[index])
    assert editor.get("/articles").json["data"] == []


def test_valid_operations_stand_beside_refused_ones(editor: Caller) -> None:
    answer = apply(editor, upsert(1), {"op": "upsert"}, {"op": "delete", "id": 77}, upsert(1, external_id="2"))
    assert [each["index"] for each in answer["data"]] == [0, 3]
    assert [(each["index"], each["code"]) for each in answer["errors"]] == [(1, "invalid"), (2, "not_found")]


def test_an_unknown_member_of_an_operation_names_the_nearest(editor: Caller) -> None:
    answer = apply(editor, {**upsert(1), "titel": "x"})
    assert "title" in answer["errors"][0]["detail"]


def test_articles_are_changed_and_deleted_by_id(editor: Caller) -> None:
    created = editor.post("/articles", {"title": "A", "content": "c"}).json
    by_id = {"op": "upsert", "id": created["id"], "title": "B", "content": "c"}
    assert outcomes(editor, by_id, by_id, {"op": "delete", "id": created["id"]}) == ["updated", "unchanged", "deleted"]
    assert editor.get(f"/articles/{created['id']}").status_code == 404


def test_a_synced_article_has_no_author(editor: Caller) -> None:
    apply(editor, upsert(1))
    assert editor.get("/articles?origin=a&external_id=eq.1").json["data"][0]["author_id"] is None


def test_an_article_named_by_id_and_by_source_in_one_batch_is_one(editor: Caller) -> None:
    number = apply(editor, upsert(1))["data"][0]["id"]
    assert (
        outcomes(editor, {"op": "upsert", "id": number, "title": "B", "content": "c"}, upsert(2, "C"))
        == ["updated"] * 2
    )
    row = editor.get("/articles").json["data"][0]
    assert (row["title"], row["external_version"], row["version"]) == ("C", 2, 3)


def test_what_comes_and_goes_again_and_again_in_one_batch_ends_as_the_last_change_says(editor: Caller) -> None:
    changes = [upsert(1, "a"), delete(2), upsert(3, "b"), delete(4), upsert(5, "c"), upsert(6, "d")]
    ends = ["created", "deleted", "created", "deleted", "created", "updated"]
    answer = apply(editor, *changes)
    assert [each["outcome"] for each in answer["data"]] == ends
    assert [row["title"] for row in editor.get("/articles").json["data"]] == ["d"]
    assert outcomes(editor, delete(7), delete(8)) == ["deleted", "deleted"]
    assert outcomes(editor, upsert(8), upsert(9)) == ["stale", "created"]


@pytest.mark.parametrize(
    "change",
    [
        {"op": "delete"},
        {"op": "merge"},
        {"op": ["upsert"]},
        {"origin": ""},
        {"origin": "x" * 65},
        {"external_id": ""},
        {"external_id": "x" * 201},
        {"external_id": 1},
        {"external_version": "1"},
        {"external_version": True},
        {"title": ""},
        {"title": "x" * 201},
        {"title": None},
        {"content": "x" * 100_001},
        {"content": ["x"]},
    ],
    ids=str,
)
def test_one_member_that_is_wrong_makes_no_operation(editor: Caller, change: dict[str, Any]) -> None:
    answer = apply(editor, {**upsert(1), **change}, upsert(1, external_id="2"))
    assert [each["index"] for each in answer["errors"]] == ([] if change == {"op": "delete"} else [0])
    assert answer["data"][-1]["outcome"] == "created"


def test_the_largest_of_each_member_is_taken(editor: Caller) -> None:
    largest = {"origin": "o" * 64, "external_id": "i" * 200, "title": "t" * 200, "content": "c" * 100_000}
    assert (
        outcomes(editor, {**upsert(2**63 - 1), **largest}, {**upsert(-(2**63)), "external_id": "2"}) == ["created"] * 2
    )


def test_repair_applies_whatever_the_version(editor: Caller) -> None:
    outcomes(editor, upsert(9, "new"))
    assert outcomes(editor, upsert(3, "repaired", repair=True)) == ["updated"]
    row = editor.get("/articles").json["data"][0]
    assert (row["title"], row["external_version"]) == ("repaired", 3)


def test_every_change_leaves_its_event(editor: Caller) -> None:
    apply(editor, upsert(1), upsert(2, "new"), delete(3))
    types = [event["type"] for event in editor.get("/events?type=article.*").json["data"]]
    assert types == ["article.created", "article.updated", "article.deleted"]


def test_a_local_delete_of_a_synced_article_leaves_a_tombstone(editor: Caller) -> None:
    number = apply(editor, upsert(4))["data"][0]["id"]
    assert editor.delete(f"/articles/{number}").status_code == 204
    assert outcomes(editor, upsert(4), upsert(5)) == ["stale", "created"]


@pytest.mark.parametrize("operations", [[], [upsert(1)] * 1_001, "x", None])
def test_a_batch_has_1_to_1000_operations(editor: Caller, operations: Any) -> None:
    assert editor.post("/articles/batch", {"operations": operations}).status_code == 400


def test_a_version_beyond_64_bits_is_refused(editor: Caller) -> None:
    assert editor.post("/articles/batch", {"operations": [upsert(2**63)]}).status_code == 400


@pytest.mark.parametrize(
    ("op", "version", "same", "stored", "tombstone", "outcome"),
    [
        ("upsert", 1, False, None, None, "created"),
        ("upsert", 2, False, None, 2, "stale"),
        ("upsert", 3, False, None, 2, "created"),
        ("upsert", 2, True, 2, None, "unchanged"),
        ("upsert", 2, False, 2, None, "updated"),
        ("upsert", 1, True, 2, None, "stale"),
        ("delete", 2, False, 2, None, "deleted"),
        ("delete", 1, False, 2, None, "stale"),
        ("delete", 1, False, None, None, "deleted"),
        ("delete", 2, False, None, 2, "unchanged"),
        ("delete", 1, False, None, 2, "stale"),
    ],
)
def test_a_change_is_judged_by_versions(
    op: str, version: int, same: bool, stored: int | None, tombstone: int | None, outcome: str
) -> None:
    assert judge(op, version, stored, tombstone, same_content=same) == outcome
