"""What calls of the core do when it does not answer as it should: again, not again, together, or not at all."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.acting import ARTICLE, FOUND, READ, WRITE, Held, Leaving
from tests.gateway.conftest import GraphQL, Upstream, hanging_up, replying, upstream
from tests.live import gateway

OVERLOADED = {"code": "overloaded", "detail": "Busy", "status": 503}


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Upstream, GraphQL]]:
    """An upstream that does as told, and a client of a gateway before it, which trusts what it says of addresses."""
    settings = {"GATEWAY_DEADLINE_SECONDS": "1.6", "TRUSTED_PROXIES": "127.0.0.1", "GATEWAY_BREAKER_FAILURES": "1000"}
    with upstream() as told, gateway(told.url, tmp_path_factory.mktemp("gateway"), workers=1, **settings) as live:
        yield told, GraphQL(live.url, {"Authorization": "Bearer t"})


@pytest.fixture(scope="module")
def before_a_breaker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Upstream, GraphQL]]:
    """The same, before a gateway whose breaker opens after three failures, for 0.4 seconds."""
    settings = {"GATEWAY_DEADLINE_SECONDS": "1", "GATEWAY_BREAKER_FAILURES": "3", "GATEWAY_BREAKER_SECONDS": "0.4"}
    with upstream() as told, gateway(told.url, tmp_path_factory.mktemp("gateway"), workers=1, **settings) as live:
        yield told, GraphQL(live.url, {"Authorization": "Bearer t"})


@pytest.fixture
def breaking(before_a_breaker: tuple[Upstream, GraphQL]) -> tuple[Upstream, GraphQL]:
    """The same, its breaker closed."""
    told, client = before_a_breaker
    told.will(replying(200, ARTICLE))
    until(lambda: client.run(READ)["data"] == FOUND)
    return told, client


def code(answer: dict[str, Any]) -> str:
    """The code of the one error of an answer."""
    (error,) = answer["errors"]
    return str(error["extensions"]["code"])


class TestRetries:
    """A read is tried again while there is time; a change only under a key."""

    def test_a_read_comes_again_when_the_core_asks_for_it(self, acting: tuple[Upstream, GraphQL]) -> None:
        told, client = acting
        told.will(replying(503, OVERLOADED, Retry_After="1"), replying(200, ARTICLE))
        started = time.monotonic()
        assert client.run(READ)["data"] == FOUND
        assert 1 <= time.monotonic() - started < 2.5
        assert len(told.received) == 2

    def test_a_read_does_not_wait_for_longer_than_its_deadline(self, acting: tuple[Upstream, GraphQL]) -> None:
        told, client = acting
        told.will(replying(503, OVERLOADED, Retry_After="2"))
        started = time.monotonic()
        answer = client.run(READ)
        assert time.monotonic() - started < 1.5
        assert (code(answer), answer["errors"][0]["extensions"]["retryAfterSeconds"]) == ("OVERLOADED", 2)
        assert len(told.received) == 1

    def test_a_read_is_sent_three_times_at_most_and_the_retries_are_counted(
        self, acting: tuple[Upstream, GraphQL]
    ) -> None:
        told, client = acting
        told.will(hanging_up)
        route = 'method="GET",route="/articles/{article_id}"'
        before = client.samples("graphql_upstream_retries_total").get(route, 0)
        assert code(client.run(READ)) == "UPSTREAM_UNAVAILABLE"
        assert len(told.received) == 3
        assert client.samples("graphql_upstream_retries_total")[route] == before + 2

    @pytest.mark.parametrize("status", [400, 404, 429, 500, 504])
    def test_other_answers_are_final(self, acting: tuple[Upstream, GraphQL], status: int) -> None:
        told, client = acting
        told.will(replying(status, {"code": "any", "detail": "No", "status": status}))
        client.run(READ)
        assert len(told.received) == 1

    @pytest.mark.parametrize("reply", [hanging_up, replying(503, OVERLOADED)])
    def test_a_change_without_a_key_is_sent_once(self, acting: tuple[Upstream, GraphQL], reply: Any) -> None:
        told, client = acting
        told.will(reply)
        client.run(WRITE)
        assert len(told.received) == 1

    @pytest.mark.parametrize("reply", [hanging_up, replying(503, OVERLOADED)])
    def test_a_change_with_a_key_is_sent_again_with_the_same_key(
        self, acting: tuple[Upstream, GraphQL], reply: Any
    ) -> None:
        told, client = acting
        told.will(reply, replying(409, {"code": "idempotency_in_progress", "detail": "Wait"}), replying(201, ARTICLE))
        _, text, _ = client.post({"query": WRITE}, **{"Idempotency-Key": "k-1"})
        assert json.loads(text)["data"]["createArticle"]["success"]
        assert [headers["idempotency-key"] for _, _, headers in told.received] == ["k-1"] * 3

    @pytest.mark.parametrize("change", ['updateArticle(id: 1, title: "b")', "deleteArticle(id: 1)"])
    def test_what_the_core_keeps_no_answer_of_is_sent_once_whatever_the_key(
        self, acting: tuple[Upstream, GraphQL], change: str
    ) -> None:
        told, client = acting
        told.will(hanging_up)
        client.post({"query": f"mutation {{ {change} {{ success }} }}"}, **{"Idempotency-Key": "k-1"})
        login = 'mutation { login(username: "a", password: "b") { success } }'
        client.post({"query": login}, **{"Idempotency-Key": "k-1"})
        GraphQL(client.url).post({"query": WRITE}, **{"Idempotency-Key": "k-1"})
        assert len(told.received) == 3
        assert not [headers for _, _, headers in told.received if "idempotency-key" in headers]

    def test_each_change_of_a_request_has_its_own_key_and_the_same_one_next_time(
        self, acting: tuple[Upstream, GraphQL]
    ) -> None:
        told, client = acting
        told.will(replying(201, ARTICLE))
        one = 'createArticle(title: "a", content: "") { success }'
        for _ in range(2):
            client.post({"query": f"mutation {{ a: {one} b: {one} }}"}, **{"Idempotency-Key": "k"})
        keys = [headers["idempotency-key"] for _, _, headers in told.received]
        assert keys == ["k", hashlib.sha256(b"k\x001").hexdigest()] * 2

    @pytest.mark.parametrize("key", ["", "a b", "a" * 256, "\xe9"])
    def test_a_key_that_the_core_would_not_take_is_refused(self, acting: tuple[Upstream, GraphQL], key: str) -> None:
        told, client = acting
        told.will(replying(201, ARTICLE))
        status, text, _ = client.post({"query": WRITE}, **{"Idempotency-Key": key})
        assert (status, code(json.loads(text)), told.received) == (400, "INVALID", [])


class TestBreaker:
    """Nobody waits for a core that does not answer anybody."""

    def test_it_opens_after_failures_in_a_row_and_a_probe_closes_it(self, breaking: tuple[Upstream, GraphQL]) -> None:
        told, client = breaking
        told.will(hanging_up)
        assert code(client.run(READ)) == "UPSTREAM_UNAVAILABLE"
        opened = time.monotonic()
        assert client.samples("graphql_upstream_breaker_state") == {"": 2}
        told.will(replying(200, ARTICLE))
        answer = client.run(READ)
        assert (code(answer), answer["errors"][0]["message"]) == (
            "UPSTREAM_UNAVAILABLE",
            "The core cannot be reached at the moment",
        )
        assert told.received == []
        assert "may have been made" not in str(client.run(WRITE))
        wait_until(opened + 0.45)
        assert client.run(READ)["data"] == FOUND
        assert client.samples("graphql_upstream_breaker_state") == {"": 0}
        assert client.run(READ)["data"] == FOUND

    def test_one_probe_at_a_time_goes_and_its_failure_keeps_it_open(self, breaking: tuple[Upstream, GraphQL]) -> None:
        told, client = breaking
        told.will(hanging_up)
        client.run(READ)
        probe = Held()
        told.will(probe)
        wait_until(time.monotonic() + 0.45)
        with ThreadPoolExecutor(1) as threads:
            probing = threads.submit(client.run, READ)
            probe.wait()
            assert client.samples("graphql_upstream_breaker_state") == {"": 1}
            other = GraphQL(client.url, {"Authorization": "Bearer u"})
            assert code(other.run(READ)) == "UPSTREAM_UNAVAILABLE"
            assert len(told.received) == 1
            told.replies[:] = [hanging_up]
            assert code(probing.result()) == "UPSTREAM_TIMEOUT"
        told.will(replying(200, ARTICLE))
        assert code(client.run(READ)) == "UPSTREAM_UNAVAILABLE"
        assert told.received == []

    def test_refusals_whatever_they_look_like_do_not_open_it(self, breaking: tuple[Upstream, GraphQL]) -> None:
        told, client = breaking
        bare = [replying(status, b"") for status in (400, 401, 404, 414, 431)]
        told.will(*bare, replying(503, OVERLOADED, Retry_After="9"), replying(500, {"code": "internal", "detail": "x"}))
        for _ in range(8):
            client.run(READ)
        told.will(replying(200, ARTICLE))
        assert client.run(READ)["data"] == FOUND

    def test_clients_who_leave_do_not_open_it(self, breaking: tuple[Upstream, GraphQL]) -> None:
        told, client = breaking
        for _ in range(4):
            held = Held()
            told.will(held)
            leaving = Leaving.ask(client, READ)
            held.wait()
            leaving.leave()
            assert held.cut.wait(5)
        told.will(replying(200, ARTICLE))
        assert client.run(READ)["data"] == FOUND


def wait_until(moment: float) -> None:
    """Until a moment of time.monotonic has come."""
    time.sleep(max(0, moment - time.monotonic()))


def shared(client: GraphQL) -> float:
    """How many calls and requests another's answer has served."""
    calls = client.samples("graphql_upstream_shared_total").values()
    return sum((*calls, *client.samples("graphql_requests_shared_total").values()))


