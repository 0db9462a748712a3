"""Changes of Delta tables: each has its row here before it is committed, so that no commit is forgotten."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from rest_api.models.base import Base, UtcDateTime

BEGUN, DONE, UNDONE = STATES = ("begun", "done", "undone")


class DatasetChange(Base):
    """One change. Its `id` is in the table's log if and only if it was committed."""

    __tablename__ = "dataset_changes"
    __table_args__ = (CheckConstraint(f"state in {STATES}", name="state"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    dataset: Mapped[str] = mapped_column(String(300), index=True)
    identity: Mapped[str | None] = mapped_column(String(400))
    """The table's; null until it is known of a table that the change makes."""
    kind: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[int | None] = mapped_column(Integer)
    username: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(8), index=True)
    version: Mapped[int | None] = mapped_column(BigInteger)
    rows: Mapped[int | None] = mapped_column(BigInteger)
    call: Mapped[str | None] = mapped_column(String(64), unique=True)
    """The call that asked for it under an `Idempotency-Key`: a second one of that key finds this change."""
    call_sha256: Mapped[str | None] = mapped_column(String(64))
    """What the body of that call was."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
