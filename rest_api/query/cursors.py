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
MAX_CURSOR_CHARACTERS = 8_000


@dataclass(frozen=True)
class Binding:
    """Whom and what a cursor belongs to."""

    principal_id: int
    policy: str
    shape: Shape
    query: Query

    @cached_property
    def authenticated(self) -> bytes:
        """What a cursor is sealed with, but does not hold: elsewhere it does not open."""
        types = [kind.value for kind in self.types]
        return json.dumps([self.principal_id, self.shape.name, self.query.fingerprint, types]).encode()

    @cached_property
    def types(self) -> tuple[ColumnType, ...]:
        """The types of a position's values."""
        return tuple(self.shape.column(part.column).type for part in self.query.order)


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
        content = json.dumps([binding.policy, *(_written(value) for value in position)]).encode()
        nonce = self._nonce(content, binding)
        cursor = _text(nonce + self._cipher.encrypt(nonce, content, binding.authenticated))
        if len(cursor) > MAX_CURSOR_CHARACTERS:
            raise wrong("order", "The values ordered by are too long to go on from; order by other columns")
        return cursor

    def open(self, cursor: str, binding: Binding) -> tuple[Any, ...]:
        """The position in a cursor.

        Raises Invalid for a foreign or altered one, Conflict when the caller's rights have changed since.
        """
        try:
            policy, *written = json.loads(self._opened(cursor, binding))
            position = tuple(_read(value, kind) for value, kind in zip(written, binding.types, strict=True))
        except (ValueError, InvalidTag) as error:
            raise _foreign() from error
        if policy != binding.policy:
            raise Conflict("Your rights have changed since that page; begin again", code="policy_changed")
        return position

    def _opened(self, cursor: str, binding: Binding) -> bytes:
        if len(cursor) > MAX_CURSOR_CHARACTERS:
            raise ValueError("too long")
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        # The last character has spare bits and the decoder skips strangers: one cursor, one spelling.
        if _text(raw) != cursor:
            raise ValueError("another spelling")
        return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], binding.authenticated)

    def _nonce(self, content: bytes, binding: Binding) -> bytes:
        # A nonce repeats only where key, content and binding do, and then nothing new is said under it.
        bound = len(binding.authenticated).to_bytes(8) + binding.authenticated + content
        return hashlib.blake2b(bound, key=self._nonce_key, digest_size=NONCE_BYTES).digest()


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