def named(query: str, number: int) -> str:
    """The query under a name of its own, so that other documents ask for the same."""
    kind, brace, rest = query.partition("{")
    return f"{kind or 'query'} Q{number} {brace}{rest}"


def together(told: Upstream, clients: list[GraphQL], *, calls: int, query: str = READ) -> list[dict[str, Any]]:
    """What clients are answered who ask while the first one's call is held; so many calls come of it."""
    held = Held()
    told.will(held)
    before = shared(clients[0])
    with ThreadPoolExecutor(len(clients)) as threads:
        answers = [threads.submit(clients[0].run, named(query, 0))]
        held.wait()
        answers += [threads.submit(client.run, named(query, number)) for number, client in enumerate(clients[1:], 1)]
        for _ in range(calls - 1):
            held.wait()
        until(lambda: shared(clients[0]) == before + len(clients) - calls)
        held.let_go()
        found = [answer.result()["data"] for answer in answers]
    assert len(told.received) == calls
    return found


class TestSharing:
    """Identical reads of one token at one moment are one call, and no others are."""

    def test_identical_reads_of_one_token_are_one_call_across_requests(self, acting: tuple[Upstream, GraphQL]) -> None:
        told, client = acting
        assert together(told, [client] * 3, calls=1) == [FOUND] * 3

    def test_nothing_is_shared_between_tokens_or_without_one(self, acting: tuple[Upstream, GraphQL]) -> None:
        told, client = acting
        others = [GraphQL(client.url, {"Authorization": f"Bearer {each}"}) for each in "uv"]
        nobody = GraphQL(client.url)
        assert together(told, [client, *others, nobody, nobody], calls=5) == [FOUND] * 5

    def test_the_audit_stays_true_since_reads_from_other_addresses_are_other_calls(
        self, acting: tuple[Upstream, GraphQL]
    ) -> None:
        told, client = acting
        elsewhere = GraphQL(client.url, {**client.headers, "X-Forwarded-For": "203.0.113.9"})
        assert together(told, [client, elsewhere], calls=2) == [FOUND] * 2

    def test_aliases_of_one_read_are_one_call_and_count_as_what_they_are(
        self, acting: tuple[Upstream, GraphQL]
    ) -> None:
        told, client = acting
        told.will(replying(200, ARTICLE))
        query = "{ a: getArticle(id: 1) { success } b: getArticle(id: 1) { success } }"
        _, text, _ = client.post({"query": query}, **{"X-Debug": "1"})
        found = json.loads(text)["extensions"]["upstream"]
        assert (found["calls"], found["shared"], len(told.received)) == (2, 1, 1)

    def test_an_answer_that_came_serves_nobody_who_asks_later(self, acting: tuple[Upstream, GraphQL]) -> None:
        told, client = acting
        told.will(replying(200, ARTICLE))
        assert client.run(READ)["data"] == client.run(READ)["data"] == FOUND
        assert len(told.received) == 2

    def test_changes_are_never_shared(self, acting: tuple[Upstream, GraphQL]) -> None:
        told, client = acting
        answers = together(told, [client] * 2, calls=2, query=WRITE)
        assert all(answer["createArticle"]["success"] for answer in answers)

    def test_a_read_after_ones_own_change_is_a_call_of_its_own(self, acting: tuple[Upstream, GraphQL]) -> None:
        told, client = acting
        before, after = Held(), Held(body={**ARTICLE, "id": 2})
        told.will(before, replying(201, ARTICLE), after)
        with ThreadPoolExecutor(2) as threads:
            early = threads.submit(client.run, READ)
            before.wait()
            assert client.result(WRITE)["success"]
            late = threads.submit(client.run, named(READ, 2))
            after.wait()
            before.let_go()
            after.let_go()
            assert early.result()["data"] == FOUND
            assert late.result()["data"]["getArticle"]["article"] == {"id": 2}

    def test_a_failure_is_shared_too_and_then_tried_again_together(self, acting: tuple[Upstream, GraphQL]) -> None:
        told, client = acting
        held = Held(503, OVERLOADED)
        told.will(held, replying(200, ARTICLE))
        before = shared(client)
        with ThreadPoolExecutor(2) as threads:
            answers = [threads.submit(client.run, READ)]
            held.wait()
            answers.append(threads.submit(client.run, named(READ, 2)))
            until(lambda: shared(client) == before + 1)
            held.let_go()
            assert [answer.result()["data"] for answer in answers] == [FOUND] * 2

    def test_the_log_says_under_which_request_a_shared_call_is_in_the_audit(
        self, acting: tuple[Upstream, GraphQL], tmp_path: Path
    ) -> None:
        told, _ = acting
        with gateway(told.url, tmp_path) as live:
            first, second = (
                GraphQL(live.url, {"Authorization": "Bearer t", "X-Request-ID": each}) for each in ("r1", "r2")
            )
            together(told, [first, second], calls=1)
            assert "served_by=r1" in live.log.read_text()
        assert told.received[0][2]["x-request-id"] == "r1"


