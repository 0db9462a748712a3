"""Feeds: who shares a stream of the core, who carries it, and who is told what."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from graphql_gateway.subscriptions.live_figures import PERIOD_SECONDS
from tests.gateway.conftest import GraphQL
from tests.gateway.relay import Relay, relayed
from tests.gateway.subscribing import (
    ARTICLES,
    PATIENCE_SECONDS,
    Socket,
    begun,
    streamed,
    streams,
    subscribers,
    wait_until,
)
from tests.live import Live, LiveCore, core, gateway, worker

CHECK_SECONDS = 0.4
DATASETS = "subscription { datasetChanged { dataset version kind rows } }"
MANY = 200
ON_ONE_SOCKET = 50
NOW = datetime.now(UTC)


def transactions(first: int, rows: int) -> pa.Table:
    """Rows of the table `transactions`, all of this hour."""
    numbers = range(first, first + rows)
    return pa.table(
        {
            "transaction_id": [f"t{each}" for each in numbers],
            "timestamp": pa.array([NOW - timedelta(minutes=10)] * rows, pa.timestamp("us", "UTC")),
            "product_id": [f"p{each % 2}" for each in numbers],
            "product_name": [f"Product {each % 2}" for each in numbers],
            "amount": pa.array(["1.50"] * rows).cast(pa.decimal128(18, 2)),
            "currency": ["EUR"] * rows,
            "country": [("FR", "DE")[each % 2] for each in numbers],
            "status": ["completed"] * rows,
            "original_timestamp": pa.array([None] * rows, pa.timestamp("us", "UTC")),
            "replay_id": pa.array([None] * rows, pa.string()),
        }
    )


@dataclass(frozen=True)
class Place:
    """A core with a lake, and a gateway that checks tokens often."""

    core: LiveCore
    gateway: Live
    admin: str
    readers: list[str] = field(default_factory=list)

    def user(self, name: str, *grants: dict[str, Any], role: str = "reader") -> str:
        """The token of a new user with grants."""
        password = f"correct horse {name}"
        self.call("POST", "/users", {"username": name, "password": password, "role": role}, 201)
        for grant in grants:
            self.grant(name, **grant)
        return self.core.log_in(name, password)

    def grant(self, principal: str, **grant: Any) -> int:
        """A grant by the administrator; gives its id."""
        given = {"principal": principal, "privileges": ["read"], **grant}
        return int(self.call("POST", "/grants", given, 201)["id"])

    def call(self, method: str, path: str, body: Any = None, status: int = 204, token: str | None = None) -> Any:
        """The answer to a call that has this outcome."""
        answered, answer = self.core.call(method, path, body, token or self.admin)
        assert answered == status, answer
        return answer

    def create(self, title: str) -> None:
        """A new article."""
        self.call("POST", "/articles", {"title": title, "content": ""}, 201)

    def upsert(self, origin: str, number: int, content: str) -> None:
        """So many new articles from elsewhere at once, with the titles 0, 1, …"""
        given = {"op": "upsert", "origin": origin, "external_version": 1, "content": content}
        operations = [{**given, "external_id": str(each), "title": str(each)} for each in range(number)]
        self.call("POST", "/articles/batch", {"operations": operations}, 200)

    def add(self, dataset: str, row: dict[str, Any], token: str | None = None) -> int:
        """A new row; gives the dataset's new version."""
        body = {"rows": [row], "mode": "append"}
        return int(self.call("POST", f"/data/datasets/{dataset}/rows", body, 201, token)["version"])

    def transact(self, number: int, token: str | None = None) -> int:
        """A new transaction; gives the dataset's new version."""
        row = transactions(number, 1).to_pylist()[0]
        timestamp = row["timestamp"].isoformat().replace("+00:00", "Z")
        return self.add("transactions", {**row, "timestamp": timestamp, "amount": 1.5}, token)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A core with a lake, and a gateway that checks tokens often."""
    folder = tmp_path_factory.mktemp("feeds")
    write_deltalake(folder / "core" / "lake" / "transactions", transactions(0, 4))
    write_deltalake(folder / "core" / "lake" / "secrets", pa.table({"id": [1]}))
    checked = str(CHECK_SECONDS)
    with (
        core(folder / "core") as live,
        gateway(
            live.url, folder / "gateway", SUBSCRIPTION_CHECK_SECONDS=checked, SUBSCRIPTION_ALIVE_SECONDS="1"
        ) as served,
    ):
        made = Place(live, served, live.log_in("admin", live.admin_password))
        made.readers.extend(made.user(name) for name in ("ann", "ben"))
        yield made


@dataclass(frozen=True)
class Patient:
    """A gateway with the settings as they come, and the relay that it has its core by."""

    gateway: Live
    relay: Relay


@pytest.fixture(scope="module")
def patient(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    """Another gateway before the core of `place`."""
    with relayed(place.core.url) as relay, gateway(relay.url, tmp_path_factory.mktemp("patient")) as served:
        yield Patient(served, relay)


@pytest.fixture(autouse=True)
def is_quiet(place: Place) -> Iterator[None]:
    """Each test leaves nothing behind: no subscriber, no stream of the core."""
    yield
    wait_until(lambda: subscribers(place.gateway) == streams(place.gateway) == 0)


def wait_for_subscribers(place: Place, number: int) -> None:
    """Until so many are told what comes."""
    wait_until(lambda: subscribers(place.gateway) == number)


def titles(socket: Socket, key: str, number: int) -> list[str]:
    """The titles of so many new articles."""
    return [socket.data(key)["article"]["title"] for _ in range(number)]


def code(message: dict[str, Any]) -> str:
    """The code of the error that ends an operation."""
    assert message["type"] == "error", message
    return str(message["payload"][0]["extensions"]["code"])


def test_subscribers_of_one_policy_share_one_stream_of_the_core(place: Place) -> None:
    with ExitStack() as stack:
        tokens = (*place.readers, place.readers[0])
        sockets = [stack.enter_context(begun(place.gateway, token)) for token in tokens]
        keys = [socket.subscribe(ARTICLES) for socket in sockets]
        wait_for_subscribers(place, 3)
        assert streams(place.gateway) == 1
        editor = stack.enter_context(begun(place.gateway, place.admin))
        other = editor.subscribe(ARTICLES)
        wait_for_subscribers(place, 4)
        assert streams(place.gateway) == 2
        place.create("Shared")
        assert {titles(socket, key, 1)[0] for socket, key in zip(sockets, keys, strict=True)} == {"Shared"}
        assert titles(editor, other, 1) == ["Shared"]


def test_two_hundred_subscribers_are_all_served_by_one_stream(place: Place) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(begun(place.gateway, place.readers[0])) for _ in range(MANY // ON_ONE_SOCKET)]
        keys = [(socket, socket.subscribe(ARTICLES)) for socket in sockets for _ in range(ON_ONE_SOCKET)]
        wait_for_subscribers(place, MANY)
        assert streams(place.gateway) == 1
        for title in ("Crowded", "Crowded again"):
            place.create(title)
        assert all(titles(socket, key, 2) == ["Crowded", "Crowded again"] for socket, key in keys)


def writing(place: Place, number: int, done: Callable[[int], None]) -> threading.Thread:
    """A writer of articles with the titles 0, 1, …"""

    def write() -> None:
        for each in range(number):
            place.create(str(each))
            done(each)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def test_when_the_bearer_ends_or_leaves_another_takes_over_without_loss_or_doubling(place: Place) -> None:
    tokens = [place.user("dan"), *place.readers]
    with ExitStack() as stack:
        sockets = [stack.enter_context(begun(place.gateway, token)) for token in tokens]
        keys = []
        for number, socket in enumerate(sockets, 1):
            keys.append(socket.subscribe(ARTICLES))
            wait_for_subscribers(place, number)

        def end(written: int) -> None:
            if written == 10:
                place.call("POST", "/auth/revoke", token=tokens[0])
            if written == 20:
                sockets[1].send({"type": "complete", "id": keys[1]})

        thread = writing(place, 30, end)
        assert titles(sockets[2], keys[2], 30) == [str(each) for each in range(30)]
        thread.join()
        wait_for_subscribers(place, 1)
        assert streams(place.gateway) == 1
        place.create("Afterwards")
        assert titles(sockets[2], keys[2], 1) == ["Afterwards"]


def test_another_takes_over_at_once_also_where_many_streams_were_just_left(place: Place) -> None:
    leaver, heir = place.readers
    with begun(place.gateway, leaver) as one, begun(place.gateway, heir) as other:
        left = one.subscribe(ARTICLES)
        wait_for_subscribers(place, 1)
        key = other.subscribe(ARTICLES)
        wait_for_subscribers(place, 2)
        leave_streams(place.core, heir)
        one.send({"type": "complete", "id": left})
        left_at = time.monotonic()
        place.create("Taken over")
        assert titles(other, key, 1) == ["Taken over"]
        assert time.monotonic() - left_at < 2


def leave_streams(live: LiveCore, token: str) -> None:
    """Open as many streams of the core as one user may have, and leave them all at once."""
    with ExitStack() as stack:
        while stack.enter_context(told(live, token)).status == 200:
            pass


@contextmanager
def told(live: LiveCore, token: str) -> Iterator[http.client.HTTPResponse]:
    """The core's answer to who wants a stream."""
    connection = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=PATIENCE_SECONDS)
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {token}"}
    connection.request("GET", "/events", headers=headers)
    with connection.getresponse() as response:
        yield response
    connection.close()


