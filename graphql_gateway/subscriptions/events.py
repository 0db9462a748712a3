"""Events of the core as they are told, and which of them make a feed."""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from graphql_gateway.errors import UpstreamUnavailable
from graphql_gateway.rest_client import UNREADABLE
from graphql_gateway.subscriptions.shared_reads import SharedReads
from graphql_gateway.subscriptions.standings import Standing


@dataclass(frozen=True)
class Event:
    """One event: its place in the order of commits, its type, the policy it was filtered under, what it is about.

    `reads` are what those who are told it have read because of it.
    """

    sequence: int
    type: str
    policy: str
    data: dict[str, Any]
    reads: SharedReads = field(default_factory=SharedReads, compare=False)

    @classmethod
    def read(cls, told: object) -> "Event":
        """The event in the core's JSON. Raises UpstreamUnavailable."""
        given = told if isinstance(told, dict) else {}
        sequence, data = given.get("sequence"), given.get("data")
        is_numbered = isinstance(sequence, str) and sequence.isdecimal()
        if not is_numbered or not isinstance(data, dict) or not {"type", "policy"} <= given.keys():
            raise UpstreamUnavailable(UNREADABLE)
        return cls(int(str(sequence)), str(given["type"]), str(given["policy"]), data)

    def common(self, other: "Event | None") -> "Event | None":
        """What this and another's view of the same event agree upon; None where the other has none."""
        if other is None:
            return None
        return replace(self, data={name: value for name, value in self.data.items() if other.data.get(name) == value})

    @classmethod
    def parse(cls, content: bytes) -> "Event":
        """The event in a frame. Raises UpstreamUnavailable."""
        return cls.read(_json(content))


@dataclass(frozen=True)
class Kind:
    """Events that are followed together.

    Those that belong to one principal are followed for each by himself; of others the core may tell more to him who
    caused one than to all who have his rights.
    """

    types: str
    is_personal: bool = False
    tells_causer_more: bool = False


ARTICLES = Kind("article.*")
DATASETS = Kind("dataset.changed", tells_causer_more=True)
JOBS = Kind("job.*", is_personal=True)


@dataclass(frozen=True)
class FeedKey:
    """What one stream of the core is for: `principal_id` where its events belong to one."""

    kind: Kind
    policy: str
    principal_id: int | None = None

    @classmethod
    def of(cls, kind: Kind, standing: Standing) -> "FeedKey":
        """The feed of a kind for who has this standing."""
        return cls(kind, standing.policy, standing.principal_id if kind.is_personal else None)


def read_policy(content: bytes) -> str:
    """The policy that a frame tells of. Raises UpstreamUnavailable."""
    told = _json(content)
    return str(told.get("policy", "")) if isinstance(told, dict) else ""


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise UpstreamUnavailable(UNREADABLE) from error
