"""The core's own table of articles, read directly: a second opinion that does not believe the core's digests."""

from collections.abc import Iterator

from sqlalchemy import Connection, column, select, table

from integration.comparison import Difference
from integration.databases import connect
from integration.hashes import MemoryHashes, Span, hash_of
from integration.rows import MODULUS, row_hash
from integration.sources import FETCHED_ROWS, Source

ARTICLES = table(
    "articles", *map(column, ("origin", "external_id", "external_version", "title", "content", "row_hash"))
)


def table_differences(source: Source, url: str, origin: str) -> Iterator[Difference]:
    """Where base A and the table differ, and ids whose stored hash is not that of their texts (`misdigested`).

    Raises Misconfigured, SourceAway.
    """
    with connect(url, "The core's database") as connection:
        theirs, misdigested = _hashes(connection, origin)
    yield from (Difference("misdigested", external_id) for external_id in misdigested)
    for row in MemoryHashes(source, "bytes").rows(Span()):
        hashed = theirs.pop(row.external_id, None)
        if hashed is None:
            yield Difference("missing", row.external_id, row)
        elif hashed != hash_of(row):
            yield Difference("differs", row.external_id, row)
    yield from (Difference("extra", external_id) for external_id in theirs)


def _hashes(connection: Connection, origin: str) -> tuple[dict[str, int], list[str]]:
    """The true hash of each id, and the ids that the core stored another one for."""
    c = ARTICLES.c
    wanted = select(c.external_id, c.external_version, c.title, c.content, c.row_hash).where(c.origin == origin)
    hashes: dict[str, int] = {}
    misdigested = []
    for external_id, version, title, content, stored in connection.execute(
        wanted, execution_options={"yield_per": FETCHED_ROWS}
    ):
        hashes[external_id] = row_hash(external_id, version or 0, title, content)
        if stored is None or stored % MODULUS != hashes[external_id]:
            misdigested.append(external_id)
    return hashes, misdigested
