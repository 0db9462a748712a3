"""The EventLog port: where what waits in the database goes on to; the worker has one and calls it all the time."""

from typing import Protocol


class EventLog(Protocol):
    """Delivers at least once, in the order in which it waits; what it took is kept until it is safe."""

    def deliver(self) -> int:
        """Send on what waits, as much as is sent at once, and mark it as sent. Returns how much; 0 where nothing waits.

        Raises Refusal where it cannot be sent now, SQLAlchemyError where the database is away: the worker tries again.
        """

    def close(self) -> None:
        """Give back what is held."""
