"""What people say of a dataset; its rows, columns and versions are the lake's."""

from datetime import datetime

from sqlalchemy import JSON, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from rest_api.models.base import Base, UtcDateTime


class Dataset(Base):
    """The description of a dataset, by its identity: a new one of the name begins without."""

    __tablename__ = "datasets"

    identity: Mapped[str] = mapped_column(String(400), primary_key=True)
    name: Mapped[str] = mapped_column(String(300), index=True)
    description: Mapped[str] = mapped_column(Text, default="")
    owner: Mapped[str | None] = mapped_column(String(64))
    tags: Mapped[list[str]] = mapped_column(JSON, default=list)
    key: Mapped[list[str]] = mapped_column(JSON, default=list)
    time_column: Mapped[str | None] = mapped_column(String(300))
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