class TestClientsWhoLeave:
    """Work that nobody waits for ends."""

    def test_the_running_read_is_cut(self, acting: tuple[Upstream, GraphQL]) -> None:
        told, client = acting
        held = Held()
        told.will(held)
        before = client.samples("graphql_clients_gone_total")[""]
        leaving = Leaving.ask(client, READ)
        held.wait()
        leaving.leave()
        started = time.monotonic()
        assert held.cut.wait(5)
        assert time.monotonic() - started < 2
        assert client.samples("graphql_clients_gone_total")[""] == before + 1
        told.will(replying(200, ARTICLE))
        assert client.run(READ)["data"] == FOUND

    def test_a_shared_read_goes_on_for_who_stays(self, acting: tuple[Upstream, GraphQL]) -> None:
        told, client = acting
        held = Held()
        told.will(held)
        before, gone = shared(client), client.samples("graphql_clients_gone_total")[""]
        leaving = Leaving.ask(client, READ)
        held.wait()
        with ThreadPoolExecutor(1) as threads:
            staying = threads.submit(client.run, named(READ, 2))
            until(lambda: shared(client) == before + 1)
            leaving.leave()
            until(lambda: client.samples("graphql_clients_gone_total")[""] == gone + 1)
            held.let_go()
            assert staying.result()["data"] == FOUND
        assert (len(told.received), held.cut.is_set()) == (1, False)

    def test_a_change_that_was_sent_is_not_torn(self, acting: tuple[Upstream, GraphQL]) -> None:
        told, client = acting
        held = Held(201)
        told.will(held)
        gone = client.samples("graphql_clients_gone_total")[""]
        leaving = Leaving.ask(client, WRITE)
        held.wait()
        leaving.leave()
        until(lambda: client.samples("graphql_clients_gone_total")[""] == gone + 1)
        assert not held.cut.wait(0.1)
        held.let_go()
        told.will(replying(200, ARTICLE))
        assert client.run(READ)["data"] == FOUND

    def test_what_waits_in_the_queue_is_never_sent(self, tmp_path: Path) -> None:
        with upstream() as told, gateway(told.url, tmp_path, GATEWAY_CONNECTIONS="1") as live:
            client = GraphQL(live.url, {"Authorization": "Bearer t"})
            held = Held()
            told.will(held)
            with ThreadPoolExecutor(1) as threads:
                running = threads.submit(client.run, READ)
                held.wait()
                for leaving in (Leaving.ask(client, READ.replace("1", "2")), Leaving.ask(client, WRITE)):
                    leaving.leave()
                until(lambda: client.samples("graphql_clients_gone_total")[""] == 2)
                held.let_go()
                assert running.result()["data"] == FOUND
            assert client.run(READ)["data"] == FOUND
            assert [path for _, path, _ in told.received] == ["/articles/1"] * 2


def until(holds: Callable[[], bool]) -> None:
    """Wait for a state."""
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, "it never came so"
        time.sleep(0.005)
