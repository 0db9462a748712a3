"""What of the events is published: chosen and shown so that any reader of a topic may have it.

The core does not know who reads a topic. So nothing goes out that is somebody's own or for administrators only, and of
what is told by rights only what the least of them allow. A type of event that is not named here stays in the core.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Text, and_, cast

from rest_api.backends.event_log import Message
from rest_api.lake.resending import TOPIC
from rest_api.models.event import Event
from rest_api.models.pipeline_message import PipelineMessage
from rest_api.query.exact_json import encode
from rest_api.services.feeds import cloud_event
from rest_api.services.replays import EVENT_ID

Shown = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Publication:
    """A topic, whose name begins with `lakeport.` whatever it is about, the types of events it has, and their data."""

    about: str
    types: tuple[str, ...]
    shown: Shown
    is_open: ColumnElement[bool]
    """What else an event needs to go out."""

    @property
    def topic(self) -> str:
        return f"lakeport.{self.about}"

    @property
    def belongs(self) -> ColumnElement[bool]:
        """What is true of the events that go out."""
        return and_(Event.type.in_(self.types), self.is_open)

    def message(self, row: Any) -> Message:
        """An event as the topic gets it, under the key of what it is about."""
        return self._message(row, {"data": self.shown(row.data)})

    def reference(self, row: Any) -> Message:
        """An event that is too large for the topic: where its data are to be had, as CloudEvents' `dataref`."""
        return self._message(row, {"dataref": f"/{row.subject}"})

    def _message(self, row: Any, data: Mapping[str, Any]) -> Message:
        headers = (EVENT_ID, row.id), ("content-type", "application/cloudevents+json; charset=UTF-8")
        return Message(self.topic, row.subject, encode({**cloud_event(row), **data}), headers)


MESSAGE_COLUMNS = (
    PipelineMessage.sequence,
    PipelineMessage.id,
    PipelineMessage.key,
    cast(PipelineMessage.headers, Text).label("headers"),  # as text, which orjson reads faster than the driver does
    PipelineMessage.value,
)
"""What `pipeline_message` needs of a message, and its place."""


def pipeline_message(row: Any) -> Message:
    """A message of the pipeline, as its topic gets it."""
    headers = {**orjson.loads(row.headers), EVENT_ID: row.id}
    return Message(TOPIC, row.key, row.value.encode(), tuple(headers.items()))


def of_pipeline() -> ColumnElement[bool]:
    """What is true of the messages of the pipeline that wait to be sent; to other topics none is."""
    return and_(PipelineMessage.topic == TOPIC, PipelineMessage.sent_at.is_(None))


def _as_to_a_part_reader(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, "kind": None, "rows": None}


def _state_only(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: data[name] for name in ("id", "type", "state")}


PUBLICATIONS = (
    Publication(
        "articles",
        ("article.created", "article.updated", "article.deleted"),
        dict,
        and_(Event.audience.is_(None), Event.owner_id.is_(None), Event.dataset.is_(None)),
    ),
    Publication("datasets", ("dataset.changed",), _as_to_a_part_reader, Event.dataset.is_not(None)),
    Publication(
        "jobs",
        ("job.queued", "job.started", "job.succeeded", "job.failed", "job.cancelled"),
        _state_only,
        Event.owner_id.is_(None),
    ),
)