def test_subscribers_of_one_token_do_not_ask_for_the_catalog_each(place: Place) -> None:
    with begun(place.gateway, place.admin) as socket:
        before = reads(place, "/data/datasets")
        socket.subscribe(ARTICLES)
        wait_for_subscribers(place, 1)
        assert reads(place, "/data/datasets") == before
        for number in range(2, 12):
            socket.subscribe("subscription { transactions { nodes { amount } } }")
            wait_for_subscribers(place, number)
        # The first one, before and after the check of his rights.
        assert reads(place, "/data/datasets") - before <= 2


def test_a_revoked_subscriber_is_ended_with_an_error_within_seven_seconds(place: Place, patient: Patient) -> None:
    bearer, other = (place.user(name) for name in ("eve", "fay"))
    served = patient.gateway
    with ExitStack() as stack:
        stack.enter_context(begun(served, bearer)).subscribe(ARTICLES)
        wait_until(lambda: subscribers(served) == 1)
        socket = stack.enter_context(begun(served, other))
        stream = stack.enter_context(streamed(served, other, ARTICLES))
        key = socket.subscribe(ARTICLES)
        wait_until(lambda: subscribers(served) == 3)
        place.call("POST", "/auth/revoke", token=other)
        revoked_at = time.monotonic()
        assert code(socket.next(key)) == "UNAUTHENTICATED"
        name, body = stream.next()
        assert time.monotonic() - revoked_at < 7
        assert (name, body["errors"][0]["extensions"]["code"]) == ("next", "UNAUTHENTICATED")
        assert stream.next() == ("complete", None)
        assert streams(served) == 1


