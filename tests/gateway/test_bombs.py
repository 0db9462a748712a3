"""What is sent to exhaust the gateway is refused for less than 50 ms of its processor."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from graphql import get_introspection_query

from tests.gateway.conftest import GraphQL
from tests.live import Live, call

SECONDS = 0.05
TIMES = 5
MEGABYTE = 1 << 20
LONGEST = 119_000


def on_articles(selection: str) -> str:
    return f"{{ getArticles {{ articles {{ {selection} }} }} }}"


def with_value(value: str) -> str:
    return f"{{ getArticles(where: {value}) {{ success nothing }} }}"


def named(count: int, pattern: str) -> str:
    return " ".join(pattern.format(n, n + 1) for n in range(count))


def fan_out(levels: int, spreads: int) -> str:
    inner = named(levels, "fragment F{0} on Article {{ " + "...F{1} " * spreads + "}}")
    return f"{on_articles('...F0')} {inner} fragment F{levels} on Article {{ id }}"


def introspection(levels: int) -> str:
    return "{ __schema { types " + "{ fields { type " * levels + "{ name }" + " } }" * levels + " } }"


def mutual(count: int) -> str:
    every = " ".join(f"...F{n}" for n in range(count))
    return "{ ...F0 } " + named(count, "fragment F{0} on Query {{ " + every + " }}")


DOCUMENTS = {
    "1,000 aliases": on_articles(named(1_000, "a{0}: id")),
    "31 aliases of lists": "{ " + named(31, "a{0}: getArticles(limit: 100) {{ success }}") + " }",
    "fragments fanning out over 16 levels": fan_out(16, 2),
    "fragments fanning out by 20": fan_out(16, 20),
    "depth 500": "{ a" * 500 + " }" * 500,
    "depth 500 within the words": "{ getArticles " + "{ articles " * 498 + "{ id" + " }" * 499 + " }",
    "introspection of introspection": introspection(9),
    "introspection of two levels, many times": "{ " + introspection(2)[1:-1] * 15 + " }",
    "the whole schema, twice": get_introspection_query() + " query Again" + get_introspection_query()[24:],
    "10,000 directives": "{ __typename " + "@a " * 10_000 + "}",
    "980 directives": "{ __typename " + "@a " * 980 + "}",
    "980 different directives": "{ __typename " + named(980, "@a{0}") + " }",
    "the same directive 240 times": "{ __typename " + "@skip(if: true) " * 240 + "}",
    "a text of a megabyte": f'{{ getArticles(cursor: "{"x" * 1_000_000}") {{ nothing }} }}',
    "a text of the longest": f'{{ getArticles(cursor: "{"x" * LONGEST}") {{ nothing }} }}',
    "a text of escapes": '{ getArticles(cursor: "' + "\\n" * (LONGEST // 2) + '") { nothing } }',
    "as many escapes as a document may have": '{ getArticles(cursor: "'
    + "\\n" * 19_900
    + "x" * (LONGEST - 40_000)
    + '") { nothing } }',
    "as many lines as a document may have": '{ getArticles(cursor: """' + "\n x" * 19_900 + '""") { nothing } }',
    "a block of lines": '{ getArticles(cursor: """' + "\n x" * (LONGEST // 3) + '""") { nothing } }',
    "an integer of the longest": f"{{ getArticle(id: {'9' * LONGEST}) {{ success }} }}",
    "a Long of the longest": with_value(f"{{externalVersion: {{eq: {'9' * LONGEST}}}}}"),
    "a float of the longest": f"{{ getArticle(id: 1.{'9' * LONGEST}) {{ success }} }}",
    "an exponent of the longest": f"{{ getArticle(id: 1e{'9' * LONGEST}) {{ success }} }}",
    "a name of the longest": f"{{ {'a' * LONGEST} }}",
    "a type of the longest": f"{{ ... on {'Articl' * (LONGEST // 6)} {{ x }} }}",
    "directives with long names": "{ __typename " + named(240, "@" + "g" * 480 + "{0}") + " }",
    "spaces": " " * LONGEST + "{ nothing }",
    "lines": "\n" * LONGEST + "{ nothing }",
    "one field 480 times": on_articles("id " * 480),
    "one unknown field 1,900 times": on_articles("x " * 1_900),
    "one field in 240 inline fragments": on_articles("... on Article { id } " * 240),
    "100 fragments in one place": on_articles(named(100, "...F{0}"))
    + named(100, "fragment F{0} on Article {{ id title author {{ id }} }}"),
    "60 fragments in one place": on_articles(named(60, "...F{0}"))
    + named(60, "fragment F{0} on Article {{ id title author {{ id }} }}"),
    "fields that cannot be merged": "{ " + named(19, "getArticle(id: {0}) {{ article {{ id title }} }}") + " }",
    "fragments that nobody uses": "{ __typename } " + named(240, "fragment F{0} on Article {{ id }}"),
    "60 fragments that nobody uses": "{ __typename } " + named(60, "fragment F{0} on Article {{ id title version }}"),
    "a chain of fragments in 50 operations": named(50, "query A{0} {{ ...F0 }} ")
    + named(59, "fragment F{0} on Query {{ ...F{1} }}")
    + " fragment F59 on Query { nothing }",
    "fragments within one another": mutual(28),
    "390 operations": named(390, "query A{0} {{ __typename }} "),
    "50 operations of the same name": "query A { __typename } " * 50,
    "a list 900 deep": "{ getArticles(orderBy: " + "[" * 900 + "]" * 900 + ") { success } }",
    "an object 450 deep": with_value("{not: " * 450 + "{}" + "}" * 450),
    "an object 31 deep with what is unknown": with_value("{nothing: 1, not: " * 31 + "{}" + "}" * 31),
    "a list of 1,900": with_value("{id: {in: [" + "1 " * 1_900 + "]}}"),
    "a list of 1,900 that are no numbers": with_value("{id: {in: [" + '"a" ' * 1_900 + "]}}"),
    "600 unknown members": with_value("{" + "a: 1 " * 600 + "}"),
    "600 unknown arguments": "{ getArticle(" + named(600, "a{0}: 1") + ") { success } }",
    "600 times the same argument": "{ getArticle(" + "id: 1 " * 600 + ") { success } }",
    "490 unknown fields": on_articles(named(490, "titl{0}")),
    "490 variables that nobody uses": "query(" + named(490, "$v{0}: Int") + ") { __typename }",
    "490 variables of unknown types": "query(" + named(490, "$v{0}: Artikle{0}") + ") { __typename }",
    "600 unknown fragments": "{ " + named(600, "...Artikle{0}") + " }",
}


def filled(member: str, size_bytes: int = MEGABYTE - 100) -> bytes:
    """A body whose variable is a list of as many members as there is room for."""
    members = ",".join([member] * (size_bytes // (len(member) + 1)))
    return b'{"query": "query($a: [Int!]) { nothing }", "variables": {"a": [' + members.encode() + b"]}}"


def variables(count: int) -> bytes:
    given = ",".join(f'"v{n}":1' for n in range(count))
    return f'{{"query": "{{ nothing }}", "variables": {{{given}}}}}'.encode()


BODIES = {
    "a batch": b"[" + b",".join([b'{"query": "{ __typename }"}'] * 30_000) + b"]",
    "100,000 variables": variables(75_000)[:-2] + b',"' + b"x" * 20_000 + b'":1}}',
    "29,000 variables": variables(29_000),
    "empty lists": filled("[]"),
    "empty objects": filled("{}"),
    "whole numbers": filled("1"),
    "objects": filled('{"a":1}'),
    "texts": filled('""'),
    "lists 60 deep": filled("[" * 60 + "]" * 60),
    "objects 60 deep": filled('{"a":' * 60 + "1" + "}" * 60),
    "29,000 numbers": filled("1", 58_000),
    "29,000 texts that are no numbers": filled('"a"', 4 * 29_000).replace(b"{ nothing }", b"{ __typename }"),
    "long floats": filled("1." + "9" * 35),
    "one integer": b'{"query": "{ nothing }", "variables": {"a": ' + b"9" * 1_000_000 + b"}}",
    "lists without an end": b"[" * MEGABYTE,
    "objects without an end": b'{"a":' * 200_000,
    "a text of escapes": b'{"query": "' + b"\\n" * 500_000 + b'"}',
}


@pytest.fixture(scope="module")
def processor(live_gateway: Live) -> Callable[[], float]:
    """Seconds of processor that the gateway has used, all of its processes together."""
    pids = list(family(live_gateway.process.pid))

    def used() -> float:
        # The clock of another process, as clock_getcpuclockid(3) makes it of a pid.
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)

    return used


def family(pid: int) -> Iterator[int]:
    """A process and those it started."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from family(int(child))


