"""The style of the graph: graphql-eslint's recommended and Relay rules, and what is excepted from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate

import pytest
from graphql import Node, parse

from tests.npm.running import Node as NodeJs

DEFINED = ("definitions", "fields", "values", "arguments")


@dataclass(frozen=True)
class Problem:
    """What a rule finds, and where in the schema."""

    rule: str
    coordinate: str
    text: str


@dataclass(frozen=True)
class Exempt:
    """Problems that are meant: those of a rule at coordinates, `*` for any, whose text has some words."""

    rule: str
    coordinates: tuple[str, ...]
    words: str
    reason: str

    def covers(self, problem: Problem) -> bool:
        """Whether a problem is one of them."""
        is_there = any(fnmatchcase(problem.coordinate, each) for each in self.coordinates)
        return is_there and problem.rule == self.rule and self.words in problem.text


EXCEPTIONS = (
    Exempt("naming-convention", ("Query.getArticle", "Query.getArticles"), '"get" prefix', "the names are prescribed"),
    Exempt(
        "naming-convention",
        ("*Row.*", "*Where.*", "*Order.*"),
        "should be in camelCase",
        "a column of a dataset keeps its name",
    ),
    Exempt("naming-convention", ("Query.*", "Subscription.*"), "should be in camelCase", "a dataset keeps its name"),
    Exempt("no-typename-prefix", ("User.username",), "", "it is the word for it, and the core's"),
    Exempt(
        "no-unreachable-types", ("*Filter", "Decimal", "JSON"), "", "they are for columns, where datasets have such"
    ),
    Exempt(
        "strict-id-in-types",
        ("*",),
        "must have exactly one non-nullable unique identifier",
        "ids are Int, as prescribed for articles; pages, answers and rows have none",
    ),
    Exempt("relay-arguments", ("*.*",), "`last`", "the core's cursors lead forward only"),
    Exempt("relay-arguments", ("*.*",), "`before`", "the core's cursors lead forward only"),
    Exempt("relay-edge-types", ("*Edge",), "`Node` interface", "Node wants an ID, and ids are Int"),
    Exempt(
        "relay-edge-types", ("*.*",), "should only wrap an edge type", "nodes and errors are lists of what they are"
    ),
)


@pytest.fixture(scope="module")
def problems(node: NodeJs, demo_sdl: Mapping[str, str]) -> list[Problem]:
    """What the rules find in the static part and in the demo administrator's schema."""
    return [problem for sdl in demo_sdl.values() for problem in _linted(node, sdl)]


def test_the_schema_keeps_the_rules_but_for_listed_exceptions(problems: list[Problem]) -> None:
    assert {each for each in problems if not any(exception.covers(each) for exception in EXCEPTIONS)} == set()


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda each: f"{each.rule} {each.coordinates[0]} {each.words}")
def test_an_exception_is_listed_only_while_it_is_needed(exception: Exempt, problems: list[Problem]) -> None:
    assert any(map(exception.covers, problems)), "take it out of the list"


def test_a_problem_is_found_where_it_is(node: NodeJs) -> None:
    sdl = 'type Query { "It" item(Bad: Int): Item }\n"""\nA thing.\n"""\ntype Item {\n  Wrong_name: String\n}\n'
    found = {(each.rule, each.coordinate) for each in _linted(node, sdl)}
    assert found == {
        ("description-style", "Query.item"),
        ("relay-page-info", "Query"),
        ("naming-convention", "Query.item(Bad:)"),
        ("naming-convention", "Item.Wrong_name"),
        ("require-description", "Query"),
        ("strict-id-in-types", "Item"),
    }


def _linted(node: NodeJs, sdl: str) -> list[Problem]:
    places = list(_places(parse(sdl), ""))
    starts = [0, *accumulate(len(line) + 1 for line in sdl.split("\n"))]
    found = node.run("lint.mjs", {"sdl": sdl})
    assert all("line" in each for each in found), found
    return [
        Problem(
            each["rule"].split("/")[1],
            _coordinate(places, starts[each["line"] - 1] + each["column"] - 1),
            each["message"],
        )
        for each in found
    ]


def _places(parent: Node, path: str) -> Iterator[tuple[Node, str]]:
    """Every definition and its coordinate, what is within another after it."""
    for member in DEFINED:
        for each in getattr(parent, member, None) or ():
            name = each.name.value if getattr(each, "name", None) else ""
            coordinate = {"definitions": name, "arguments": f"{path}({name}:)"}.get(member, f"{path}.{name}")
            yield each, coordinate
            yield from _places(each, coordinate)


def _coordinate(places: Sequence[tuple[Node, str]], offset: int) -> str:
    """The innermost definition around a place in the text."""
    return [name for node, name in places if node.loc and node.loc.start <= offset <= node.loc.end][-1]
