"""Cursors: sealed, so that nobody reads or alters them, and bound to who asked what under which rights."""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rest_api.errors import Conflict, Invalid
from rest_api.query.conditions import ColumnType, Query, Shape
from rest_api.query.values import wrong

NONCE_BYTES = 12
KEY_BYTES = 32
PADDED_BYTES = 128
MAX_CURSOR_CHARACTERS = 8_000


@dataclass(frozen=True)
class Binding:
    """Whom and what a cursor belongs to; `pin` names the state of the list that it goes on in."""

    principal_id: int
    policy: str
    shape: Shape
    query: Query
    pin: str = ""

    @property
    def place(self) -> "Place":
        """Where such a cursor opens at all."""
        return Place(self.principal_id, self.shape.name)

    @cached_property
    def asked(self) -> str:
        """What was asked for, as a cursor holds it."""
        return json.dumps([self.query.fingerprint, [kind.value for kind in self.types]])

    @cached_property
    def types(self) -> tuple[ColumnType, ...]:
        """The types of a position's values."""
        return tuple(self.shape.types[part.column] for part in self.query.order)


@dataclass(frozen=True)
class Place:
    """Whose cursors of which list; elsewhere they do not open."""

    principal_id: int
    name: str

    @property
    def authenticated(self) -> bytes:
        """What a cursor is sealed with, but does not hold."""
        return json.dumps([self.principal_id, self.name]).encode()


class CursorSealer:
    """Seals positions with AES-GCM under a key of the installation."""

    def __init__(self, key: bytes) -> None:
        """`key` is the installation's secret, of any length."""
        derived = HKDF(SHA256(), 2 * KEY_BYTES, salt=None, info=b"lakeport cursor").derive(key)
        self._cipher = AESGCM(derived[:KEY_BYTES])
        self._nonce_key = derived[KEY_BYTES:]

    def seal(self, position: tuple[Any, ...], binding: Binding) -> str:
        """The text of a cursor that stands on a row; the same one for the same row, so that ETags hold.

        Raises Invalid where the row's values are too long to go on from.
        """
        written = [_written(value) for value in position]
        content = _padded(json.dumps([binding.asked, binding.policy, binding.pin, *written]).encode())
        authenticated = binding.place.authenticated
        nonce = self._nonce(content, authenticated)
        cursor = _text(nonce + self._cipher.encrypt(nonce, content, authenticated))
        if len(cursor) > MAX_CURSOR_CHARACTERS:
            raise wrong("order", "The values ordered by are too long to go on from; order by other columns")
        return cursor

    def open(self, cursor: str, binding: Binding) -> tuple[Any, ...]:
        """The position in a cursor.

        Raises Invalid for a foreign or altered one, Conflict when the caller's rights have changed since.
        """
        asked, policy, pin, *written = self._content(cursor, binding.place)
        if policy != binding.policy:
            raise Conflict("Your rights have changed since that page; begin again", code="policy_changed")
        if asked != binding.asked or pin != binding.pin:
            raise _foreign()
        return tuple(_read(value, kind) for value, kind in zip(written, binding.types, strict=True))

    def pin(self, cursor: str, place: Place) -> str:
        """The state of the list that a cursor is pinned to. Raises Invalid for a foreign or altered one."""
        return str(self._content(cursor, place)[2])

    def _content(self, cursor: str, place: Place) -> list[Any]:
        try:
            content: list[Any] = json.loads(self._opened(cursor, place.authenticated))
        except (ValueError, InvalidTag) as error:
            raise _foreign() from error
        return content

    def _opened(self, cursor: str, authenticated: bytes) -> bytes:
        if len(cursor) > MAX_CURSOR_CHARACTERS:
            raise ValueError("too long")
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        # The last character has spare bits and the decoder skips strangers: one cursor, one spelling.
        if _text(raw) != cursor:
            raise ValueError("another spelling")
        return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], authenticated)

    def _nonce(self, content: bytes, authenticated: bytes) -> bytes:
        # A nonce repeats only where key, content and place do, and then nothing new is said under it.
        bound = len(authenticated).to_bytes(8) + authenticated + content
        return hashlib.blake2b(bound, key=self._nonce_key, digest_size=NONCE_BYTES).digest()


def _padded(content: bytes) -> bytes:
    """The content, with room for every place in a list: the length of a cursor tells nothing of hidden rows."""
    return content.ljust(-(-len(content) // PADDED_BYTES) * PADDED_BYTES)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _foreign() -> Invalid:
    return wrong("cursor", "The cursor is not one of this list and query")


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _read(value: Any, kind: ColumnType) -> Any:
    if value is None:
        return None
    if kind is ColumnType.TIMESTAMP:
        return datetime.fromisoformat(value)
    return Decimal(str(value)) if kind is ColumnType.NUMBER else value
