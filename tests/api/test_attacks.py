"""What an attacker tries: slow senders, waiting crowds, guessed passwords, secrets in the wrong place."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from threading import Barrier, Event
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from launcher.services import CORE_THREADS
from rest_api.bodies import BodyReader
from rest_api.errors import Overloaded, RequestTimeout
from rest_api.limits import LONGEST_LINE
from rest_api.services.logins import place_of
from tests.conftest import PASSWORD, Caller, log_in, settings_for
from tests.live import LiveCore, core

SLOW = "POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n{}\r\n{{"
STREAM = "GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{}\r\n"
POLL = "GET /events?wait=30&after=999999 HTTP/1.1\r\nHost: x\r\n{}\r\n"
UNFINISHED = "GET /events HTTP/1.1\r\nHost: x\r\n{}"


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCore]:
    """A core of one process, with the threads that `start.sh` gives it."""
    with core(tmp_path_factory.mktemp("besieged"), options=("--no-ws", *CORE_THREADS)) as live:
        yield live


@contextmanager
def crowd(live: LiveCore, request: str, size: int = 150) -> Iterator[list[socket.socket]]:
    """So many clients that have sent a request and wait."""
    address = urlsplit(live.url)
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection((address.hostname, address.port))) for _ in range(size)]
        for client in clients:
            client.sendall(request.encode())
        yield clients


@pytest.mark.parametrize("request_text", [SLOW, STREAM, POLL, UNFINISHED], ids=["slow", "stream", "poll", "headers"])
def test_a_crowd_of_one_does_not_keep_others_out(besieged: LiveCore, request_text: str) -> None:
    token = besieged.add_user("reader")
    with crowd(besieged, request_text.format(f"Authorization: Bearer {besieged.add_user('reader')}\r\n")):
        for _ in range(5):
            started = time.monotonic()
            assert besieged.get("/health/live")[0] == 200
            assert besieged.call("GET", "/auth/me", token=token)[0] == 200
            assert time.monotonic() - started < 3


def test_a_stream_gives_its_place_back_as_soon_as_its_client_has_left(besieged: LiveCore, tmp_path: Path) -> None:
    request = STREAM.format(f"Authorization: Bearer {besieged.add_user('reader')}\r\n")
    most = settings_for(tmp_path).waiting_requests_per_user
    with crowd(besieged, request, most + 1) as clients:
        assert [_has_begun(client) for client in clients].count(True) == most
    left_at = time.monotonic()
    while not _is_let_in(besieged, request):
        assert time.monotonic() - left_at < 2


def _is_let_in(live: LiveCore, request: str) -> bool:
    with crowd(live, request, 1) as (client,):
        return _has_begun(client)


def _has_begun(client: socket.socket) -> bool:
    """Whether a stream has told the first there is to tell, and was not refused."""
    told = b""
    while b"event: policy" not in told and b" 429 " not in told:
        told += client.recv(4_096)
    return b" 429 " not in told


def test_the_threads_suffice_for_all_that_may_hold_one(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    held = settings.running_requests + LONGEST_LINE + settings.waiting_requests + settings.sending_clients
    assert held < int(CORE_THREADS[CORE_THREADS.index("--blocking-threads") + 1])


def test_one_user_may_not_take_all_places_to_wait(make_app: Callable[..., Flask]) -> None:
    app = make_app(WAITING_REQUESTS="2", WAITING_REQUESTS_PER_USER="1")
    reader, editor, admin = log_in(app, "rita"), log_in(app, "ed"), log_in(app, "root")
    stream = {"Accept": "text/event-stream"}
    first, second = reader.get("/events", headers=stream), editor.get("/events", headers=stream)
    assert (first.status_code, second.status_code) == (200, 200)
    refused = reader.get("/events", headers=stream)
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 0
    assert admin.get("/events?wait=1&after=99").json["code"] == "overloaded"
    first.close()
    assert admin.get("/events?wait=1&after=99").status_code == 200
    assert admin.get("/events?wait=1&after=99").status_code == 200
    second.close()


class _Silent:
    """A body of which nothing comes until the test is over."""

    def __init__(self) -> None:
        self.is_over = Event()

    def read(self, _size: int = -1) -> bytes:
        self.is_over.wait()
        return b""


def test_a_body_that_does_not_come_is_given_up() -> None:
    reader, silent = BodyReader(places=1, seconds=0.05), _Silent()
    with pytest.raises(RequestTimeout):
        reader.read(silent, 10)  # type: ignore[arg-type]
    assert reader.read(BytesIO(b"0123456789"), 10) == b"0123456789"
    silent.is_over.set()


def test_no_more_bodies_are_read_at_once_than_there_are_places() -> None:
    reader = BodyReader(places=1, seconds=0.05)

    class Nested:
        def read(self, _size: int = -1) -> bytes:
            with pytest.raises(Overloaded):
                reader.read(BytesIO(b"x"), 1)
            return b""

    assert reader.read(Nested(), 1) == b""  # type: ignore[arg-type]


class _Counting:
    """A body without an end; `taken` is how much of it was read."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "all of an endless body was asked for"
        self.taken += size
        return b" " * size


