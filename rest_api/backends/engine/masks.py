"""Stored values as callers see them, clear or masked, as SQL expressions."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from rest_api.lake.columns import LakeColumn
from rest_api.query.conditions import ColumnType

Expression = exp.Expr
Bind = Callable[[Any, str], Expression]
BLOCK_BYTES = 64
HASH_DIGITS = 16
LAST = 4
SHORTEST_LAST4 = 8
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True)
class MaskKey:
    """The two pads of HMAC-SHA-256 (RFC 2104) under the installation's key."""

    inner: bytes
    outer: bytes

    @classmethod
    def of(cls, secret: bytes) -> "MaskKey":
        """The pads of a secret of any length."""
        key = hashlib.sha256(secret).digest() if len(secret) > BLOCK_BYTES else secret
        padded = key.ljust(BLOCK_BYTES, b"\x00")
        return cls(bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded))


def clear(value: Expression, stored: str) -> Expression:
    """A stored value as its type on the wire: dates as midnights, bytes as base64, nested ones as JSON."""
    value = value.copy()
    if stored.startswith("date"):
        # A date beyond all times is null: an error would tell of rows that the caller does not see.
        return exp.TryCast(this=value, to=exp.DataType.build("TIMESTAMP", dialect="duckdb"))
    if "binary" in stored:
        return exp.Anonymous(this="to_base64", expressions=[value])
    kind = LakeColumn("", stored).type
    if kind is ColumnType.JSON:
        return exp.cast(exp.Anonymous(this="to_json", expressions=[value]), "VARCHAR", dialect="duckdb")
    is_text = stored in ("string", "large_string", "string_view")
    return exp.cast(value, "VARCHAR", dialect="duckdb") if kind is ColumnType.TEXT and not is_text else value


def masked(value: Expression, stored: str, mask: str, key: MaskKey, bind: Bind) -> Expression:
    """A clear value under a mask; null stays null."""
    if mask == "null":
        return exp.Case().when(exp.false(), value)
    if mask == "year":
        return exp.cast(exp.Anonymous(this="year", expressions=[value]), "BIGINT", dialect="duckdb")
    return _last4(spoken(value, stored)) if mask == "last4" else _hashed(spoken(value, stored), key, bind)


def spoken(value: Expression, stored: str) -> Expression:
    """A clear value as text: times in RFC 3339, everything else as it is written in SQL."""
    kind = LakeColumn("", stored).type
    if kind in (ColumnType.TEXT, ColumnType.JSON):
        return value
    if kind is ColumnType.TIMESTAMP:
        return exp.Anonymous(this="strftime", expressions=[value, exp.Literal.string(TIME_FORMAT)])
    return exp.cast(value, "VARCHAR", dialect="duckdb")


def _last4(text: Expression) -> Expression:
    is_long = exp.GTE(
        this=exp.Anonymous(this="length", expressions=[text]), expression=exp.Literal.number(SHORTEST_LAST4)
    )
    return exp.Case().when(is_long, exp.Anonymous(this="right", expressions=[text.copy(), exp.Literal.number(LAST)]))


def _hashed(text: Expression, key: MaskKey, bind: Bind) -> Expression:
    def sha256(pad: bytes, message: Expression) -> Expression:
        return exp.Anonymous(
            this="sha256", expressions=[exp.DPipe(this=bind(pad, "binary"), expression=message, safe=True)]
        )

    inner = sha256(key.inner, exp.Anonymous(this="encode", expressions=[text]))
    outer = sha256(key.outer, exp.Anonymous(this="unhex", expressions=[inner]))
    return exp.Anonymous(this="substr", expressions=[outer, exp.Literal.number(1), exp.Literal.number(HASH_DIGITS)])
