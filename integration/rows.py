"""What moves: a row of base A or the news that one is gone, its version, and its hash."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MODULUS = 1 << 64
TEXTS = (str, bytes)


@dataclass(frozen=True)
class Position:
    """A place in the order of a stream: the raw time and the raw key, just as the driver gave them.

    Without a key it lies before all rows of that time.
    """

    at: Any
    key: Any


@dataclass(frozen=True)
class Row:
    """A row as it is read; `title` and `content` are None where it is gone. A repair applies whatever the version."""

    position: Position
    external_version: int | None
    title: Any = None
    content: Any = None
    is_gone: bool = False
    is_repair: bool = False

    @property
    def external_id(self) -> str:
        """The key as the core knows it."""
        return str(self.position.key)

    @property
    def characters(self) -> int:
        """How long it is, about."""
        return sum(len(text) for text in (self.title, self.content) if isinstance(text, TEXTS))

    def operation(self, origin: str) -> dict[str, Any]:
        """The change that makes the core's article like it."""
        named = {"origin": origin, "external_id": self.external_id, "external_version": self.external_version}
        if self.is_gone:
            return {"op": "delete", **named}
        repair = {"repair": True} if self.is_repair else {}
        return {"op": "upsert", **named, "title": self.title, "content": self.content, **repair}


def shown(external_id: str) -> str:
    """A key as it may be written down: half characters, as broken texts of SQLite have them, are spelled out."""
    return external_id.encode("utf-8", "backslashreplace").decode()


def row_hash(external_id: str, external_version: int, title: str, content: str) -> int:
    """The first 8 bytes of SHA-256 over the row, as a whole number; docs/INTEGRATION.md has the definition."""
    return bytes_hash(external_id.encode(), external_version, title.encode(), content.encode())


def bytes_hash(external_id: bytes, external_version: int, title: bytes, content: bytes) -> int:
    """The same of texts in UTF-8."""
    text = b"%d:%b%d:%d:%b%b" % (len(external_id), external_id, external_version, len(title), title, content)
    return int.from_bytes(hashlib.sha256(text).digest()[:8])


def microseconds(at: Any) -> int:
    """A time as µs since 1970, naive ones taken for UTC. Raises ValueError for what is no time."""
    moment = parsed(at)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // MICROSECOND


def parsed(at: Any) -> datetime:
    """A raw time as a datetime. Raises ValueError."""
    if isinstance(at, datetime):
        return at
    if isinstance(at, str):
        return datetime.fromisoformat(at)
    raise ValueError(f"{type(at).__name__} is no time")


def earlier(at: Any, span: timedelta) -> Any:
    """A raw time at least a span before, in its raw form: texts are cut to seconds, so that they sort first."""
    moment = parsed(at) - span
    if isinstance(at, str):
        return moment.replace(tzinfo=None).isoformat(sep=at[10:11] or " ", timespec="seconds")
    return moment
