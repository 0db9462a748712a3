"""What executing an operation on rows that are at hand costs: the gateway's executor beside graphql-core's."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import ExecutionResult, Executor, GraphQLSchema, build_schema, execute, parse

from benchmarks.report import Finding, Report
from graphql_gateway.executor import ProjectingExecutor

ROWS = 100
SLICES, PER_SLICE = 40, 10
TARGET_RATIO = 0.4
FIELDS = "id title content authorId origin version createdAt"
SDL = """
    type Query { articles: Articles! article: Article }
    type Articles { edges: [Edge!]! nodes: [Article!]! }
    type Edge { cursor: String! node: Article! }
    type Article {
        id: Int! title: String! content: String! authorId: Int! origin: String version: Int! createdAt: String!
        author: User
    }
    type User { id: Int! username: String! }
"""
WORK = {
    f"{ROWS * 7} plain fields: {ROWS} articles of 7": f"{{ articles {{ nodes {{ {FIELDS} }} }} }}",
    f"{ROWS} edges, each with an article and its author": (
        f"{{ articles {{ edges {{ cursor node {{ {FIELDS} author {{ id username }} }} }} }} }}"
    ),
    "one article of 7 fields": f"{{ article {{ {FIELDS} }} }}",
}


@dataclass(frozen=True)
class Times:
    """Seconds of the processor that one execution took, slice by slice, by graphql-core and by ours."""

    core: Sequence[float]
    ours: Sequence[float]

    @property
    def ratio(self) -> float:
        """Ours to graphql-core's: the median over neighbouring slices."""
        return statistics.median(ours / core for ours, core in zip(self.ours, self.core, strict=True))


def run(_folder: Path) -> Report:
    """Measure it, in this process."""
    schema = _schema()
    times = {name: _measure(schema, text) for name, text in WORK.items()}
    plain = next(iter(times.values()))
    return Report(
        "Execution: rows at hand, the gateway's executor beside graphql-core's",
        ("work", "graphql-core CPU ms", "ours CPU ms", "ours to graphql-core's"),
        [_row(name, each) for name, each in times.items()],
        [
            Finding(
                f"{ROWS * 7} plain fields executed",
                f"{plain.ratio:.3f} of graphql-core's time",
                f"at most {TARGET_RATIO}",
                plain.ratio <= TARGET_RATIO,
            )
        ],
    )


def _schema() -> GraphQLSchema:
    schema = build_schema(SDL)
    assert schema.query_type is not None
    articles = [_article(number) for number in range(ROWS)]
    edges = [{"cursor": f"c{article['id']}", "node": article} for article in articles]
    schema.query_type.fields["articles"].resolve = lambda *_: {"edges": edges, "nodes": articles}
    schema.query_type.fields["article"].resolve = lambda *_: articles[0]
    return schema


def _article(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "title": f"Title {number}",
        "content": "Words. " * 20,
        "authorId": number % 7,
        "origin": None,
        "version": 1,
        "createdAt": "2026-11-01T12:00:00Z",
        "author": {"id": number % 7, "username": f"user{number % 7}"},
    }


def _measure(schema: GraphQLSchema, text: str) -> Times:
    document = parse(text)

    def by(executor: type[Executor[Any]] | None) -> Callable[[], Any]:
        return lambda: execute(schema, document, executor_class=executor)

    core, ours = by(None), by(ProjectingExecutor)
    answer = core()
    assert isinstance(answer, ExecutionResult)
    assert answer.errors is None
    assert answer == ours(), "the two answers differ"
    pairs = [(_seconds(core), _seconds(ours)) for _ in range(SLICES)]
    return Times([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _seconds(work: Callable[[], Any]) -> float:
    started = time.process_time()
    for _ in range(PER_SLICE):
        work()
    return (time.process_time() - started) / PER_SLICE


def _row(name: str, times: Times) -> tuple[str, ...]:
    core, ours = (statistics.median(each) * 1e3 for each in (times.core, times.ours))
    return name, f"{core:.3f}", f"{ours:.3f}", f"{times.ratio:.3f}"
