"""Holes that an attacker found, each by what he did."""

import asyncio
import hashlib
import json
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from graphql import build_schema
from starlette.requests import Request
from starlette.types import Message
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from graphql_gateway import graphql_http
from graphql_gateway.documents import Documents
from graphql_gateway.errors import Malformed
from graphql_gateway.limits import Limits
from graphql_gateway.settings import Settings
from tests import loops
from tests.gateway.conftest import GraphQL
from tests.gateway.lake import LiveLake
from tests.gateway.subscribing import begun
from tests.live import Live, LiveCore

QUICK_SECONDS = 1.0
UPLOAD = 'mutation ($file: Upload!) { uploadFile(file: $file, dataset: "visits") { success } }'
NESTED = "{ __typename ... on User { id articles(first: 100) { id title content version } } }"


@pytest.fixture(scope="module")
def admin(live_core: LiveCore, live_gateway: Live) -> GraphQL:
    """The administrator."""
    token = live_core.log_in("admin", live_core.admin_password)
    return GraphQL(live_gateway.url, {"Authorization": f"Bearer {token}"})


def test_a_content_type_that_takes_long_to_read_is_not_read(nobody: GraphQL) -> None:
    started = time.monotonic()
    status, text, _ = nobody.post(
        {"query": "{ __typename }"}, **{"Content-Type": 'application/json; a="' + ";" * 60_000}
    )
    assert (status, "UNSUPPORTED_MEDIA_TYPE" in text) == (415, True)
    assert time.monotonic() - started < QUICK_SECONDS


def test_a_content_type_with_a_huge_number_is_no_mistake_of_ours(nobody: GraphQL) -> None:
    numbered = f"application/json; charset*{'1' * 5_000}=x"
    assert nobody.post({"query": "{ __typename }"}, **{"Content-Type": numbered})[0] == 415


@pytest.mark.parametrize("name", ["{group}/members/{member}", "..", ".", ""])
def test_no_name_of_a_group_leads_to_another_route(admin: GraphQL, reader: GraphQL, name: str) -> None:
    member, group = reader.result("{ me { username } }")["username"], f"g{time.monotonic_ns()}"
    assert admin.result("mutation ($n: String!) { createGroup(name: $n) { success } }", n=group)["success"]
    adding = "mutation ($g: String!, $u: String!) { addMember(group: $g, username: $u) { success } }"
    assert admin.result(adding, g=group, u=member)["success"]
    called = name.format(group=group, member=member)
    told = admin.result("mutation ($n: String!) { deleteGroup(name: $n) { success errors code } }", n=called)
    refused = {"success": False, "errors": [f"Group {called} is not there, or is not for you to see"]}
    assert told == {**refused, "code": "NOT_FOUND"}
    assert admin.result("query ($n: String!) { group(name: $n) { members } }", n=group) == {"members": [member]}


def test_a_number_with_a_point_costs_what_it_asks_for(admin: GraphQL) -> None:
    query = "query ($n: Int) { users(first: $n) { nodes { id articles(first: $n) { id title content } } } }"
    error = admin.error(query, n=100.0)
    assert error["extensions"]["code"] == "TOO_LARGE"


def test_representations_in_a_default_cost_as_many_as_there_are(admin: GraphQL) -> None:
    references = ",".join(f'{{__typename: "User", id: {number}}}' for number in range(1, 101))
    query = f"query ($r: [_Any!]! = [{references}]) {{ _entities(representations: $r) {NESTED} }}"
    assert admin.error(query)["extensions"]["code"] == "TOO_LARGE"


def test_who_guesses_what_others_asked_of_a_hidden_dataset_does_not_learn_that_they_did(lake: LiveLake) -> None:
    query = '{ dataset(name: "hidden") { name } }'
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}
    who_sees_it, who_does_not = lake.admin(), lake.user("guessing", {"dataset": "payments"})
    assert '"hidden"' in who_sees_it.post({"query": query, "extensions": extensions})[1]
    assert '"hidden"' in who_sees_it.post({"extensions": extensions})[1]
    assert "PERSISTED_QUERY_NOT_FOUND" in who_does_not.post({"extensions": extensions})[1]