def test_who_carries_no_stream_is_ended_too_when_his_login_ends(place: Place) -> None:
    first, second = place.readers[0], place.user("hal")
    with begun(place.gateway, first) as one, begun(place.gateway, second) as other:
        keys = [one.subscribe(ARTICLES)]
        wait_for_subscribers(place, 1)
        keys.append(other.subscribe(ARTICLES))
        wait_for_subscribers(place, 2)
        place.call("POST", "/auth/revoke", token=second)
        assert code(other.next(keys[1])) == "UNAUTHENTICATED"
        place.create("Still")
        assert titles(one, keys[0], 1) == ["Still"]
        assert code(other.next(other.subscribe(ARTICLES))) == "UNAUTHENTICATED"


def test_each_is_told_of_the_datasets_that_he_may_read(place: Place) -> None:
    whole = place.user("ida", {"dataset": "transactions"})
    part = place.user("jim", {"dataset": "transactions", "filter": "country=FR"})
    nothing = place.readers[0]
    with ExitStack() as stack:
        sockets = [stack.enter_context(begun(place.gateway, token)) for token in (whole, part, nothing, place.admin)]
        keys = [socket.subscribe(DATASETS) for socket in sockets]
        wait_for_subscribers(place, 4)
        assert streams(place.gateway) == 4
        place.add("secrets", {"id": 2})
        version = place.transact(100)
        told = {"dataset": "transactions", "version": version, "kind": "append", "rows": 1}
        assert sockets[0].data(keys[0]) == told
        assert sockets[1].data(keys[1]) == {**told, "kind": None, "rows": None}
        assert [sockets[3].data(keys[3])["dataset"] for _ in range(2)] == ["secrets", "transactions"]
        with pytest.raises(TimeoutError):
            sockets[2].next(keys[2], 0.5)


