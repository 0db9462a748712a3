"""Replays: transactions taken out of the lake and sent through the pipeline again, and what became of each."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from rest_api.models.base import Base, UtcDateTime

MATCHED, PENDING, MISSING, DIVERGED, DEAD_LETTERED = VERDICTS = (
    "matched",
    "pending",
    "missing",
    "diverged",
    "dead_lettered",
)


class Replay(Base):
    """One replay: what was asked for, and of which dataset."""

    __tablename__ = "replays"
    __table_args__ = (Index("ix_replays_owner_id_created_at", "owner_id", "created_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    job_id: Mapped[int] = mapped_column(BigInteger)
    """Its job, which is not kept as long."""
    dataset: Mapped[str] = mapped_column(String(300))
    identity: Mapped[str] = mapped_column(String(400))
    """Which dataset of that name."""
    transaction_id: Mapped[str | None] = mapped_column(Text)
    """The one transaction; null where many are replayed."""
    where: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    """Which are, in the grammar's JSON form; null for all."""
    corrections: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    total: Mapped[int] = mapped_column(BigInteger)
    """How many transactions there were to be sent."""
    call: Mapped[str | None] = mapped_column(String(64), unique=True)
    """The call that asked for it under an `Idempotency-Key`."""
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """When nothing was left to be found out."""


class ReplayEvent(Base):
    """One transaction of a replay: it is sent once, however often the job begins again."""

    __tablename__ = "replay_events"
    __table_args__ = (
        CheckConstraint(f"verdict in {VERDICTS}", name="verdict"),
        Index("ix_replay_events_replay_id_verdict_transaction_id", "replay_id", "verdict", "transaction_id"),
    )

    replay_id: Mapped[str] = mapped_column(ForeignKey("replays.id"), primary_key=True)
    transaction_id: Mapped[str] = mapped_column(Text, primary_key=True)
    event_id: Mapped[str] = mapped_column(String(32), unique=True)
    """Its message's, which is not kept as long."""
    hash: Mapped[str | None] = mapped_column(String(32))
    """Of the row as it was read; null where it came from the quarantine."""
    verdict: Mapped[str] = mapped_column(String(16))
    """What is proved so far: `matched` by the lake, `diverged` and `dead_lettered` by who refused it."""
    reason: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int | None] = mapped_column(BigInteger)
    """The dataset's version that has it, as who wrote it says."""