@pytest.mark.parametrize("length", ["", "900000000"])
def test_the_body_of_a_refused_call_is_not_taken_beyond_the_limit(reader: Caller, length: str) -> None:
    body = _Counting()
    environ = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_LENGTH": length}
    headers = {} if length else {"Transfer-Encoding": "chunked"}
    answer = reader.post("/users", content_type="application/json", headers=headers, environ_overrides=environ)
    assert answer.status_code == 403
    assert body.taken <= (1 << 20) + 1


def test_the_body_of_a_refused_call_is_recorded(reader: Caller, admin: Caller) -> None:
    assert reader.post("/groups", {"name": "analysts"}).status_code == 403
    assert admin.get("/audit?path=eq./groups&select=body").json["data"] == [{"body": '{"name":"analysts"}'}]


def test_a_body_that_ends_too_early_is_400(editor: Caller) -> None:
    environ = {"wsgi.input": BytesIO(b'{"title": "a", "content": ""}'), "CONTENT_LENGTH": "99"}
    answer = editor.post("/articles", content_type="application/json", environ_overrides=environ)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"username": "root", "pasword": "hunter2"},
        {"username": "root", "Password ": "hunter2"},
        {"username": "root", "passphrase": "hunter2"},
        {"refreshToken": "hunter2"},
        {"username": "hunter2", "password": "x"},
        "hunter2",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_recorded(app: Flask, admin: Caller, body: Any) -> None:
    assert app.test_client().post("/auth/token?pass%77ord=hunter2", json=body).status_code in (400, 401)
    recorded = admin.get("/audit?path=eq./auth/token&status=gte.400").json["data"]
    assert len(recorded) == 1
    assert "hunter2" not in str(recorded)


def test_a_stolen_token_does_not_let_guess_the_password(make_app: Callable[..., Flask]) -> None:
    reader = log_in(make_app(LOGIN_FAILURES_PER_ACCOUNT="3"), "rita")
    guesses = [{"old": f"guess {number}", "new": "another secret one"} for number in range(3)]
    assert [reader.put("/users/me/password", guess).status_code for guess in guesses] == [403, 403, 403]
    answer = reader.put("/users/me/password", {"old": PASSWORD, "new": "another secret one"})
    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:0DB8:1:2::ffff", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_failed_logins_count_for_all_that_one_client_can_call_itself(address: str, place: str) -> None:
    assert place_of(address) == place


def at_once(*calls: Callable[[], Any]) -> list[int]:
    """The statuses of calls that are made at the same moment."""
    barrier = Barrier(len(calls))

    def make(call: Callable[[], Any]) -> int:
        barrier.wait()
        return int(call().status_code)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(make, calls))


def test_two_administrators_cannot_demote_each_other_at_once(app: Flask, admin: Caller) -> None:
    for number in range(4):
        name = f"second{number}"
        assert admin.post("/users", {"username": name, "password": PASSWORD, "role": "admin"}).status_code == 201
        second = log_in(app, name)
        statuses = at_once(
            partial(admin.patch, f"/users/{name}", {"role": "reader"}),
            partial(second.patch, "/users/root", {"disabled": True}),
        )
        assert min(statuses) == 200
        assert max(statuses) in (401, 403, 409)
        if statuses[1] == 200:
            assert second.patch("/users/root", {"disabled": False}).status_code == 200
            admin = log_in(app, "root")
            assert admin.patch(f"/users/{name}", {"role": "reader"}).status_code == 200


def test_a_name_is_given_once_even_at_the_same_moment(app: Flask, admin: Caller) -> None:
    others = [log_in(app, "root") for _ in range(3)]
    new = {"username": "twin", "password": PASSWORD, "role": "reader"}
    statuses = at_once(
        lambda: admin.post("/users", new),
        lambda: others[0].post("/users", {**new, "username": "TWIN"}),
        lambda: others[1].post("/groups", {"name": "twin"}),
        lambda: others[2].post("/groups", {"name": "Twin"}),
    )
    assert sorted(statuses) == [201, 409, 409, 409]


def test_a_refresh_token_is_good_for_one_pair_even_at_the_same_moment(app: Flask, reader: Caller) -> None:
    token = {"refresh_token": reader.tokens["refresh_token"]}
    statuses = at_once(*[lambda: app.test_client().post("/auth/token", json=token)] * 4)
    assert sorted(statuses) == [200, 401, 401, 401]
    assert reader.get("/auth/me").status_code == 401


def test_one_answer_to_an_idempotency_key_even_at_the_same_moment(app: Flask, editor: Caller) -> None:
    callers = [editor, *(log_in(app, "ed") for _ in range(3))]
    key = {"Idempotency-Key": "k"}
    statuses = at_once(
        *[partial(each.post, "/articles", {"title": "t", "content": ""}, headers=key) for each in callers]
    )
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert len(editor.get("/articles").json["data"]) == 1


def test_failed_logins_at_the_same_moment_do_not_pass_the_limit_together(make_app: Callable[..., Flask]) -> None:
    app = make_app(LOGIN_FAILURES_PER_ACCOUNT="2")
    guess = {"username": "rita", "password": "a wrong guess"}
    statuses = at_once(*[lambda: app.test_client().post("/auth/token", json=guess)] * 5)
    assert sorted(statuses) == [401, 401, 429, 429, 429]
