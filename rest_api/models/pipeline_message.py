"""Messages of the pipeline: events that are to enter it at its beginning, kept until they were sent."""

from datetime import datetime

from sqlalchemy import JSON, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from rest_api.models.base import Base, BigId, UtcDateTime

UNSENT = text("sent_at IS NULL")


class PipelineMessage(Base):
    """One message, as a topic would take it; `sequence` is the order in which they are sent."""

    __tablename__ = "pipeline_messages"
    __table_args__ = (
        Index("ix_pipeline_messages_unsent", "sequence", sqlite_where=UNSENT, postgresql_where=UNSENT),
        {"sqlite_autoincrement": True},
    )

    sequence: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    """The event's: who reads one twice knows it again."""
    topic: Mapped[str] = mapped_column(String(249))
    key: Mapped[str] = mapped_column(Text)
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    value: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
