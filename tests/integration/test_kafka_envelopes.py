"""Envelopes: plain JSON, CloudEvents and what a real Debezium on PostgreSQL wrote all say the same to the core."""

import json
from pathlib import Path
from typing import Any

import pytest

from integration.envelopes import Change, Message, Poison, Reader
from integration.mapping import Articles, SourceMapping, Tombstones

DEBEZIUM = Path(__file__).parent / "debezium"
SEEN = 1795399141807452
CUSTOMERS = SourceMapping(
    Articles("customer", title="name", content="amount", updated_at="seen", row_version=None), tombstones=None
)
READER = Reader("base_a", SourceMapping(), 4 << 20)


def message(body: Any, *headers: tuple[str, bytes], key: bytes | None = b"7") -> Message:
    value = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(key, value, headers)


def debezium(name: str) -> Message:
    """A message as Debezium sent it."""
    kept = json.loads((DEBEZIUM / f"envelope_{name}.json").read_text())
    value = None if kept["value"] is None else json.dumps(kept["value"]).encode()
    headers = tuple((header, text.encode()) for header, text in kept["headers"])
    return Message(json.dumps(kept["key"]).encode(), value, headers)


def poison(found: Message, reader: Reader = READER) -> str:
    with pytest.raises(Poison) as caught:
        reader.change(found)
    return caught.value.code


PLAIN = {"op": "upsert", "external_id": "7", "external_version": 3, "title": "Lakes", "content": "text"}
UPSERT = Change("upsert", "7", 3, "Lakes", "text")
EVENT = {"specversion": "1.0", "id": "e1", "source": "/base_a", "type": "article.updated", "subject": "7"}
CONTENT = {"external_version": 3, "title": "Lakes", "content": "text"}


@pytest.mark.parametrize(
    "found",
    [
        message(PLAIN),
        message({**PLAIN, "origin": "base_a", "unknown": 1}),
        message({**PLAIN, "external_id": 7}),
        message({**EVENT, "data": CONTENT}),
        message({**EVENT, "type": "article.created", "data": CONTENT}),
        message(CONTENT, *((f"ce_{name}", value.encode()) for name, value in EVENT.items())),
    ],
    ids=["plain", "plain with more", "whole number", "structured event", "created", "binary event"],
)
def test_an_upsert_is_read_from_each_envelope(found: Message) -> None:
    assert READER.change(found) == UPSERT


@pytest.mark.parametrize(
    "found",
    [
        message({"op": "delete", "external_id": "7", "external_version": 4}),
        message({**EVENT, "type": "article.deleted", "data": {"external_version": 4}}),
    ],
)
def test_a_delete_needs_no_more_than_key_and_version(found: Message) -> None:
    assert READER.change(found) == Change("delete", "7", 4)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("r_snapshot", Change("upsert", "1", 1714972089000000, "Ann", "12.50")),
        ("c_insert", Change("upsert", "2", SEEN, "Bée", "7.00")),
        ("u_update", Change("upsert", "2", SEEN, "Bea", "8.25")),
        ("d_delete", Change("delete", "2", SEEN)),
        ("tombstone", None),
    ],
)
def test_envelopes_of_a_real_debezium_are_read(name: str, change: Change | None) -> None:
    assert Reader("base_a", CUSTOMERS, 4 << 20).change(debezium(name)) == change


def row(op: str, table: str = "articles", schema: Any = None, **sides: Any) -> Message:
    """A message of Debezium's form."""
    payload = {"op": op, "source": {"table": table}, **sides}
    return message(payload if schema is None else {"schema": schema, "payload": payload})


def test_a_row_of_the_deleted_keys_deletes_the_article() -> None:
    assert READER.change(row("c", "article_tombstones", after={"id": 7, "row_version": 9})) == Change("delete", "7", 9)


def test_a_table_without_row_versions_has_times_for_versions() -> None:
    at, version = "2026-11-23T01:59:01.807452Z", 1_795_399_141_807_452
    upserted = row("u", after={"id": 7, "title": "T", "content": "c", "updated_at": at})
    assert READER.change(upserted) == Change("upsert", "7", version, "T", "c")
    buried = row("c", "article_tombstones", after={"id": 7, "deleted_at": at})
    assert READER.change(buried) == Change("delete", "7", version)


def test_times_are_brought_to_microseconds_by_the_schema_of_the_message() -> None:
    mapping = SourceMapping(Articles(row_version=None), Tombstones(row_version=None))
    reader = Reader("base_a", mapping, 4 << 20)
    columns = [{"field": "updated_at", "type": "int64", "name": "io.debezium.time.Timestamp"}]
    schema = {"fields": [{"field": "after", "fields": columns}]}
    after = {"id": 7, "title": "a", "content": "b", "updated_at": 1_700_000_000_000}
    found = reader.change(row("u", after=after, schema=schema))
    assert found is not None
    assert found.external_version == 1_700_000_000_000_000
    found = reader.change(row("u", after={**after, "updated_at": 1_700_000_000_000_001}))
    assert found is not None
    assert found.external_version == 1_700_000_000_000_001


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (message(b"{"), "not_json"),
        (message(b'{"title": "\xff"}'), "not_json"),
        (message(b"[" * 100_000), "not_json"),
        (message(b""), "not_json"),
        (message([PLAIN]), "wrong_schema"),
        (message({}), "unknown_operation"),
        (message({**PLAIN, "op": "truncate"}), "unknown_operation"),
        (message({**PLAIN, "op": ["upsert"]}), "unknown_operation"),
        (message({"op": "upsert", "external_id": "7", "external_version": 1}), "wrong_schema"),
        (message({**PLAIN, "external_id": None}), "wrong_schema"),
        (message({**PLAIN, "external_id": True}), "wrong_schema"),
        (message({**PLAIN, "origin": "other"}), "wrong_origin"),
        (message({**EVENT, "data": {**CONTENT, "origin": "other"}}), "wrong_origin"),
        (message({**EVENT, "specversion": "0.3", "data": CONTENT}), "wrong_schema"),
        (message({**EVENT, "type": "com.example.other", "data": CONTENT}), "unknown_operation"),
        (message({**EVENT, "data": "text"}), "wrong_schema"),
        (message(PLAIN, key=None), "no_key"),
        (message({**PLAIN, "content": "x" * (5 << 20)}), "too_large"),
        (row("t"), "unknown_operation"),
        (row("c", after=None), "wrong_schema"),
        (row("c", table="users", after={"id": 7}), "wrong_table"),
        (row("d", before={"id": 7}), "no_version"),
        (row("d", before={"id": 7, "row_version": "20240101"}), "no_version"),
        (row("c", after={"id": 7, "row_version": 1}), "wrong_schema"),
        (row("d", "article_tombstones", before={"id": 7, "row_version": 1}), "unknown_operation"),
    ],
)
def test_poison_is_told_by_its_code(found: Message, code: str) -> None:
    assert poison(found) == code