def test_what_one_has_done_himself_is_not_told_to_others_of_his_rights(place: Place) -> None:
    """The core tells who writes more of his own changes than others with the same rights."""
    grants = {"dataset": "transactions", "privileges": ["write"]}, {"dataset": "transactions", "filter": "country=FR"}
    first, second = (place.user(name, *grants) for name in ("leo", "mia"))
    with begun(place.gateway, first) as one, begun(place.gateway, second) as other:
        keys = [one.subscribe(DATASETS)]
        wait_for_subscribers(place, 1)
        keys.append(other.subscribe(DATASETS))
        wait_for_subscribers(place, 2)
        assert streams(place.gateway) == 1
        version = place.transact(200, token=first)
        told = {"dataset": "transactions", "version": version, "kind": None, "rows": None}
        assert one.data(keys[0]) == other.data(keys[1]) == told


def test_a_grant_taken_back_takes_its_changes_along_and_one_given_brings_them(place: Place) -> None:
    token, peer = place.user("nia"), place.user("oda", {"dataset": "transactions"})
    grant = place.grant("nia", dataset="transactions")
    with begun(place.gateway, token) as socket, begun(place.gateway, peer) as other:
        key, others = socket.subscribe(DATASETS), other.subscribe(DATASETS)
        articles = socket.subscribe(ARTICLES)
        wait_for_subscribers(place, 3)
        assert streams(place.gateway) == 2
        version = place.transact(300)
        assert socket.data(key)["version"] == other.data(others)["version"] == version
        place.call("DELETE", f"/grants/{grant}")
        wait_until(lambda: streams(place.gateway) == 3)
        place.transact(301)
        assert other.data(others)["version"] == version + 1
        place.create("Between")
        assert titles(socket, articles, 1) == ["Between"]
        with pytest.raises(TimeoutError):
            socket.next(key, 0.3)
        place.grant("nia", dataset="transactions")
        wait_until(lambda: streams(place.gateway) == 2)
        place.transact(302)
        assert other.data(others)["version"] == version + 2
        # What was changed while he might not see it is there now that he may, as it is on /events.
        assert [socket.data(key)["version"] for _ in range(2)] == [version + 1, version + 2]


def test_what_the_bearer_may_see_from_now_on_is_told_to_nobody_else(place: Place, patient: Patient) -> None:
    """His token is not due to be looked at for five seconds: only the events' policy tells."""
    tokens = [place.user(name, {"dataset": "transactions"}) for name in ("bob", "cat")]
    served = patient.gateway
    with ExitStack() as stack:
        sockets = [stack.enter_context(begun(served, token)) for token in tokens]
        keys = []
        for number, socket in enumerate(sockets, 1):
            keys.append(socket.subscribe(DATASETS))
            wait_until(lambda wanted=number: subscribers(served) == wanted)  # type: ignore[misc]
        assert streams(served) == 1
        place.grant("bob", dataset="secrets")
        place.add("secrets", {"id": 3})
        place.transact(600)
        assert sockets[1].data(keys[1])["dataset"] == "transactions"
        assert [sockets[0].data(keys[0])["dataset"] for _ in range(2)] == ["secrets", "transactions"]


def test_a_subscriber_who_takes_nothing_is_left_and_no_other(place: Place) -> None:
    query = "subscription { articleChanged { article { content } } }"
    with begun(place.gateway, place.readers[0]) as socket, streamed(place.gateway, place.readers[1], query):
        key, written = socket.subscribe(ARTICLES), 0
        wait_for_subscribers(place, 2)
        while subscribers(place.gateway) == 2:
            written += 1
            assert written < 200
            place.upsert(f"slow {written}", 10, "x" * 90_000)
            assert titles(socket, key, 10) == [str(each) for each in range(10)]
        place.create("Still here")
        assert titles(socket, key, 1) == ["Still here"]


