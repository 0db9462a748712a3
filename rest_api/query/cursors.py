"""Cursors: sealed, so that nobody reads or alters them, and bound to who asked what under which rights."""

import base64
import binascii
import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rest_api.errors import Conflict, FieldError, Invalid
from rest_api.query.conditions import ColumnType, Query, Shape

NONCE_BYTES = 12
MAX_CURSOR_CHARACTERS = 50_000


@dataclass(frozen=True)
class Binding:
    """Whom and what a cursor belongs to."""

    principal_id: int
    policy: str
    shape: Shape
    query: Query

    def authenticated(self) -> bytes:
        """What is authenticated with the cursor, but not in it: a foreign cursor does not open."""
        return f"{self.principal_id}\x00{self.shape.name}\x00{self.query.fingerprint}".encode()


class CursorSealer:
    """Seals positions with AES-GCM under a key of the installation."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(hashlib.sha256(b"lakeport cursor\x00" + key).digest())

    def seal(self, position: tuple[Any, ...], binding: Binding) -> str:
        """The text of a cursor that stands on a row."""
        content = json.dumps([binding.policy, *(_written(value) for value in position)])
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, content.encode(), binding.authenticated())
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def open(self, cursor: str, binding: Binding) -> tuple[Any, ...]:
        """The position in a cursor.

        Raises Invalid for a foreign or altered one, Conflict when the caller's rights have changed since.
        """
        policy, *written = self._content(cursor, binding)
        if policy != binding.policy:
            raise Conflict("Your rights have changed since this page; begin again", code="policy_changed")
        types = [binding.shape.column(order.column).type for order in binding.query.order]
        return tuple(_read(value, kind) for value, kind in zip(written, types, strict=True))

    def _content(self, cursor: str, binding: Binding) -> list[Any]:
        try:
            if len(cursor) > MAX_CURSOR_CHARACTERS:
                raise ValueError("too long")
            raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True)
            opened = self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], binding.authenticated())
        except (ValueError, binascii.Error, InvalidTag) as error:
            detail = "The cursor is not one of this list and query"
            raise Invalid(detail, errors=[FieldError("cursor", detail)]) from error
        content: list[Any] = json.loads(opened)
        return content


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _read(value: Any, kind: ColumnType) -> Any:
    if value is not None and kind is ColumnType.TIMESTAMP:
        return datetime.fromisoformat(value)
    return Decimal(str(value)) if value is not None and kind is ColumnType.NUMBER else value
