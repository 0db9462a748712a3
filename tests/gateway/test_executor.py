"""The gateway's executor answers as graphql-core's does, whatever the schema, the rows and the operation."""

import gc
import tracemalloc
from collections.abc import AsyncIterator
from inspect import isawaitable
from random import Random
from typing import Any, cast

import pytest
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    execute,
    parse,
    specified_scalar_types,
    subscribe,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from graphql_gateway.executor import ProjectingExecutor
from tests import loops
from tests.gateway.random_graphs import ODD, PLAIN, Documents, Rows, make_schema

ARTICLES = """
    type Query { articles: [Article] }
    type Subscription { article: Article }
    type Article { id: Int! title: String views: Int author: User tags: [String!] }
    type User { id: Int! username: String! }
"""
CHOOSING = "query ($with: Boolean!) { articles { id author @include(if: $with) { id @skip(if: $with) username } } }"
EVENTS = "subscription { article { id author { username } } }"
ALL = "{ articles { id title views tags author { id username } } }"


# What graphql-core cancels before it began is never awaited; its own tests overlook it too.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_random_operations_on_random_rows_are_answered_as_by_graphql_core() -> None:
    # Found while a named tuple is made, such a coroutine cannot even be warned of: its code has no builtins.
    gc.disable()
    try:
        _compare_random_operations()
        gc.collect()
    finally:
        gc.enable()


