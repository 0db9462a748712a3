"""Where base A and the core differ: ranges of ids are cut into many parts until few rows are left to look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from integration.core_client import CoreClient
from integration.errors import CoreRefused
from integration.hashes import Hashes, Span, has_whole_keys, hash_of, hashes_of
from integration.pools import hurried_pool
from integration.rows import Row
from integration.sources import Source

MOST_PARTS = 1_000
MOST_RANGES = 1_000
MOST_PARTS_IN_ALL = 20_000
"""Of one call; the core answers no more."""
LEAF_ROWS = 64
Kind = Literal["missing", "extra", "differs", "misdigested"]
Range = tuple[str | None, str | None]
"""Ids from one to another, both within; None for an open end."""


@dataclass(frozen=True)
class Difference:
    """An id that is missing in the core, extra there, or differs; `row` is base A's, where it has one."""

    kind: Kind
    external_id: str
    row: Row | None = None


@dataclass(frozen=True)
class Part:
    """Articles of the core: its first and last id, how many, and the sum of their hashes."""

    first: str
    last: str
    count: int
    checksum: int


@dataclass(frozen=True)
class Piece:
    """A span of base A's keys, and what the core has within."""

    span: Span
    part: Part


@dataclass
class Comparison:
    """Compares a source with an origin of the core; `rows_read` are those that were looked at one by one."""

    core: CoreClient
    source: Source
    origin: str
    rows_read: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"source": 0, "core": 0})

    def differences(self) -> Iterator[Difference]:
        """All of them, in the order in which they are found."""
        order, parts, hashes = self._beginning()
        self.counts = {"source": hashes.checksums([Span()])[0][0], "core": sum(part.count for part in parts)}
        yield from _Search(self, hashes, order).beneath(parts)

    def text(self) -> str:
        """What was compared, for a person."""
        rows = f"{self.counts['source']:,} rows in base A, {self.counts['core']:,} in the core"
        return f"{rows}, {self.rows_read:,} looked at"

    def _beginning(self) -> tuple[str, list[Part], Hashes]:
        """The order of the ids, the core's articles in parts, and base A's; both are summed at the same time."""
        with hurried_pool(1) as beside:
            asked = beside.submit(self._digests, [(None, None)], MOST_PARTS)
            likely = hashes_of(self.source, "integer") if has_whole_keys(self.source) else None
            order, (parts,) = asked.result()
        if likely is None or order != "integer":
            return order, parts, hashes_of(self.source, order)
        return order, parts, likely

    def _digests(self, ranges: Sequence[Range], most: int) -> tuple[str, list[list[Part]]]:
        """The order of the core's ids, and its articles of each range in at most so many parts."""
        named = [{"from": first, "to": last} for first, last in ranges]
        asked = [{name: text for name, text in each.items() if text is not None} for each in named]
        body = self.core.ask("/articles/digest", {"origin": self.origin, "ranges": asked, "parts": most})
        try:
            return body["order"], [[_part(part) for part in each["parts"]] for each in body["data"]]
        except (KeyError, TypeError, ValueError) as error:
            raise CoreRefused("The core gave a digest that cannot be read; it is of another release") from error

    def parts(self, wholes: Sequence[Part], most: int, order: str) -> Iterator[list[Part]]:
        """Parts in smaller ones. Raises CoreRefused where the order of the ids has changed since."""
        at_once = min(MOST_RANGES, MOST_PARTS_IN_ALL // most)
        for start in range(0, len(wholes), at_once):
            ranges = [(part.first, part.last) for part in wholes[start : start + at_once]]
            now, found = self._digests(ranges, most)
            if now != order or len(found) != len(ranges):
                raise CoreRefused("An id of another kind came meanwhile, so that ids are ordered otherwise; begin anew")
            yield from found


def _part(told: Any) -> Part:
    return Part(told["from"], told["to"], told["count"], int(told["checksum"], 16))


@dataclass(frozen=True)
class _Search:
    comparison: Comparison
    hashes: Hashes
    order: str

    def beneath(self, parts: list[Part]) -> Iterator[Difference]:
        """The differences of everything, of which the core has these parts."""
        if not parts:
            yield from self._missing(Span())
            return
        level = self._differing(self._pieces(Span(), parts))
        while level:
            yield from self._leaves([piece for piece in level if piece.part.count <= LEAF_ROWS])
            level = self._smaller([piece for piece in level if piece.part.count > LEAF_ROWS])

    def _pieces(self, span: Span, parts: Sequence[Part]) -> list[Piece]:
        """The span in pieces, each from the first id of a part to that of the next."""
        starts = [span.first, *(self._bound(part.first) for part in parts[1:])]
        ends = [*starts[1:], span.last]
        return [Piece(Span(first, last), part) for part, first, last in zip(parts, starts, ends, strict=True)]

    def _differing(self, pieces: Sequence[Piece]) -> list[Piece]:
        ours = self.hashes.checksums([piece.span for piece in pieces])
        return [
            piece for piece, found in zip(pieces, ours, strict=True) if found != (piece.part.count, piece.part.checksum)
        ]

    def _smaller(self, pieces: Sequence[Piece]) -> list[Piece]:
        if not pieces:
            return []
        most = min(MOST_PARTS, -(-max(piece.part.count for piece in pieces) // LEAF_ROWS))
        found = self.comparison.parts([piece.part for piece in pieces], most, self.order)
        return self._differing(
            [small for piece, parts in zip(pieces, found, strict=True) for small in self._within(piece, parts)]
        )

    def _within(self, piece: Piece, parts: Sequence[Part]) -> list[Piece]:
        # What was all deleted meanwhile is looked at as one empty part.
        return self._pieces(piece.span, parts or [Part(piece.part.first, piece.part.last, 0, 0)])

    def _leaves(self, pieces: Sequence[Piece]) -> Iterator[Difference]:
        several = [piece for piece in pieces if piece.part.count > 1]
        found = self.comparison.parts([piece.part for piece in several], LEAF_ROWS, self.order)
        for piece in pieces:
            yield from self._leaf(piece.span, next(found) if piece.part.count > 1 else [piece.part])

    def _leaf(self, span: Span, single: Sequence[Part]) -> Iterator[Difference]:
        theirs = {each.first: each.checksum for each in single if each.count}
        for row in self._rows(span):
            hashed = theirs.pop(row.external_id, None)
            if hashed is None:
                yield Difference("missing", row.external_id, row)
            elif hashed != hash_of(row):
                yield Difference("differs", row.external_id, row)
        yield from (Difference("extra", external_id) for external_id in theirs)

    def _missing(self, span: Span) -> Iterator[Difference]:
        return (Difference("missing", row.external_id, row) for row in self._rows(span))

    def _rows(self, span: Span) -> Iterator[Row]:
        for row in self.hashes.rows(span):
            self.comparison.rows_read += 1
            yield row

    def _bound(self, external_id: str) -> Any:
        return int(external_id) if self.order == "integer" else external_id
