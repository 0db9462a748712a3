"""Events of the pipeline: a row to be merged, or whatever came in the place of one, and where it came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rest_api.lake.names import QUARANTINE
from rest_api.lake.replays import Replay


@dataclass(frozen=True)
class Origin:
    """Where a message stands in Kafka."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class Event:
    """A row by columns as JSON has it, with numbers as Decimal, or the text of a message as it came.

    By its id or its origin a refused event is known when it comes again; one without both by its text.
    """

    value: Mapping[str, Any] | str
    replay: Replay | None = None
    id: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of an event: one of OUTCOMES, with a reason where it was not applied."""

    name: str
    reason: str | None = None


def quarantine_of(name: str) -> str:
    """The table that keeps events which a dataset refused, where there is one of that name."""
    return name + QUARANTINE
