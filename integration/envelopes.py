"""What a message says: a change of an article, in plain JSON, as a CloudEvent or as Debezium writes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson

from integration.mapping import Articles, SourceMapping, Tombstones
from integration.rows import microseconds

UPSERT, DELETE = "upsert", "delete"
PLAIN_OPERATIONS = {UPSERT: UPSERT, DELETE: DELETE}
EVENT_OPERATIONS = {"article.created": UPSERT, "article.updated": UPSERT, "article.deleted": DELETE}
DEBEZIUM_OPERATIONS = {"c": UPSERT, "r": UPSERT, "u": UPSERT, "d": DELETE}
PER_MICROSECOND = {"io.debezium.time.Timestamp": (1_000, 1), "io.debezium.time.NanoTimestamp": (1, 1_000)}
"""Factor and divisor that bring a time to µs; a number without a schema is in µs, Debezium's own default."""

Columns = TypeVar("Columns", Articles, Tombstones)


class Poison(Exception):
    """A message that will not be better when it is read again."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Message:
    """A message as Kafka keeps it."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Change:
    """An operation for the core. What the fields hold is for the core to judge."""

    op: str
    external_id: str
    external_version: Any
    title: Any = None
    content: Any = None

    def operation(self, origin: str) -> dict[str, Any]:
        """It as the core takes it."""
        named = {"origin": origin, "external_id": self.external_id, "external_version": self.external_version}
        if self.op == DELETE:
            return {"op": DELETE, **named}
        return {"op": UPSERT, **named, "title": self.title, "content": self.content}


@dataclass(frozen=True)
class Reader:
    """Reads messages of one origin, of at most so many bytes; `mapping` names the columns of Debezium's rows."""

    origin: str
    mapping: SourceMapping
    longest_bytes: int

    def change(self, message: Message) -> Change | None:
        """The change; None for a tombstone, which only tells Kafka to forget the key. Raises Poison."""
        if message.key is None:
            raise Poison("no_key", "the message has no key, so its place among others of its article is not known")
        if message.value is None:
            return None
        return self._change(_json(message.value, self.longest_bytes), _cloud_event(message.headers))

    def _change(self, body: dict[str, Any], attributes: Mapping[str, str]) -> Change:
        if attributes:
            return self._from_cloud_event({**attributes, "data": body})
        if "specversion" in body:
            return self._from_cloud_event(body)
        payload = body.get("payload") if "schema" in body else body
        if isinstance(payload, dict) and isinstance(payload.get("source"), dict):
            return self._from_debezium(payload, _time_types(body.get("schema")))
        return self._from_plain(body)

    def _from_plain(self, body: dict[str, Any]) -> Change:
        op = _operation(PLAIN_OPERATIONS, body.get("op"))
        self._check_origin(body)
        return _complete(op, body.get("external_id"), body)

    def _from_cloud_event(self, event: dict[str, Any]) -> Change:
        if event.get("specversion") != "1.0":
            raise Poison("wrong_schema", "only version 1.0 of CloudEvents is read")
        op = _operation(EVENT_OPERATIONS, event.get("type"))
        body = event.get("data")
        if not isinstance(body, dict):
            raise Poison("wrong_schema", "the event has no object as its data")
        self._check_origin(body)
        return _complete(op, event.get("subject"), body)

    def _from_debezium(self, payload: dict[str, Any], time_types: Mapping[str, str]) -> Change:
        op = _operation(DEBEZIUM_OPERATIONS, payload.get("op"))
        row = payload.get("before" if op == DELETE else "after")
        if not isinstance(row, dict):
            raise Poison("wrong_schema", "the row is missing")
        tombstones = self.mapping.tombstones
        table = payload["source"].get("table")
        if tombstones is not None and table == tombstones.table:
            return _buried(op, row, self._as_far_as_there(tombstones, row), time_types)
        if table != self.mapping.articles.table:
            raise Poison("wrong_table", f"rows of {str(table)[:200]!r} are not synced")
        return _row(op, row, self._as_far_as_there(self.mapping.articles, row), time_types)

    def _as_far_as_there(self, columns: Columns, row: dict[str, Any]) -> Columns:
        """The columns of a table; by the default mapping it need not have row versions, then times are the versions."""
        if self.mapping.is_given or columns.row_version in row:
            return columns
        return replace(columns, row_version=None)

    def _check_origin(self, body: dict[str, Any]) -> None:
        # Who may write to the topic shall not change articles of another source.
        if body.get("origin", self.origin) != self.origin:
            raise Poison("wrong_origin", f"this topic is for the origin {self.origin!r}")


