"""Articles, and the tombstones of those that came from elsewhere."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from rest_api.models.base import INTERNAL, Base, BigId, UtcDateTime

BYTEWISE = String(200).with_variant(String(200, collation="C"), "postgresql")
"""A text that is ordered by its bytes, as SQLite does anyway."""


class Article(Base):
    """An article; `version` counts its changes here, `external_version` is its version at the origin."""

    __tablename__ = "articles"
    __table_args__ = (
        UniqueConstraint("origin", "external_id"),
        Index(
            "ix_articles_origin_external_number_row_hash",
            "origin",
            "external_number",
            "row_hash",
            sqlite_where=text("origin IS NOT NULL"),
            postgresql_where=text("origin IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    title: Mapped[str] = mapped_column(String(200))
    content: Mapped[str] = mapped_column(Text)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    origin: Mapped[str | None] = mapped_column(String(64))
    external_id: Mapped[str | None] = mapped_column(BYTEWISE)
    external_version: Mapped[int | None] = mapped_column(BigInteger)
    external_number: Mapped[int | None] = mapped_column(BigInteger, info=INTERNAL)
    """The number that `external_id` is, where it is one."""
    row_hash: Mapped[int | None] = mapped_column(BigInteger, info=INTERNAL)
    """What digests sum up; null where nothing was synced."""
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class ArticleTombstone(Base):
    """What a delete leaves of an article from elsewhere, so that an older change does not bring it back."""

    __tablename__ = "article_tombstones"

    origin: Mapped[str] = mapped_column(String(64), primary_key=True)
    external_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    external_version: Mapped[int] = mapped_column(BigInteger)
    deleted_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