def test_a_token_that_is_not_good_makes_no_document_known(reader: GraphQL, nobody: GraphQL) -> None:
    query = "{ me { id } made_known: __typename }"
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}
    told = nobody.post({"query": query, "extensions": extensions}, Authorization="Bearer none")[1]
    assert ("UNAUTHENTICATED" in told, "data" in json.loads(told)) == (True, False)
    assert "PERSISTED_QUERY_NOT_FOUND" in reader.post({"extensions": extensions})[1]


def test_headers_that_are_too_large_come_no_further_than_the_door(nobody: GraphQL, live_gateway: Live) -> None:
    status, text, headers = nobody.post({"query": "{ me { id } }"}, Authorization=f"Bearer {'x' * 70_000}")
    assert (status, json.loads(text)["code"]) == (431, "too_large")
    assert headers["content-type"] == "application/problem+json"
    url = live_gateway.url.replace("http", "ws", 1)
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{url}/graphql", additional_headers={"X": "x" * 70_000}, proxy=None)
    assert refused.value.response.status_code == 431


def begun_upload(url: str, token: str) -> socket.socket:
    """A request whose file never comes."""
    operations = {"query": UPLOAD, "variables": {"file": None}}
    fields = {"operations": json.dumps(operations), "map": '{"0": ["variables.file"]}'}
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}' for name, text in fields.items()]
    body = "\r\n".join([*parts, '--b\r\nContent-Disposition: form-data; name="0"; filename="a.csv"\r\n\r\n'])
    head = f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nGraphQL-Require-Preflight: 1\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9999\r\n\r\n"
    address = urlsplit(url)
    opened = socket.create_connection((address.hostname or "", address.port or 0), timeout=5)
    opened.sendall(f"{head}{kind}{body}".encode())
    return opened


def test_who_has_no_good_token_keeps_no_place_for_a_file_that_never_comes(live_gateway: Live) -> None:
    with ExitStack() as stack:
        begun = [stack.enter_context(begun_upload(live_gateway.url, f"Bearer {number}")) for number in range(12)]
        assert [b"UNAUTHENTICATED" in each.recv(4_096) for each in begun] == [True] * 12


def test_operations_of_one_socket_are_not_large_together(live_core: LiveCore, live_gateway: Live) -> None:
    query, large = "subscription { articleChanged { id } }", "x" * 100_000
    with begun(live_gateway, live_core.add_user("reader")) as socket:
        first = socket.subscribe(query, kept=large)
        refused = socket.next(socket.subscribe(query, kept=large))
        assert refused["payload"][0]["extensions"]["code"] == "OVERLOADED"
        socket.send({"type": "complete", "id": first})
        assert socket.data(socket.subscribe("{ me { id } }", kept=large))


def test_an_accept_that_takes_long_to_read_is_not_read(nobody: GraphQL) -> None:
    assert nobody.post({"query": "{ __typename }"}, Accept=f"{'a;b,' * 2_000}*/*")[0] == 406


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphql_http, "BODY_SECONDS", 0.01)

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(Malformed) as told:
        loops.run(graphql_http.body(Request({"type": "http", "method": "POST", "headers": []}, never), 1_000))
    assert (told.value.status, told.value.code) == (408, "REQUEST_TIMEOUT")


def test_an_origin_that_is_no_url_opens_no_socket_and_fills_no_log(live_gateway: Live) -> None:
    url = live_gateway.url.replace("http", "ws", 1)
    with pytest.raises(InvalidStatus) as refused:
        connect(
            f"{url}/graphql", origin=Origin("http://["), subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None
        )
    assert refused.value.response.status_code == 403
    assert "FORBIDDEN" in (refused.value.response.body or b"").decode()
    assert "unexpected error" not in live_gateway.log.read_text()


def test_documents_that_take_much_memory_are_not_all_kept() -> None:
    documents = Documents(build_schema("type Query { a(b: [Int!]): Int }"), Limits.of(Settings.load({})))
    texts = [f"{{ a(b: [{number}]) }}{',' * 3_900}" for number in range(60)]
    prepared = [documents.prepare(text) for text in texts]
    assert documents.prepare(texts[-1]) is prepared[-1]
    assert documents.prepare(texts[0]) is not prepared[0]