def _json(value: bytes, longest_bytes: int) -> dict[str, Any]:
    if len(value) > longest_bytes:
        raise Poison("too_large", f"the value has {len(value):,} bytes; at most {longest_bytes:,} are read")
    try:
        body = orjson.loads(value)
    except ValueError as error:
        raise Poison("not_json", "the value is not JSON") from error
    if not isinstance(body, dict):
        raise Poison("wrong_schema", "the value is no JSON object")
    return body


def _cloud_event(headers: tuple[tuple[str, bytes], ...]) -> dict[str, str]:
    """The attributes of an event in binary mode (CloudEvents, Kafka protocol binding, 3.2)."""
    found = {name[3:]: value for name, value in headers if name.startswith("ce_") and value is not None}
    return {name: value.decode(errors="replace") for name, value in found.items()} if "specversion" in found else {}


def _operation(known: Mapping[str, str], name: Any) -> str:
    if not isinstance(name, str) or name not in known:
        raise Poison("unknown_operation", f"{str(name)[:100]!r} is none of {', '.join(known)}")
    return known[name]


def _complete(op: str, external_id: Any, body: dict[str, Any]) -> Change:
    """Of a plain body or an event's data."""
    _require(body, ("external_version",) if op == DELETE else ("external_version", "title", "content"))
    return Change(op, _key(external_id), body["external_version"], body.get("title"), body.get("content"))


def _key(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Poison("wrong_schema", "the article's external id is missing, or neither text nor a whole number")
    return str(value)


def _require(body: Mapping[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in body]
    if missing:
        raise Poison("wrong_schema", f"there is no {', '.join(missing)}")


def _row(op: str, row: dict[str, Any], columns: Articles, time_types: Mapping[str, str]) -> Change:
    if op == DELETE:
        return Change(op, _key(row.get(columns.id)), _version(row, columns.row_version, columns.updated_at, time_types))
    _require(row, (columns.title, columns.content))
    version = _version(row, columns.row_version, columns.updated_at, time_types)
    return Change(op, _key(row.get(columns.id)), version, row[columns.title], row[columns.content])


def _buried(op: str, row: dict[str, Any], columns: Tombstones, time_types: Mapping[str, str]) -> Change:
    """A row of the table of deleted keys; when it goes itself, that says nothing of the article."""
    if op == DELETE:
        raise Poison("unknown_operation", "a row of the deleted keys was deleted; nothing follows from that")
    return Change(DELETE, _key(row.get(columns.id)), _version(row, columns.row_version, columns.deleted_at, time_types))


def _version(row: dict[str, Any], row_version: str | None, time: str, time_types: Mapping[str, str]) -> int:
    """The row's version, else its time in µs. Raises Poison where the row has neither."""
    value = row.get(row_version or time)
    if isinstance(value, int) and not isinstance(value, bool):
        factor, divisor = (1, 1) if row_version else PER_MICROSECOND.get(time_types.get(time, ""), (1, 1))
        return value * factor // divisor
    try:
        # A version that is text would pass for a date.
        return microseconds(None if row_version else value)
    except ValueError as error:
        detail = f"the row has no {row_version or time}; its table may need REPLICA IDENTITY FULL"
        raise Poison("no_version", detail) from error


def _time_types(schema: Any) -> dict[str, str]:
    """The types of the columns of a row by their names, where the message carries Kafka Connect's schema."""
    sides = _fields(schema, lambda each: each.get("field") in ("before", "after"))
    columns = [column for side in sides for column in _fields(side, lambda each: "name" in each)]
    return {str(column.get("field")): str(column["name"]) for column in columns}


def _fields(schema: Any, is_wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    found = schema.get("fields") if isinstance(schema, dict) else None
    return [each for each in found or [] if isinstance(each, dict) and is_wanted(each)]