def test_who_takes_events_more_slowly_than_they_come_is_told_so(place: Place, tmp_path: Path) -> None:
    query = "subscription { articleChanged { article { content } } }"
    with (
        gateway(place.core.url, tmp_path) as served,
        begun(served, place.readers[0]) as socket,
        streamed(served, place.readers[1], query) as stream,
    ):
        key, told, written = socket.subscribe(ARTICLES), {}, 0
        wait_until(lambda: subscribers(served) == 2)
        while "errors" not in told:
            written += 1
            assert written < 200
            place.upsert(f"fast {written}", 10, "x" * 90_000)
            assert titles(socket, key, 10) == [str(each) for each in range(10)]
            told = stream.next()[1]
        assert told["errors"][0]["extensions"]["code"] == "TOO_SLOW"
        assert stream.next() == ("complete", None)


def test_a_burst_is_told_whole_to_all_who_follow(place: Place) -> None:
    with begun(place.gateway, place.readers[0]) as socket:
        keys = [socket.subscribe(ARTICLES) for _ in range(3)]
        wait_for_subscribers(place, 3)
        place.upsert("burst", 1_000, "")
        wanted = [str(each) for each in range(1_000)]
        assert [titles(socket, key, 1_000) for key in keys] == [wanted] * 3


def test_a_job_is_followed_by_its_owner_until_it_has_ended(place: Place) -> None:
    job = place.call("POST", "/jobs", {"type": "audit_verification"}, 202)["id"]
    other = place.readers[0]
    query = "subscription Follow($id: Int!) { jobProgressed(id: $id) { id state progress { done unit } } }"
    with begun(place.gateway, place.admin) as socket, begun(place.gateway, other) as stranger:
        key = socket.subscribe(query, id=job)
        assert socket.data(key)["state"] == "QUEUED"
        assert code(stranger.next(stranger.subscribe(query, id=job))) == "NOT_FOUND"
        with worker(place.core.data_dir):
            states = []
            while (message := socket.next(key, 20))["type"] == "next":
                states.append(message["payload"]["data"]["jobProgressed"]["state"])
        assert message == {"type": "complete", "id": key}
        assert states[-1] == "SUCCEEDED"
        ended = socket.subscribe(query, id=job)
        assert socket.data(ended)["state"] == "SUCCEEDED"
        assert socket.next(ended)["type"] == "complete"


def test_jobs_are_followed_for_each_principal_by_himself(place: Place) -> None:
    admins = [place.admin, place.user("tom", role="admin")]
    jobs = [place.call("POST", "/jobs", {"type": "audit_verification"}, 202, token)["id"] for token in admins]
    with ExitStack() as stack:
        for token, job in zip(admins, jobs, strict=True):
            socket = stack.enter_context(begun(place.gateway, token))
            assert socket.data(socket.subscribe(f"subscription {{ jobProgressed(id: {job}) {{ id }} }}")) == {"id": job}
        assert streams(place.gateway) == 2


def test_figures_are_read_once_for_all_of_one_policy_and_once_a_second(place: Place) -> None:
    tokens = [place.user(name, {"dataset": "transactions"}) for name in ("val", "wes")]
    query = 'subscription { spendChanged(window: "1d") { groups { currency amount transactions } } }'
    with ExitStack() as stack:
        sockets = [stack.enter_context(begun(place.gateway, token)) for token in tokens]
        keys = [socket.subscribe(query) for socket in sockets]
        first = [socket.data(key)["groups"][0]["transactions"] for socket, key in zip(sockets, keys, strict=True)]
        assert first[0] == first[1]
        before = reads(place, "/analytics/spend")
        started = time.monotonic()
        for number in range(5):
            place.transact(400 + number)
        for socket, key in zip(sockets, keys, strict=True):
            while socket.data(key)["groups"][0]["transactions"] < first[0] + 5:
                pass
        assert reads(place, "/analytics/spend") - before <= time.monotonic() - started + 1


