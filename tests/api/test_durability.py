"""What was answered with success is there after kill -9, with its event and its audit entry."""

import http.client
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.live import LiveCore, call, core

SEED = 20_261_125
WRITERS = 3
BATCH = 10
ENDED = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Answered:
    """What a core answered with success: the ids of the calls, and of the articles they made."""

    calls: set[str] = field(default_factory=set)
    articles: set[int] = field(default_factory=set)


def write(url: str, token: str, name: str, answered: Answered) -> None:
    """Create articles, alone and in batches, until the core is gone."""
    number = 0
    while True:
        number += 1
        request_id = f"{name}-{number}"
        headers = {"Authorization": f"Bearer {token}", "X-Request-ID": request_id}
        path, body = batch(request_id) if number % 3 == 0 else ("/articles", {"title": request_id, "content": ""})
        try:
            status, text, _ = call("POST", url + path, body, headers)
        except ENDED:
            return
        assert status in (200, 201), text
        answered.articles.update(ids(text))
        answered.calls.add(request_id)


def batch(request_id: str) -> tuple[str, dict[str, Any]]:
    upsert = {"op": "upsert", "origin": "base_a", "external_version": 1, "title": request_id, "content": ""}
    return "/articles/batch", {"operations": [{**upsert, "external_id": f"{request_id}-{n}"} for n in range(BATCH)]}


def ids(text: str) -> set[int]:
    """The ids in the answer to an article or to a batch."""
    body = json.loads(text)
    return {row["id"] for row in body.get("data", [body])}


def killed_while_written(live: LiveCore, token: str, name: str, seconds: float, answered: Answered) -> None:
    """Let writers write, and kill all processes of the core in the middle of it."""
    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write, live.url, token, f"{name}-{number}", answered) for number in range(WRITERS)]
        begun = len(answered.calls)
        while len(answered.calls) < begun + WRITERS:
            time.sleep(0.005)
        time.sleep(seconds)
        os.killpg(live.process.pid, signal.SIGKILL)
        live.process.wait()
    for writer in writers:
        writer.result()


def rows(live: LiveCore, path: str, token: str) -> Iterator[dict[str, Any]]:
    """All rows of a list, page after page; events end with an empty page."""
    url: str | None = path
    while url:
        status, page = live.call("GET", url, token=token)
        assert status == 200, page
        yield from page["data"]
        url = page["next_url"] if page["data"] else None


@pytest.mark.parametrize(("database_url", "kills"), [("sqlite", 2), ("postgresql", 1)], indirect=["database_url"])
def test_nothing_that_was_answered_with_success_is_lost(database_url: str, kills: int, tmp_path: Path) -> None:
    chance, answered, token = random.Random(SEED), Answered(), ""
    for number in range(kills):
        with core(tmp_path, workers=2, DATABASE_URL=database_url) as live:
            token = token or live.add_user("editor")
            killed_while_written(live, token, f"round{number}", chance.uniform(0, 0.5), answered)
    with core(tmp_path, workers=2, DATABASE_URL=database_url) as live:
        admin = live.log_in("admin", live.admin_password)
        stored = {row["id"] for row in rows(live, "/articles?limit=100&select=id", admin)}
        told = {int(event["data"]["id"]) for event in rows(live, "/events?type=article.created&limit=100", admin)}
        audited = {row["request_id"] for row in rows(live, "/audit?status=lt.300&method=POST&limit=100", admin)}
        _, verdict = live.call("GET", "/audit/verify", token=admin)
    assert len(answered.calls) >= kills * WRITERS
    assert answered.articles <= stored
    assert stored == told
    assert answered.calls <= audited
    assert verdict["ok"], verdict
