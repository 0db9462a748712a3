"""Where base A and the core differ: ranges of ids are halved into many parts until few rows are left to look at."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from integration.core_client import CoreClient
from integration.errors import CoreRefused
from integration.hashes import Hashes, Span, hash_of, hashes_of
from integration.rows import Row
from integration.sources import Source

MOST_PARTS = 1_000
LEAF_ROWS = 64
Kind = Literal["missing", "extra", "differs", "misdigested"]


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


@dataclass
class Comparison:
    """Compares a source with an origin of the core; `rows_read` are those that were looked at one by one."""

    core: CoreClient
    source: Source
    origin: str
    rows_read: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"source": 0, "core": 0})

    def differences(self) -> Iterator[Difference]:
        """All of them, in the order of the ids."""
        order, parts = self._digest(MOST_PARTS)
        hashes = hashes_of(self.source, order)
        self.counts = {"source": hashes.checksum(Span())[0], "core": sum(part.count for part in parts)}
        yield from _Search(self, hashes, order).within(Span(), parts)

    def text(self) -> str:
        """What was compared, for a person."""
        rows = f"{self.counts['source']:,} rows in base A, {self.counts['core']:,} in the core"
        return f"{rows}, {self.rows_read:,} looked at"

    def _digest(self, most: int, first: str | None = None, last: str | None = None) -> tuple[str, list[Part]]:
        """The core's articles from one id to another, both within, and the order of its ids."""
        asked = {"origin": self.origin, "from": first, "to": last, "parts": most}
        body = self.core.read("/articles/digest", {name: value for name, value in asked.items() if value is not None})
        try:
            found = [Part(each["from"], each["to"], each["count"], int(each["checksum"], 16)) for each in body["data"]]
            return body["order"], found
        except (KeyError, TypeError, ValueError) as error:
            raise CoreRefused("The core gave a digest that cannot be read; it is of another release") from error

    def parts(self, most: int, part: Part, order: str) -> list[Part]:
        """A part in smaller ones. Raises CoreRefused where the order of the ids has changed since."""
        now, found = self._digest(most, part.first, part.last)
        if now != order:
            raise CoreRefused("An id of another kind came meanwhile, so that ids are ordered otherwise; begin anew")
        return found


@dataclass(frozen=True)
class _Search:
    comparison: Comparison
    hashes: Hashes
    order: str

    def within(self, span: Span, parts: list[Part]) -> Iterator[Difference]:
        """The differences of a span, of which the core has these parts."""
        if not parts:
            yield from (Difference("missing", row.external_id, row) for row in self._rows(span))
            return
        starts = [span.first, *(self._bound(part.first) for part in parts[1:])]
        for part, first, last in zip(parts, starts, [*starts[1:], span.last], strict=True):
            yield from self._part(Span(first, last), part)

    def _part(self, span: Span, part: Part) -> Iterator[Difference]:
        if self.hashes.checksum(span) == (part.count, part.checksum):
            return
        if part.count <= LEAF_ROWS:
            yield from self._leaf(span, part)
            return
        most = min(MOST_PARTS, -(-part.count // LEAF_ROWS))
        yield from self.within(span, self.comparison.parts(most, part, self.order))

    def _leaf(self, span: Span, part: Part) -> Iterator[Difference]:
        single = [part] if part.count == 1 else self.comparison.parts(MOST_PARTS, part, self.order)
        theirs = {each.first: each.checksum for each in single}
        for row in self._rows(span):
            hashed = theirs.pop(row.external_id, None)
            if hashed is None:
                yield Difference("missing", row.external_id, row)
            elif hashed != hash_of(row):
                yield Difference("differs", row.external_id, row)
        yield from (Difference("extra", external_id) for external_id in theirs)

    def _rows(self, span: Span) -> Iterator[Row]:
        for row in self.hashes.rows(span):
            self.comparison.rows_read += 1
            yield row

    def _bound(self, external_id: str) -> Any:
        return int(external_id) if self.order == "integer" else external_id