def test_new_rows_come_typed_as_each_may_see_them_read_once_for_each_policy(place: Place) -> None:
    grant = {"dataset": "transactions", "columns": ["transaction_id", "country"], "filter": "country=FR"}
    part = place.user("zed", grant)
    query = "subscription { transactions { version nodes { transaction_id country } } }"
    with ExitStack() as stack:
        sockets = [stack.enter_context(begun(place.gateway, token)) for token in (place.admin, place.admin, part)]
        keys = [socket.subscribe(query) for socket in sockets]
        wait_for_subscribers(place, 3)
        before = reads(place, "/diff")
        version = place.transact(501)
        row = {"transaction_id": "t501", "country": "DE"}
        told = [socket.data(key) for socket, key in zip(sockets, keys, strict=True)]
        assert told == [{"version": version, "nodes": [row]}] * 2 + [{"version": version, "nodes": []}]
        assert reads(place, "/diff") - before == 2
        hidden = sockets[2].next(sockets[2].subscribe("subscription { transactions { nodes { amount } } }"))
        assert "Cannot query field 'amount'" in hidden["payload"][0]["message"]


def test_a_subscription_to_what_is_hidden_from_now_on_is_ended(place: Place) -> None:
    token = place.user("abe")
    grant = place.grant("abe", dataset="transactions")
    with begun(place.gateway, token) as socket:
        key = socket.subscribe("subscription { transactions { nodes { transaction_id } } }")
        wait_for_subscribers(place, 1)
        place.call("DELETE", f"/grants/{grant}")
        ended = socket.next(key)
        assert ended["type"] == "error"
        assert "Cannot query field 'transactions'" in ended["payload"][0]["message"]


def test_who_comes_later_is_told_the_figure_of_that_moment(place: Place) -> None:
    query = 'subscription { spendChanged(window: "1d") { to } }'
    with begun(place.gateway, place.admin) as socket:
        first = socket.data(socket.subscribe(query))["to"]
        time.sleep(PERIOD_SECONDS)
        assert socket.data(socket.subscribe(query))["to"] > first


def reads(place: Place, route: str) -> float:
    """How often routes with this in them were read from the core."""
    samples = GraphQL(place.gateway.url).samples("graphql_upstream_requests_total")
    return sum(number for labels, number in samples.items() if route in labels)


def test_a_figure_shows_what_its_reader_may_see_also_when_that_changes(place: Place) -> None:
    token = place.user("xia")
    grant = place.grant("xia", dataset="transactions")
    query = 'subscription { topProductsChanged(window: "1d", x: 5) { products { productId productName bought } } }'
    with begun(place.gateway, token) as socket:
        key = socket.subscribe(query)
        everything = sum(each["bought"] for each in socket.data(key)["products"])
        place.grant("xia", dataset="transactions", filter="country=FR")
        place.call("DELETE", f"/grants/{grant}")
        while (seen := sum(each["bought"] for each in socket.data(key)["products"])) == everything:
            pass
        assert 0 < seen < everything


def test_a_core_that_cannot_be_reached_for_a_moment_costs_no_event(place: Place, patient: Patient) -> None:
    relay, served = patient.relay, patient.gateway
    with begun(served, place.readers[0]) as socket:
        key = socket.subscribe(ARTICLES)
        wait_until(lambda: subscribers(served) == streams(served) == 1)
        place.create("Before")
        assert titles(socket, key, 1) == ["Before"]
        relay.cut()
        wait_until(lambda: streams(served) == 0)
        place.create("Meanwhile")
        relay.mend()
        place.create("Afterwards")
        assert titles(socket, key, 2) == ["Meanwhile", "Afterwards"]


def test_a_token_that_nobody_confirms_counts_for_nothing(place: Place, tmp_path: Path) -> None:
    with ExitStack() as stack:
        relay = stack.enter_context(relayed(place.core.url))
        served = stack.enter_context(gateway(relay.url, tmp_path, SUBSCRIPTION_CHECK_SECONDS="0.2"))
        socket = stack.enter_context(begun(served, place.readers[0]))
        key = socket.subscribe(ARTICLES)
        wait_until(lambda: subscribers(served) == 1)
        relay.cut()
        assert code(socket.next(key, 4)) == "UPSTREAM_UNAVAILABLE"
