"""Events of changes: the outbox that a change fills in its own transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from rest_api.models.base import Base, BigId, UtcDateTime


class Event(Base):
    """One event; `sequence` is the order of commits, and who may see it is decided when it is read."""

    __tablename__ = "events"
    __table_args__ = (
        Index(
            "ix_events_dataset_identity_sequence",
            "dataset",
            "identity",
            "sequence",
            sqlite_where=text("dataset IS NOT NULL"),
            postgresql_where=text("dataset IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    sequence: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    type: Mapped[str] = mapped_column(String(100), index=True)
    subject: Mapped[str] = mapped_column(String(300))
    time: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    audience: Mapped[str | None] = mapped_column(String(16))
    """The role it takes to see it; null where everybody may who may call."""
    owner_id: Mapped[int | None] = mapped_column(Integer)
    """The one user who sees it besides administrators; null where it is nobody's own."""
    dataset: Mapped[str | None] = mapped_column(String(300))
    """The dataset it is about: who may read it when the event is told sees the event too."""
    identity: Mapped[str | None] = mapped_column(String(400))
    """Which dataset of that name."""


class EventHorizon(Base):
    """How far events were deleted: who asks for more than is kept is told so. One row at most."""

    __tablename__ = "event_horizons"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    purged_through: Mapped[int] = mapped_column(BigInteger)
