"""The relay: who publishes events at the moment, how far each topic is, and when how much was sent."""

from datetime import datetime

from sqlalchemy import BigInteger, Double, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from rest_api.models.base import Base, UtcDateTime


class RelayLease(Base):
    """The lease of the one worker that publishes; `lease_until` is by the database's clock. One row at most."""

    __tablename__ = "relay_leases"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    worker: Mapped[str] = mapped_column(String(32))
    epoch: Mapped[int] = mapped_column(Integer)
    """Raised when another worker takes it: who had it before saves no position any more."""
    lease_until: Mapped[float] = mapped_column(Double)


class RelayPosition(Base):
    """Through which event a topic has all that belongs to it."""

    __tablename__ = "relay_positions"

    topic: Mapped[str] = mapped_column(String(249), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)


class RelayMark(Base):
    """Through which event all topics had everything at a time: what is older than a week may be deleted."""

    __tablename__ = "relay_marks"

    at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
