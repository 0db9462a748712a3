"""Grants: who may do what with which dataset or folder of the lake."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from rest_api.models.base import Base, BigId, UtcDateTime


class GrantRecord(Base):
    """Privileges of a user or group, on a dataset (its name then, and its identity) or on a folder."""

    __tablename__ = "grants"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    principal: Mapped[str] = mapped_column(String(64), index=True)
    dataset: Mapped[str | None] = mapped_column(String(300), index=True)
    identity: Mapped[str | None] = mapped_column(String(400))
    path: Mapped[str | None] = mapped_column(String(300), index=True)
    privileges: Mapped[list[str]] = mapped_column(JSON)
    columns: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    filter: Mapped[str | None] = mapped_column(Text)
    masks: Mapped[dict[str, Any]] = mapped_column(JSON)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
