"""Digests: checksums of synced articles by ranges of their external ids, from hashes that every writer keeps.

An article's hash and, where its external id is a whole number, that number are columns of its row, so that a sum over a
million articles reads an index and no texts. docs/INTEGRATION.md defines both, for who computes them elsewhere.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, exists, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from rest_api.models.article import Article

HASH_BYTES = 8
_HALF = 32
_LOW = (1 << _HALF) - 1
_MODULUS = 1 << 64
_WHOLE_NUMBER = re.compile("0|-?[1-9][0-9]{0,18}")
_LARGEST = 2**63


@dataclass(frozen=True)
class Part:
    """Neighbouring articles: the first and the last external id, how many there are, and the sum of their hashes."""

    first: str
    last: str
    count: int
    checksum: int


@dataclass(frozen=True)
class Range:
    """External ids by one of their orders: the column of that order, and both ends of it, None for an open one."""

    key: InstrumentedAttribute[Any]
    first: Any = None
    last: Any = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """That an article is within; the ends are."""
        if self.first is not None:
            yield self.key >= self.first
        if self.last is not None:
            yield self.key <= self.last


def stamp(article: Article) -> None:
    """Keep what digests are made of in step with an article; every writer calls it after its last change."""
    article.external_number, article.row_hash = marks(
        article.external_id, article.external_version, article.title, article.content
    )


def marks(
    external_id: str | None, external_version: int | None, title: str, content: str
) -> tuple[int | None, int | None]:
    """The number and the hash that go into an article's row; none where it is not from elsewhere."""
    if external_id is None:
        return None, None
    hashed = row_hash(external_id, external_version or 0, title, content)
    return whole_number(external_id), hashed - _MODULUS if hashed >= _LARGEST else hashed


def row_hash(external_id: str, external_version: int, title: str, content: str) -> int:
    """The first 8 bytes of SHA-256 over the article's lengths and texts, as a whole number without sign."""
    key, head = external_id.encode(), title.encode()
    text = b"%d:%b%d:%d:%b%b" % (len(key), key, external_version, len(head), head, content.encode())
    return int.from_bytes(hashlib.sha256(text).digest()[:HASH_BYTES])


def whole_number(external_id: str) -> int | None:
    """The number that an external id writes in its one shortest form, of 64 bits; None for any other text."""
    number = int(external_id) if _WHOLE_NUMBER.fullmatch(external_id) else None
    return number if number is not None and -_LARGEST <= number < _LARGEST else None


def has_texts(session: Session, origin: str) -> bool:
    """Whether any external id of an origin is no whole number: all of its ids are then in the order of their bytes."""
    is_text = (Article.origin == origin) & Article.external_number.is_(None)
    return bool(session.scalar(select(exists().where(is_text))))


def digest(session: Session, origin: str, ids: Range, most: int) -> list[Part]:
    """An origin's articles of a range of ids in at most so many parts of like sizes."""
    part = func.ntile(most).over(order_by=ids.key).label("part")
    numbered = select(ids.key.label("key"), Article.row_hash, part).where(Article.origin == origin, *ids.conditions())
    each = numbered.subquery().c
    # Halves of the hashes are summed, since the sum of whole ones would be more than 64 bits.
    high = func.sum(each.row_hash.bitwise_rshift(literal(_HALF, Integer())))
    low = func.sum(each.row_hash.bitwise_and(_LOW))
    summed = select(func.min(each.key), func.max(each.key), func.count(), high, low)
    return [_part(*row) for row in session.execute(summed.group_by(each.part).order_by(each.part))]


def _part(first: Any, last: Any, count: int, high: Any, low: Any) -> Part:
    return Part(str(first), str(last), count, ((int(high) << _HALF) + int(low)) % _MODULUS)