def is_cheap(processor: Callable[[], float], send: Callable[[int], None]) -> bool:
    """Whether a request costs less than 50 ms, as it does where nothing else slows the processor down."""
    return any(_spent(processor, send, number) < SECONDS for number in range(TIMES))


def _spent(processor: Callable[[], float], send: Callable[[int], None], number: int) -> float:
    before = processor()
    send(number)
    return processor() - before


def refusal(text: str) -> list[dict[str, Any]]:
    answer = json.loads(text)
    assert "data" not in answer
    errors: list[dict[str, Any]] = answer["errors"]
    return errors


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_bomb_of_a_document_costs_less_than_50_ms(nobody: GraphQL, processor: Callable[[], float], name: str) -> None:
    def send(number: int) -> None:
        # A comment of its own, or the second one would find the first one's refusal.
        _, text, _ = nobody.post({"query": f"{DOCUMENTS[name]} #{number}"})
        assert {error["extensions"]["code"] for error in refusal(text)} <= {"INVALID", "TOO_LARGE"}

    assert is_cheap(processor, send)


@pytest.mark.parametrize("name", BODIES)
def test_a_bomb_of_a_body_costs_less_than_50_ms(nobody: GraphQL, processor: Callable[[], float], name: str) -> None:
    def send(_number: int) -> None:
        status, text, _ = nobody.post(BODIES[name])
        assert status in (200, 400, 413)
        refusal(text)

    assert is_cheap(processor, send)


def test_a_body_of_20_megabytes_costs_less_than_50_ms(live_gateway: Live, processor: Callable[[], float]) -> None:
    def send(_number: int) -> None:
        connection = http.client.HTTPConnection(live_gateway.url.removeprefix("http://"), timeout=10)
        with suppress(OSError):  # the door may close before all of it has come
            connection.request("POST", "/graphql", b" " * (20 << 20), {"Content-Type": "application/json"})
        assert connection.getresponse().status == 413
        connection.close()

    assert is_cheap(processor, send)


def test_the_fullest_introspection_is_within_the_limits_and_two_of_them_are_not(nobody: GraphQL) -> None:
    fullest = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
        experimental_directive_deprecation=True,
        one_of=True,
    )
    again = fullest.replace("query IntrospectionQuery", "query Again")
    error = nobody.error(f"{fullest} {again}")
    assert (error["extensions"]["code"], "introspection" in error["message"]) == ("TOO_LARGE", True)


def test_health_answers_after_all_of_it(live_gateway: Live) -> None:
    assert call("GET", f"{live_gateway.url}/health/live")[:2] == (200, '{"status":"ok"}')
