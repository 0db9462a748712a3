"""The audit trail: entries in chains, and the checkpoints that retention leaves."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Double, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from rest_api.models.base import Base, BigId, UtcDateTime


class AuditRecord(Base):
    """One recorded call, linked to the one before it in its chain by `hmac`."""

    __tablename__ = "audit_records"
    __table_args__ = (
        UniqueConstraint("chain", "sequence"),
        # Who read a dataset is listed by number; calls that read none stay out of it, so that they cost nothing here.
        Index(
            "ix_audit_records_dataset_id",
            "dataset",
            "id",
            sqlite_where=text("dataset IS NOT NULL"),
            postgresql_where=text("dataset IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    user_id: Mapped[int | None] = mapped_column(Integer)
    username: Mapped[str | None] = mapped_column(String(64), index=True)
    address: Mapped[str] = mapped_column(String(64))
    method: Mapped[str] = mapped_column(String(8))
    path: Mapped[str] = mapped_column(Text)
    query: Mapped[str] = mapped_column(Text)
    body: Mapped[str | None] = mapped_column(Text)
    body_bytes: Mapped[int] = mapped_column(BigInteger)
    body_sha256: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(Integer)
    dataset: Mapped[str | None] = mapped_column(String(300))
    columns: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    rows: Mapped[int | None] = mapped_column(BigInteger)
    duration_ms: Mapped[float] = mapped_column(Double)
    request_id: Mapped[str] = mapped_column(String(64))
    chain: Mapped[str] = mapped_column(String(32))
    sequence: Mapped[int] = mapped_column(BigInteger)
    hmac: Mapped[str] = mapped_column(String(64))


class AuditCheckpoint(Base):
    """Where the kept part of a chain begins: `hmac` is that of the last entry deleted, `seal` proves who deleted it."""

    __tablename__ = "audit_checkpoints"

    chain: Mapped[str] = mapped_column(String(32), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    hmac: Mapped[str] = mapped_column(String(64))
    seal: Mapped[str] = mapped_column(String(64))
