"""The EventLog port: where events are published for systems beside the core."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rest_api.settings import Settings


class LogAway(Exception):
    """The log took some of the messages or none, and may take them later; the text says why without naming a host."""


class MessageTooLarge(Exception):
    """The log will never take one of the messages."""


@dataclass(frozen=True)
class Message:
    """A message for a topic. Those of one key keep their order; the headers are text."""

    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, str], ...] = ()


class EventLog(Protocol):
    """For one thread. What was published twice is there twice: who reads knows it by its `event-id`."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Have all of them kept, whatever becomes of a broker then. Raises LogAway, MessageTooLarge."""

    def close(self) -> None:
        """End the connections."""


def open_event_log(settings: Settings) -> EventLog:
    """The log at `EVENTS_URL`, which is not reached before something is published."""
    from rest_api.backends.event_log.kafka import KafkaLog, connection_of

    return KafkaLog(connection_of(settings))
