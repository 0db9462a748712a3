"""`/events`: what changed, in the order of commits, to those who may see it."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from rest_api.database import create_engine_for
from rest_api.resources.events import NOTHING
from rest_api.services import events
from tests.conftest import Caller, log_in

NEW = {"title": "Lakes", "content": "Deep."}


def types(answer: Any) -> list[str]:
    return [each["type"] for each in answer.json["data"]]


def said(answer: Any) -> Iterator[str]:
    """What a stream says; that it looks whether somebody listens is nothing said."""
    return (each.decode() if isinstance(each, bytes) else each for each in answer.response if each != NOTHING)


def test_a_write_leaves_its_event(editor: Caller) -> None:
    article = editor.post("/articles", NEW).json
    event = editor.get("/events?type=article.created").json["data"][0]
    assert event["specversion"] == "1.0"
    assert event["subject"] == f"articles/{article['id']}"
    assert event["data"]["title"] == "Lakes"
    assert event["time"].endswith("Z")


def test_a_refused_write_leaves_none(editor: Caller) -> None:
    path = f"/articles/{editor.post('/articles', NEW).json['id']}"
    assert editor.patch(path, {"title": "x", "version": 9}).status_code == 409
    assert types(editor.get("/events?type=article.*")) == ["article.created"]


def test_pages_go_on_after_a_number_and_end_where_more_will_come(editor: Caller) -> None:
    for number in range(5):
        editor.post("/articles", {**NEW, "title": f"t{number}"})
    seen, url = [], "/events?type=article.*&limit=2"
    for _ in range(3):
        answer = editor.get(url)
        seen += [each["data"]["title"] for each in answer.json["data"]]
        url = answer.json["next_url"]
    assert seen == ["t0", "t1", "t2", "t3", "t4"]
    assert editor.get(url).json["data"] == []
    editor.post("/articles", {**NEW, "title": "t5"})
    assert [each["data"]["title"] for each in editor.get(url).json["data"]] == ["t5"]


def test_events_of_users_are_for_administrators(admin: Caller, reader: Caller) -> None:
    admin.post("/groups", {"name": "analysts"})
    assert types(admin.get("/events?type=group.*")) == ["group.created"]
    assert types(reader.get("/events?type=group.*")) == []
    assert not [each for each in types(reader.get("/events?limit=100")) if not each.startswith("article.")]


def test_a_long_poll_is_answered_when_something_happens(app: Flask, editor: Caller, reader: Caller) -> None:
    after = reader.get("/events").json["next"]
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(reader.get(f"/events?after={after}&wait=20")))
    waiting.start()
    log_in(app, "ed").post("/articles", NEW)
    waiting.join(10)
    assert not waiting.is_alive()
    assert types(answers[0]) == ["article.created"]


def test_a_long_poll_without_events_ends_in_time(reader: Caller) -> None:
    after = reader.get("/events").json["next"]
    begun_at = time.monotonic()
    answer = reader.get(f"/events?after={after}&wait=1")
    assert (answer.status_code, answer.json["data"], answer.json["next"]) == (200, [], after)
    assert time.monotonic() - begun_at >= 1


def test_a_long_poll_ends_with_the_login(app: Flask, reader: Caller) -> None:
    after = reader.get("/events").json["next"]
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(reader.get(f"/events?after={after}&wait=20")))
    waiting.start()
    log_in(app, "root").patch("/users/rita", {"disabled": True})
    waiting.join(10)
    assert answers[0].status_code == 401


def test_a_stream_tells_what_is_there_and_what_comes(app: Flask, editor: Caller) -> None:
    editor.post("/articles", NEW)
    answer = editor.get("/events?type=article.*", headers={"Accept": "text/event-stream"}, buffered=False)
    assert answer.mimetype == "text/event-stream"
    lines = said(answer)
    assert next(lines).startswith(":")
    first = next(lines)
    assert "event: article.created\n" in first
    log_in(app, "ed").post("/articles", {**NEW, "title": "second"})
    assert '"second"' in next(lines)
    answer.close()
    number = first.split("\n")[0].removeprefix("id: ")
    again = editor.get(
        "/events?type=article.*", headers={"Accept": "text/event-stream", "Last-Event-ID": number}, buffered=False
    )
    resumed = said(again)
    next(resumed)
    assert '"second"' in next(resumed)
    again.close()


def test_a_stream_ends_with_the_login_and_its_end_is_recorded(app: Flask, admin: Caller, editor: Caller) -> None:
    editor.post("/articles", NEW)
    answer = editor.get("/events?type=article.*", headers={"Accept": "text/event-stream"}, buffered=False)
    lines = said(answer)
    next(lines)
    next(lines)
    admin.patch("/users/ed", {"disabled": True})
    assert "unauthenticated" in next(lines)
    assert list(lines) == []
    recorded = admin.get("/audit?username=ed&path=/events").json["data"]
    assert [each["rows"] for each in recorded] == [1, 1]


def test_events_older_than_kept_are_gone(app: Flask, database_url: str, admin: Caller, editor: Caller) -> None:
    editor.post("/articles", NEW)
    engine = create_engine_for(database_url)
    with Session(engine) as session:
        assert events.purge(session, datetime.now(UTC) + timedelta(seconds=1), inf) > 0
        session.commit()
    engine.dispose()
    gone = editor.get("/events?after=0")
    assert (gone.status_code, gone.json["code"]) == (410, "events_gone")
    assert editor.get("/events").json["data"] == []
    editor.post("/articles", NEW)
    fresh = editor.get("/events").json
    assert types(editor.get("/events")) == ["article.created"]
    assert editor.get(f"/events?after={fresh['next']}").status_code == 200


def test_after_never_passes_an_event_that_commits_later(make_app: Callable[..., Flask], database_url: str) -> None:
    """Many writers at once; a reader that follows by `after` misses none of them."""
    app = make_app()
    reader, writers, each = log_in(app, "rita"), 4, 15

    def write() -> None:
        editor = log_in(app, "ed")
        for _ in range(each):
            assert editor.post("/articles", NEW).status_code == 201

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    seen: list[str] = []
    after, is_written, page = "0", False, ["first"]
    while page or not is_written:
        is_written = not any(thread.is_alive() for thread in threads)
        answer = reader.get(f"/events?type=article.*&after={after}&limit=5").json
        page, after = [event["id"] for event in answer["data"]], answer["next"]
        seen += page
    assert len(seen) == len(set(seen)) == writers * each


@pytest.mark.parametrize(
    "query",
    ["afer=1", "after=x", "after=-1", "limit=0", "limit=101", "wait=31", "type=a&type=b", "type=", "type=A", "type=a,"],
)
def test_a_bad_query_is_400(reader: Caller, query: str) -> None:
    answer = reader.get(f"/events?{query}")
    assert (answer.status_code, answer.json["code"]) == (400, "invalid")
