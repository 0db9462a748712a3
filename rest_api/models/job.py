"""Jobs: long work that a worker does under a lease, decided by the database's clock."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Double, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from rest_api.models.base import Base, BigId, UtcDateTime

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = STATES = ("queued", "running", "succeeded", "failed", "cancelled")
UNFINISHED = (QUEUED, RUNNING)


class Job(Base):
    """One job. `run_at`, `lease_until` and `cancel_at` are seconds since 1970 by the database's clock."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"state in {STATES}", name="state"),
        Index("ix_jobs_state_run_at", "state", "run_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    type: Mapped[str] = mapped_column(String(64))
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    """Whose job it is; null for the system's own."""
    slot: Mapped[str | None] = mapped_column(String(200), unique=True)
    """The schedule and the moment it was due: however many workers fire it, it is there once."""
    progress: Mapped[dict[str, Any]] = mapped_column(JSON)
    """`done`, `total` (null while unknown) and `unit`."""
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    run_at: Mapped[float] = mapped_column(Double)
    lease_until: Mapped[float | None] = mapped_column(Double)
    cancel_at: Mapped[float | None] = mapped_column(Double)
    """When its end was asked for while it ran."""
    worker: Mapped[str | None] = mapped_column(String(32))
    epoch: Mapped[int] = mapped_column(Integer)
    """Raised by every claim and checked by every write: a worker that was taken for dead writes nothing more."""
    attempts: Mapped[int] = mapped_column(Integer)
    """How often it failed in a way that may pass."""
    losses: Mapped[int] = mapped_column(Integer)
    """How often its worker vanished."""
