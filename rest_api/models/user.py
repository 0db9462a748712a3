"""Users, and the names that users and groups share and that are never given twice."""

from datetime import datetime

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from rest_api.models.base import Base, BigId, UtcDateTime

ROLES = ("reader", "editor", "admin")


class Name(Base):
    """A name once given to a user or group; the row outlives them, so that no grant changes its meaning."""

    __tablename__ = "names"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)


class User(Base):
    """Somebody who may call; disabled rather than deleted."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint(f"role in {ROLES}", name="role"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
