"""Changes of base A as messages, each with an id by which who reads them knows one that he has seen."""

import hashlib
from collections.abc import Callable
from urllib.parse import quote

from integration.envelopes import Message
from integration.rows import Row

TYPES = {False: b"article.updated", True: b"article.deleted"}
"""By whether the row is gone; whether it was there before is not to be seen in base A."""


def event_id(operation: bytes) -> str:
    """The same for the same change, whoever captures it and how often: 32 hex digits of its SHA-256.

    Origin, key and version are in the operation, and the texts too, because two may come in one tick of a clock.
    """
    return hashlib.sha256(operation).hexdigest()[:32]


def plain(row: Row, operation: bytes, _origin: str) -> Message:
    """In plain JSON."""
    return Message(row.external_id.encode(), operation, (("event-id", event_id(operation).encode()),))


def cloud_event(row: Row, operation: bytes, origin: str) -> Message:
    """As a CloudEvent 1.0 in binary mode (Kafka protocol binding, 3.2)."""
    attributes = {
        "specversion": b"1.0",
        "id": event_id(operation).encode(),
        "source": f"/{quote(origin, safe='')}".encode(),
        "type": TYPES[row.is_gone],
        "subject": row.external_id.encode(),
    }
    headers = [("content-type", b"application/json"), *((f"ce_{name}", value) for name, value in attributes.items())]
    return Message(row.external_id.encode(), operation, tuple(headers))


Envelope = Callable[[Row, bytes, str], Message]
ENVELOPES: dict[str, Envelope] = {"cloudevents": cloud_event, "plain": plain}