@given(st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def _compare_random_operations(seed: int) -> None:
    schema = make_schema(Random(seed))
    random = Random(seed + 1)
    for _ in range(3):
        document = parse(Documents(schema, random).write())
        for variables in ({"yes": True, "no": False}, {"yes": False, "no": True, "n": 3}):
            loops.run(_compare(schema, document, seed, variables))


@pytest.mark.parametrize("scalar", PLAIN)
def test_each_scalar_takes_each_value_as_in_graphql_core(scalar: str) -> None:
    types = {**make_schema(Random(0)).type_map, **specified_scalar_types}
    wanted = cast(GraphQLScalarType, types[scalar])
    schema = GraphQLSchema(GraphQLObjectType("Query", {"value": GraphQLField(wanted)}))
    for value in (*(value for values in PLAIN.values() for value in values), *ODD):
        expected, found = (_answer(schema, "{ value }", each, {"value": value}) for each in (None, ProjectingExecutor))
        assert found == expected, value


def test_a_denied_key_is_one_null_and_one_error() -> None:
    rows = [_article(0), ValueError("denied"), _article(2) | {"author": ValueError("denied too")}]
    result = _execute(build_schema(ARTICLES), parse(ALL), rows)
    assert [row and row["author"] for row in result.data["articles"]] == [{"id": 0, "username": "u0"}, None, None]
    assert [(each.message, each.path) for each in result.errors or ()] == [
        ("denied", ["articles", 1]),
        ("denied too", ["articles", 2, "author"]),
    ]


def test_plain_rows_are_read_without_a_resolver_and_without_what_a_resolver_is_told() -> None:
    told: list[str] = []

    class Telling(ProjectingExecutor):
        def build_resolve_info(self, *given: Any) -> GraphQLResolveInfo[Any]:
            info = super().build_resolve_info(*given)
            told.append(info.field_name)
            return info

    schema = build_schema(ARTICLES)
    schema.query_type.fields["articles"].resolve = lambda *_: [_article(number) for number in range(100)]  # type: ignore[union-attr]
    result = execute(schema, parse(ALL), executor_class=Telling)
    assert isinstance(result, ExecutionResult)
    assert result.data == {"articles": [_article(number) for number in range(100)]}
    assert told == ["articles"]


@pytest.mark.parametrize("name", ["Article.title", "User.username"])
def test_a_field_with_a_resolver_is_always_resolved(name: str) -> None:
    schema = build_schema(ARTICLES)
    noun, key = name.split(".")
    schema.type_map[noun].fields[key].resolve = lambda *_: "hidden"  # type: ignore[attr-defined]
    result = _execute(schema, parse(ALL), [_article(number) for number in range(3)])
    found = [row if noun == "Article" else row["author"] for row in result.data["articles"]]
    assert [each[key] for each in found] == ["hidden"] * 3


def test_a_middleware_sees_every_field() -> None:
    seen: list[str] = []

    def watch(resolve: Any, source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        seen.append(info.field_name)
        return resolve(source, info, **arguments)

    schema = build_schema(ARTICLES)
    root = {"articles": [_article(0)]}
    execute(schema, parse(ALL), root, middleware=[watch], executor_class=ProjectingExecutor)
    assert seen == ["articles", "id", "title", "views", "tags", "author", "id", "username"]


def test_a_field_that_lacks_its_argument_is_an_error() -> None:
    schema = build_schema(ARTICLES.replace("title:", "title(length: Int!):"))
    result = _execute(schema, parse("{ articles { title } }"), [_article(0)])
    assert [error.path for error in result.errors] == [["articles", 0, "title"]]


def test_schemas_with_the_same_names_do_not_mix() -> None:
    other = ARTICLES.replace("views: Int", "views: String").replace("id: Int!", "id: ID!")
    schemas = [build_schema(ARTICLES), build_schema(other)]
    document = parse(ALL)
    for number in range(200):
        rows = [_article(number)]
        [found] = _execute(schemas[number % 2], document, rows).data["articles"]
        assert found["id"] == (str(number) if number % 2 else number)
        assert found["views"] == (str(number * 2) if number % 2 else number * 2)


def test_variables_of_one_request_do_not_reach_the_next() -> None:
    schema = build_schema(ARTICLES)
    document = parse(CHOOSING)
    for number in range(200):
        [found] = _execute(schema, document, [_article(number)], {"with": number % 2 == 0}).data["articles"]
        assert found == ({"id": number, "author": {"username": f"u{number}"}} if number % 2 == 0 else {"id": number})


def test_a_row_that_others_share_is_told_as_each_place_selects_it() -> None:
    author = {"id": 7, "username": "ann"}
    schema = build_schema(ARTICLES)
    document = parse("{ articles { a: author { id } b: author { username } author { name: username id } } }")
    result = execute(schema, document, {"articles": [{"author": author}] * 3}, executor_class=ProjectingExecutor)
    told = {"a": {"id": 7}, "b": {"username": "ann"}, "author": {"name": "ann", "id": 7}}
    assert result == ExecutionResult({"articles": [told] * 3}, None)


def test_rows_of_one_list_are_not_taken_for_those_of_another_that_came_in_their_place() -> None:
    numbers = iter(range(1_000))
    schema = build_schema(ARTICLES.replace("tags:", "others: [Article] tags:"))
    type_ = cast(GraphQLObjectType, schema.type_map["Article"])
    type_.fields["others"].resolve = lambda *_: [{"author": {"id": next(numbers)}} for _ in range(5)]
    document = parse("{ articles { others { author { id } } } }")
    result = execute(schema, document, {"articles": [{} for _ in range(20)]}, executor_class=ProjectingExecutor)
    assert isinstance(result, ExecutionResult)
    lists = [row["others"] for row in (result.data or {})["articles"]]
    assert [row["author"]["id"] for rows in lists for row in rows] == list(range(100))


def test_each_event_of_a_subscription_is_answered_and_none_is_remembered() -> None:
    async def run() -> int:
        stream = subscribe(schema, parse(EVENTS), executor_class=executor)
        held = 0
        async for result in stream:  # type: ignore[union-attr]
            number = result.data["article"]["id"]
            assert result.data == {"article": {"id": number, "author": {"username": f"u{number}"}}}
            if number in {200, 1200}:
                gc.collect()
                held = tracemalloc.get_traced_memory()[0] - held
        return held

    async def events(*_: Any) -> AsyncIterator[Any]:
        for number in range(1201):
            yield {"article": _article(number)}

    schema, executor = build_schema(ARTICLES), ProjectingExecutor
    schema.subscription_type.fields["article"].subscribe = events  # type: ignore[union-attr]
    tracemalloc.start()
    try:
        assert loops.run(run()) < 50_000, "bytes kept of 1,000 events"
    finally:
        tracemalloc.stop()


def _article(number: int) -> dict[str, Any]:
    author = {"id": number, "username": f"u{number}"}
    return {"id": number, "title": f"Title {number}", "views": number * 2, "tags": ["a", "b"], "author": author}


def _execute(schema: GraphQLSchema, document: DocumentNode, rows: Any, variables: Any = None) -> Any:
    return execute(schema, document, {"articles": rows}, None, variables, executor_class=ProjectingExecutor)


def _answer(schema: GraphQLSchema, text: str, executor: type[Executor[Any]] | None, root: Any) -> Any:
    result = execute(schema, parse(text), root, executor_class=executor)
    assert isinstance(result, ExecutionResult)
    return repr(result.data), [_described(error) for error in result.errors or ()]


async def _compare(schema: GraphQLSchema, document: DocumentNode, seed: int, variables: dict[str, Any]) -> None:
    expected, found = [
        await _run(schema, document, executor, Rows(schema, Random(seed)).make("Query"), variables)
        for executor in (None, ProjectingExecutor)
    ]
    assert found == expected


async def _run(
    schema: GraphQLSchema, document: DocumentNode, executor: type[Executor[Any]] | None, root: Any, variables: Any
) -> Any:
    result = execute(schema, document, root, None, variables, executor_class=executor)
    result = await result if isawaitable(result) else result
    return repr(result.data), [_described(error) for error in result.errors or ()]


def _described(error: GraphQLError) -> Any:
    return error.message, error.path, error.locations, type(error.original_error)
