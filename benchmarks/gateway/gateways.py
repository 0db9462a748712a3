"""The gateways that are compared: where they listen, how each is asked, and what its answer says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from benchmarks.gateway.load import prepared
from tests import live

OURS, HIVE, PLAIN, TAILCALL = "Lakeport", "Hive Gateway", "Ariadne and DataLoader", "Tailcall with dedupe"
Row = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """The question in the form of one schema; `rows` makes rows with an `author` of the answer's data."""

    document: str
    rows: Callable[[Any], list[Row]]


FORMS = {
    OURS: Form(
        "{ getArticles(limit: 100) { articles { id title author { id username } } } }",
        lambda data: list(data["getArticles"]["articles"]),
    ),
    HIVE: Form(
        "{ articles { data { id title author { id username } } } }",
        lambda data: list(data["articles"]["data"]),
    ),
    PLAIN: Form(
        "{ articles { id title author { id username } } }",
        lambda data: list(data["articles"]),
    ),
    TAILCALL: Form(
        "{ articles { data { id title authors { data { id username } } } } }",
        lambda data: [_with_author(row) for row in data["articles"]["data"]],
    ),
}


@dataclass(frozen=True)
class Gateway:
    """A running gateway; `url` takes GraphQL, `pid` is its first process."""

    name: str
    url: str
    pid: int

    def request(self, token: str) -> bytes:
        """The question, asked by a token's bearer."""
        return prepared(self.url, self._body, token)

    def answer(self, token: str) -> bytes:
        """What it answers to him. Raises AssertionError where it does not."""
        status, text, _ = live.call("POST", self.url, self._body, {"Authorization": f"Bearer {token}"})
        assert status == 200, f"{self.name}: {text[:300]}"
        return text.encode()

    def rows(self, answer: bytes) -> list[Row]:
        """The rows in an answer. Raises AssertionError for one with errors."""
        content = orjson.loads(answer)
        assert "errors" not in content, f"{self.name}: {content['errors'][:2]}"
        return FORMS[self.name].rows(content["data"])

    @property
    def _body(self) -> bytes:
        return orjson.dumps({"query": FORMS[self.name].document})


def _with_author(row: Row) -> Row:
    return {"id": row["id"], "title": row["title"], "author": row["authors"]["data"][0]}
