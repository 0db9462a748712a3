"""What the audit trail keeps of a call, without its secrets, and the HMAC that links it to the entry before it."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

BODY_BYTES = 65_536
REDACTED = "[redacted]"
# Also as they are misspelt or written in other APIs: what is refused is recorded too.
_SECRET_NAME = re.compile(r"(?i)pass|pas+w|pwd|secret|token|credential|api.?key|authori[sz]ation|^(old|new)$")


class AuditEntry(NamedTuple):
    """One call: who, when, what, from where, with which answer."""

    at: datetime
    user_id: int | None
    username: str | None
    address: str
    method: str
    path: str
    query: str
    body: str | None
    body_bytes: int
    body_sha256: str | None
    status: int
    dataset: str | None
    columns: list[str] | None
    rows: int | None
    duration_ms: float
    request_id: str


@dataclass(frozen=True)
class Body:
    """What the trail keeps of a body: its text without secrets, or where that cannot be had its size alone."""

    text: str | None
    size_bytes: int
    sha256: str | None


NO_BODY = Body(None, 0, None)
_content = attrgetter(*AuditEntry._fields)


def begun_mac(key: bytes) -> hmac.HMAC:
    """The HMAC-SHA256 of all entries up to where they differ: a copy of it costs half of what a new one does."""
    return hmac.new(key, b"entry\x00", "sha256")


def link(begun: hmac.HMAC, chain: str, sequence: int, previous: str, entry: Any) -> str:
    """The HMAC-SHA256 of an entry (or a stored record) in its place: hexadecimal, 64 characters."""
    content = [chain, sequence, previous, *_content(entry)]
    mac = begun.copy()
    mac.update(orjson.dumps(content, option=orjson.OPT_UTC_Z))
    return mac.hexdigest()


def redact(body: bytes, media_type: str, also: frozenset[str] = frozenset()) -> Body:
    """What to keep of a body. Small JSON is kept with its secrets struck out; a large body is kept as its SHA-256.

    Of a small body that cannot be read only the size is kept: it may be a password, and a hash of one is guessed.
    `also` are members that are secrets in this body besides those named so.
    """
    if not body:
        return NO_BODY
    if len(body) > BODY_BYTES:
        return Body(None, len(body), hashlib.sha256(body).hexdigest())
    return Body(_readable(body, also) if media_type == "application/json" else None, len(body), None)


def redact_query(query: str) -> str:
    """A URL's parameters, with the values of those that are named like secrets struck out."""
    if not query:
        return query
    if not _SECRET_NAME.search(unquote(query)):
        return printable(query)
    return printable("&".join(map(_redacted_pair, query.split("&"))))


def _redacted_pair(pair: str) -> str:
    name, sign, _ = pair.partition("=")
    return f"{name}={REDACTED}" if sign and is_secret(unquote(name)) else pair


def is_secret(name: str, also: frozenset[str] = frozenset()) -> bool:
    """Whether what stands under a name may be a secret."""
    return name in also or _SECRET_NAME.search(name) is not None


def printable(text: str) -> str:
    """The text as any database stores it: without NUL and without halves of surrogate pairs."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def _readable(body: bytes, also: frozenset[str]) -> str | None:
    try:
        value = orjson.loads(body)
        return orjson.dumps(_without_secrets(value, also)).decode() if isinstance(value, dict | list) else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return None


def _without_secrets(value: Any, also: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {
            name: REDACTED if is_secret(name, also) else _without_secrets(each, also) for name, each in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(each, also) for each in value]
    return value
