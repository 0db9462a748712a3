"""hashes of synced articles, from which digests are made

Revises: 0005
"""

import hashlib
import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
PAGE_ROWS = 1_000
OF_AN_ORIGIN = sa.text("origin IS NOT NULL")
ARTICLES = sa.table(
    "articles",
    *(
        sa.column(name, kind)
        for name, kind in (
            ("id", sa.BigInteger),
            ("title", sa.Text),
            ("content", sa.Text),
            ("external_id", sa.Text),
            ("external_version", sa.BigInteger),
            ("external_number", sa.BigInteger),
            ("row_hash", sa.BigInteger),
        )
    ),
)


def upgrade() -> None:
    op.add_column("articles", sa.Column("external_number", sa.BigInteger()))
    op.add_column("articles", sa.Column("row_hash", sa.BigInteger()))
    _set_collation("C")
    _fill(op.get_bind())
    op.create_index(
        "ix_articles_origin_external_number_row_hash",
        "articles",
        ["origin", "external_number", "row_hash"],
        sqlite_where=OF_AN_ORIGIN,
        postgresql_where=OF_AN_ORIGIN,
    )


def downgrade() -> None:
    op.drop_index("ix_articles_origin_external_number_row_hash", "articles")
    _set_collation("default")
    op.drop_column("articles", "row_hash")
    op.drop_column("articles", "external_number")


def _set_collation(collation: str) -> None:
    # SQLite compares by bytes anyway.
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f'alter table articles alter column external_id type varchar(200) collate "{collation}"')


def _fill(connection: sa.Connection) -> None:
    after = 0
    a = ARTICLES.c
    wanted = sa.select(a.id, a.external_id, a.external_version, a.title, a.content).order_by(a.id).limit(PAGE_ROWS)
    change = (
        sa.update(ARTICLES)
        .where(a.id == sa.bindparam("number"))
        .values(external_number=sa.bindparam("whole"), row_hash=sa.bindparam("hashed"))
    )
    while rows := connection.execute(wanted.where(a.id > after, a.external_id.is_not(None))).all():
        connection.execute(change, [_hashed(*row) for row in rows])
        after = rows[-1][0]


def _hashed(number: int, external_id: str, version: int | None, title: str, content: str) -> dict[str, Any]:
    whole = int(external_id) if re.fullmatch("0|-?[1-9][0-9]{0,18}", external_id) else None
    key, head = external_id.encode(), title.encode()
    text = b"%d:%b%d:%d:%b%b" % (len(key), key, version or 0, len(head), head, content.encode())
    hashed = int.from_bytes(hashlib.sha256(text).digest()[:8], signed=True)
    is_stored = whole is not None and -(2**63) <= whole < 2**63
    return {"number": number, "whole": whole if is_stored else None, "hashed": hashed}
