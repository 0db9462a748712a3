"""Limits hold before any work is done: nothing of a document beyond one reaches the core."""

import http.client
import json
import time
from collections.abc import Callable

import pytest
from graphql import get_introspection_query

from tests.gateway.conftest import GraphQL
from tests.live import Live, call


def alias(count: int) -> str:
    return "{ getArticles { articles { " + " ".join(f"a{n}: id" for n in range(count)) + " } } }"


def roots(count: int) -> str:
    return "{ " + " ".join("...R" for _ in range(count)) + " } fragment R on Query { __typename }"


def levels(count: int) -> str:
    return "{ getArticles " + "{ articles " * (count - 1) + "{ id }" + " }" * count


def fields(count: int) -> str:
    """Fields in so few places that it takes little to find that none contradict one another."""
    lists, rest = divmod(count, 49)
    inner = f"{{ articles {{ {'id title version ' * 15} id title }} }}"
    return "{ " + " ".join(f"a{n}: getArticles(limit: 1) {inner}" for n in range(lists)) + " __typename" * rest + " }"


def tokens(count: int) -> str:
    return "{ __typename " + "@a " * ((count - 3) // 2) + "}"


def bomb(depth: int) -> str:
    inner = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(depth))
    return f"{{ ...F0 }} {inner} fragment F{depth} on Query {{ __typename }}"


def nested_value(depth: int) -> str:
    return "{ getArticles(where: {id: " + "{not: " * depth + "{eq: 1}" + "}" * depth + "}) { success } }"


BEYOND: dict[str, tuple[str, str]] = {
    "aliases": (alias(31), "aliases"),
    "root fields": (roots(21), "at the top"),
    "levels": (levels(12), "levels of fields"),
    "fields": (fields(501), "fields"),
    "tokens": (tokens(2_003), "words and signs"),
    "a bomb of fragments": (bomb(30), "at the top"),
    "operations": (" ".join(f"query A{n} {{ __typename }}" for n in range(51)), "operations"),
    "fragments": (
        "{ __typename } " + " ".join(f"fragment F{n} on Query {{ __typename }}" for n in range(61)),
        "fragments",
    ),
    "the same field in one place": ("{ getArticles { articles { " + "id " * 200 + "} } }", "repeats"),
    "digits": (f"{{ getArticle(id: {'9' * 401}) {{ success }} }}", "digits"),
    "levels in a value": (nested_value(40), "levels in a value"),
    "characters": ("{ __typename } #" + "x" * 250_000, "characters"),
    "comments": ("#\n" * 501 + "{ __typename }", "words and signs"),
    "lines": ("\n" * 20_001 + "{ __typename }", "lines"),
    "brackets": ("{ a" * 900, "nested too deeply"),
    "brackets in a value": ("{ getArticles(where: " + "[" * 1_900, "nested too deeply"),
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_document_beyond_a_limit_is_refused_and_told_which(reader: GraphQL, name: str) -> None:
    document, expected = BEYOND[name]
    before = reader.samples("graphql_upstream_requests_total")
    error = reader.error(document)
    assert error["extensions"]["code"] == "TOO_LARGE"
    assert expected in error["message"]
    assert reader.samples("graphql_upstream_requests_total") == before


@pytest.mark.parametrize(("make", "count"), [(alias, 30), (roots, 20), (fields, 490)])
def test_a_document_at_a_limit_runs(reader: GraphQL, make: Callable[[int], str], count: int) -> None:
    assert "errors" not in reader.run(make(count))


def test_fragments_that_hold_one_another_are_refused(reader: GraphQL) -> None:
    cycle = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"
    assert reader.run(cycle)["errors"][0]["extensions"]["code"] == "INVALID"


def test_the_introspection_of_the_explorers_is_within_the_limits(nobody: GraphQL) -> None:
    answer = nobody.run(get_introspection_query(descriptions=True, input_value_deprecation=True))
    assert "errors" not in answer
    assert any(each["name"] == "Article" for each in answer["data"]["__schema"]["types"])


def test_an_introspection_that_goes_on_for_ever_is_refused(nobody: GraphQL) -> None:
    deep = "{ __schema { types " + "{ fields { type " * 9 + "{ name }" + " } }" * 9 + " } }"
    assert nobody.run(deep)["errors"]


def test_a_body_over_the_limit_is_413_before_it_is_sent(live_gateway: Live) -> None:
    connection = http.client.HTTPConnection(live_gateway.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/graphql")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str((1 << 20) + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["errors"][0]["extensions"]["code"] == "TOO_LARGE"
    connection.close()


def test_a_body_of_unknown_length_is_413_once_it_is_over_the_limit(live_gateway: Live) -> None:
    connection = http.client.HTTPConnection(live_gateway.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/graphql")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    # The last one is a byte, and no end follows: what comes after a refusal may find a closed door.
    for size in [65_536] * 16 + [1]:
        connection.send(b"%x\r\n%b\r\n" % (size, b" " * size))
    assert connection.getresponse().status == 413
    connection.close()


def test_the_costliest_documents_hold_nobody_up_for_long(nobody: GraphQL) -> None:
    for document in (fields(500), roots(20), bomb(3), "{ " + "x " * 490 + "}", "{ " + "x " * 1_990 + "}"):
        started = time.monotonic()
        nobody.run(document)
        assert time.monotonic() - started < 1.5


def test_health_answers_whatever_is_sent(live_gateway: Live) -> None:
    assert call("GET", f"{live_gateway.url}/health/live")[:2] == (200, '{"status":"ok"}')
