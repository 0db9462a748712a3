"""What a relay does with the outbox: one worker sends, nothing is skipped, and what is not sent is not deleted."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from rest_api.backends.event_log import LogAway, Message, MessageTooLarge
from rest_api.database import create_engine_for, utc_now
from rest_api.models.event import Event
from rest_api.models.pipeline_message import PipelineMessage
from rest_api.observability import RelayMetrics
from rest_api.services import events, publishing, relays
from rest_api.services.publishing import Relay
from rest_api.services.relays import STREAMS, Fenced, Outbox
from tests.conftest import Caller, log_in

ARTICLES = STREAMS[0]
LEASE_SECONDS = 60.0
Fault = Callable[[Message], None]
CALLS = (
    ("GET", "/health/ready"),
    ("GET", "/events"),
    ("GET", "/articles"),
    ("POST", "/articles"),
    ("GET", "/data/datasets"),
    ("GET", "/jobs"),
)


def nothing(_: Message) -> None:
    """No fault."""


@dataclass
class Log:
    """A log that keeps what it is given, unless `fault` raises."""

    kept: list[Message] = field(default_factory=list)
    fault: Fault = nothing

    def publish(self, messages: Sequence[Message]) -> None:
        for each in messages:
            self.fault(each)
            self.kept.append(each)

    def close(self) -> None:
        """Nothing is held."""

    def keys(self, topic: str) -> list[str]:
        """What a topic has."""
        return [each.key for each in self.kept if each.topic == topic]


@pytest.fixture
def engine(app: Flask, database_url: str) -> Iterator[Engine]:
    engine = create_engine_for(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "MOVE_ON_SECONDS", -1.0)
    monkeypatch.setattr(publishing, "FIRST_PAUSE_SECONDS", 0.0)


def outbox(engine: Engine, worker: str = "w1", lease_seconds: float = LEASE_SECONDS) -> Outbox:
    return Outbox(engine, lease_seconds, worker)


def relay(engine: Engine, log: Log) -> Relay:
    return Relay(outbox(engine), log, RelayMetrics.on(CollectorRegistry(), {}, {}))


def leave(engine: Engine, number: int, type: str = "article.created", **more: Any) -> None:  # noqa: A002
    """Leave an event in a transaction of its own."""
    with Session(engine) as session:
        events.install(session)
        data = {"id": number, "type": "purge", "state": "queued"}
        events.record(session, type=type, subject=f"{type.split('.', maxsplit=1)[0]}s/{number}", data=data, **more)
        session.commit()


def leave_message(engine: Engine, number: int) -> None:
    with Session(engine) as session, session.begin():
        common = {"topic": "transactions", "headers": {}, "value": "{}", "created_at": utc_now()}
        session.add(PipelineMessage(id=f"{number:032}", key=str(number), **common))


def purge(engine: Engine) -> int:
    """Delete all events, as far as a relay lets them go; how many of articles are left."""
    with Session(engine) as session, session.begin():
        through = relays.mark(session.connection())
        events.purge(session, utc_now() + timedelta(days=30), through)
        return session.scalar(select(func.count()).where(Event.type == "article.created")) or 0


def test_only_what_is_named_goes_out(engine: Engine) -> None:
    log = Log()
    leave(engine, 1)
    leave(engine, 2, "article.whispered")
    leave(engine, 3, "article.updated", audience="admin")
    leave(engine, 4, "article.updated", owner_id=1)
    leave(engine, 5, "user.created", audience="admin")
    leave(engine, 6, "job.queued", owner_id=1)
    leave(engine, 7, "job.queued", audience="admin")
    leave(engine, 8, "job.progressed", audience="admin")
    leave(engine, 9, "grant.created", audience="admin")
    leave(engine, 10, "dataset.described", audience="admin")
    sender = relay(engine, log)
    while sender.deliver():
        pass
    assert log.keys("lakeport.articles") == ["articles/1"]
    assert "jobs/7" in log.keys("lakeport.jobs")
    assert not {"jobs/6", "jobs/8"} & set(log.keys("lakeport.jobs"))
    assert {each.topic for each in log.kept} == {"lakeport.articles", "lakeport.jobs"}


def test_who_looks_too_early_does_not_get_the_lease(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outbox(engine, "w1").is_mine()
    monkeypatch.setattr(Outbox, "_is_held", lambda _: False)
    assert not outbox(engine, "w2").is_mine()


def test_one_worker_sends_and_another_takes_over_when_its_lease_is_out(engine: Engine) -> None:
    first, second = outbox(engine, "w1", 0.5), outbox(engine, "w2", 0.5)
    leave(engine, 1)
    assert first.is_mine()
    assert not second.is_mine()
    (batch,) = first.next([(ARTICLES, frozenset())])
    deadline = time.monotonic() + 30
    while not second.is_mine():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert batch
    with pytest.raises(Fenced):
        first.keep([(ARTICLES, batch)])
    assert second.position(ARTICLES) == 0
    second.keep([(ARTICLES, batch)])
    assert second.position(ARTICLES) == batch.through
    assert not first.is_mine()
    second.release()
    assert first.is_mine()


def test_a_topic_that_takes_nothing_keeps_only_its_own_events_waiting(engine: Engine) -> None:
    def missing(message: Message) -> None:
        if message.topic == "lakeport.articles":
            raise LogAway("UnknownTopicOrPartitionError")

    log = Log(fault=missing)
    sender = relay(engine, log)
    leave(engine, 1)
    leave(engine, 2, "job.queued", audience="admin")
    leave_message(engine, 3)
    while sender.deliver():
        pass
    assert log.keys("lakeport.articles") == []
    assert "jobs/2" in log.keys("lakeport.jobs")
    assert log.keys("transactions") == ["3"]
    log.fault = nothing
    while sender.deliver():
        pass
    assert log.keys("lakeport.articles") == ["articles/1"]


def test_what_a_topic_does_not_take_for_its_size_goes_out_by_reference_or_waits_alone(engine: Engine) -> None:
    refused = []

    def small(message: Message) -> None:
        if (message.key == "articles/2" and b"dataref" not in message.value) or message.key == "5":
            refused.append(message.key)
            raise MessageTooLarge

    log = Log(fault=small)
    sender = relay(engine, log)
    for number in (1, 2, 3):
        leave(engine, number)
    for number in (4, 5, 6):
        leave_message(engine, number)
    while sender.deliver():
        pass
    taken = [each for each in log.kept if each.topic == "lakeport.articles"]
    assert dict.fromkeys(each.key for each in taken).keys() == {"articles/1", "articles/2", "articles/3"}
    assert [each.value for each in taken if b'"dataref":"/articles/2"' in each.value]
    assert set(log.keys("transactions")) == {"4", "6"}
    sender.deliver()
    assert refused.count("5") == 2, "it is tried with the others, alone, and not again"
    assert outbox(engine).lag_seconds(STREAMS[-1]) > 0


def test_events_are_kept_until_they_are_sent_and_then_for_a_week(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(engine, 1)
    begun, sender = utc_now(), relay(engine, Log())

    def later(days: float) -> None:
        monkeypatch.setattr(relays, "utc_now", lambda: begun + timedelta(days=days))

    for days in (0.0, 10.0, 20.0):
        later(days)
        assert purge(engine) == 1, "what is not sent is deleted"
    while sender.deliver():
        pass
    for days, left in ((20.1, 1), (27.05, 1), (27.15, 0)):
        later(days)
        assert purge(engine) == left


def test_what_is_to_be_sent_again_is_not_deleted_meanwhile(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(engine, 1)
    begun, sender = utc_now(), relay(engine, Log())
    while sender.deliver():
        pass
    assert purge(engine) == 1
    with engine.begin() as connection:
        assert ARTICLES.rewind(connection, begun - timedelta(days=1)) == 1
    monkeypatch.setattr(relays, "utc_now", lambda: begun + timedelta(days=8))
    assert purge(engine) == 1


def test_the_core_never_speaks_to_the_brokers_itself(make_app: Callable[..., Flask]) -> None:
    """One who listens, and would never answer, hears nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as broker:
        broker.setblocking(False)
        begun = time.perf_counter()
        app = make_app(EVENTS_URL=f"kafka://127.0.0.1:{broker.getsockname()[1]}")
        started_seconds = time.perf_counter() - begun
        caller = log_in(app, "ed")
        slowest = max(min(_seconds(caller, *each) for _ in range(3)) for each in CALLS)
        with pytest.raises(BlockingIOError):
            broker.accept()
    assert slowest < 0.5
    assert started_seconds < 2


def _seconds(caller: Caller, method: str, path: str) -> float:
    begun = time.perf_counter()
    body = {"title": "Lakes", "content": "Deep."} if method == "POST" else None
    assert caller.call(method, path, **({"json": body} if body else {})).status_code < 300
    return time.perf_counter() - begun
