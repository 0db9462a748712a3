"""The trace that a request belongs to: its `traceparent` (W3C Trace Context, level 1) and the spans made of it."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

GRAMMAR = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
KNOWN_FLAGS = 0x03  # sampled, and that the trace's id is random
Attributes = Mapping[str, str | int]


@dataclass(frozen=True)
class Traceparent:
    """Where in which trace a request stands; ids in lower-case hexadecimal."""

    trace_id: str
    span_id: str
    flags: int

    @classmethod
    def read(cls, given: Sequence[str]) -> "Traceparent | None":
        """What a request's headers say; None where they say nothing that is valid."""
        found = GRAMMAR.fullmatch(given[0]) if len(given) == 1 else None
        if found is None:
            return None
        version, trace_id, span_id, flags, rest = found.groups()
        is_known = version != "ff" and not (version == "00" and rest)
        if not is_known or not trace_id.strip("0") or not span_id.strip("0"):
            return None
        return cls(trace_id, span_id, int(flags, 16) & KNOWN_FLAGS)

    @classmethod
    def new(cls) -> "Traceparent":
        """The beginning of a trace that nobody records yet."""
        # Nobody's rights hang on an id, and the system's own randomness costs as much as a tenth of a request.
        return cls(f"{random.getrandbits(128):032x}", f"{random.getrandbits(64):016x}", 0)

    def __str__(self) -> str:
        """The header."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


class Span(Protocol):
    """A piece of work in a trace."""

    @property
    def traceparent(self) -> str:
        """The header that ties to this piece what is asked of another process."""

    def call(self, method: str, route: str) -> "Span":
        """Begin a call of the core as a piece of this one."""

    def end(self, attributes: Attributes, *, name: str | None = None, failure: str | None = None) -> None:
        """End it, under another name where that is known only now; `failure` is the code of what went wrong."""


class Tracer(Protocol):
    """What makes spans."""

    def request(self, given: Sequence[str]) -> Span:
        """Begin the answer to a request with these `traceparent` headers."""

    def close(self) -> None:
        """Give away what has been recorded, within a moment."""


@dataclass(frozen=True)
class Passed:
    """A span that is not recorded: the trace passes through."""

    parent: Traceparent

    @property
    def traceparent(self) -> str:
        return str(self.parent)

    def call(self, _method: str, _route: str) -> "Passed":
        return self

    def end(self, attributes: Attributes, *, name: str | None = None, failure: str | None = None) -> None:
        """Record nothing."""


class Passing:
    """Records nothing; a request without a trace begins one."""

    def request(self, given: Sequence[str]) -> Passed:
        return Passed(Traceparent.read(given) or Traceparent.new())

    def close(self) -> None:
        """Keep nothing."""


def open_tracer(endpoint: str) -> Tracer:
    """What exports spans to a collector, where there is one."""
    if not endpoint:
        return Passing()
    from graphql_gateway.otlp import Exporting

    return Exporting(endpoint)
