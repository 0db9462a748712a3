"""How many calls of the core joins cost: articles → author → articles, counted before the core."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.gateway import data, upstreams
from benchmarks.gateway.upstreams import Recorder
from benchmarks.report import Finding
from tests import live

KEYS_AT_ONCE, CALLS_AT_ONCE = 100, 3
MANY_AUTHORS, MOST_ARTICLES = 150, 200
# As many articles of one author as are given at once; fewer where each is asked for more: a request may cost so much.
PER_AUTHOR, PER_ENTITY = 100, 30
_AUTHORED = f"articles {{ id author {{ id username articles(first: {PER_AUTHOR}) {{ id }} }} }}"
PAGE = f"{{ page: getArticles(limit: 100) {{ {_AUTHORED} }} }}"
PAGES = f"""
{{
    page: getArticles(limit: 100) {{ {_AUTHORED} }}
    next: getArticles(limit: 100, where: {{id: {{gt: 100}}}}) {{ {_AUTHORED} }}
}}
"""
ENTITIES = f"""
query ($users: [_Any!]!) {{ _entities(representations: $users) {{
    ... on User {{ id username articles(first: {PER_ENTITY}) {{ id author {{ id username }} }} }}
}} }}
"""
Row = dict[str, Any]


def measure(recorder: Recorder, token: str, folder: Path) -> list[Finding]:
    """Count them before a core with few authors and before one with many, one of whom wrote a lot."""
    with live.gateway(recorder.url, folder / "few") as gateway:
        few = _few(_Reader(f"{gateway.url}/graphql", recorder, token))
    articles_of = [MOST_ARTICLES, *[1] * (MANY_AUTHORS - 1)]
    with (
        data.core(folder / "many", articles_of, 1) as readers,
        upstreams.recorder(readers.core.url, folder) as counting,
        live.gateway(counting.url, folder / "many") as gateway,
    ):
        return [few, *_many(_Reader(f"{gateway.url}/graphql", counting, readers.tokens[0]))]


@dataclass(frozen=True)
class _Reader:
    """A caller, and what counts the calls that he leads to."""

    url: str
    recorder: Recorder
    token: str

    def ask(self, query: str, **variables: Any) -> tuple[Row, int]:
        """The data that a query gives, and the calls that it takes once the caller's schema is known."""
        self._post(query, variables)
        before = self.recorder.calls
        return self._post(query, variables), self.recorder.calls - before

    def _post(self, query: str, variables: Row) -> Row:
        body = {"query": query, "variables": variables}
        status, text, _ = live.call("POST", self.url, body, {"Authorization": f"Bearer {self.token}"})
        answer = orjson.loads(text)
        assert status == 200, text[:500]
        assert "errors" not in answer, text[:500]
        return dict(answer["data"])


def _few(reader: _Reader) -> Finding:
    found, calls = reader.ask(PAGE)
    articles = found["page"]["articles"]
    authors = _authors(articles)
    written = data.ARTICLES // data.AUTHORS
    assert [len(each["articles"]) for each in authors] == [written] * data.AUTHORS, "the articles are not each author's"
    return _finding(f"{len(articles)} articles of {len(authors)} authors", len(articles), calls)


def _many(reader: _Reader) -> list[Finding]:
    found, calls = reader.ask(PAGES)
    articles = [*found["page"]["articles"], *found["next"]["articles"]]
    authors = _authors(articles)
    _check_many(authors, PER_AUTHOR)
    pages = _finding(f"{len(articles)} articles of {MANY_AUTHORS} authors, in two pages", len(articles), calls)
    users = [{"__typename": "User", "id": author["id"]} for author in authors]
    found, calls = reader.ask(ENTITIES, users=users)
    _check_many(found["_entities"], PER_ENTITY)
    return [pages, _finding(f"{MANY_AUTHORS} authors by `_entities` → articles → author", MANY_AUTHORS, calls)]


def _check_many(authors: list[Row], most: int) -> None:
    counts = Counter(len(author["articles"]) for author in authors)
    assert counts == {most: 1, 1: MANY_AUTHORS - 1}, f"the articles are not each author's: {counts}"


def _authors(articles: list[Row]) -> list[Row]:
    """The authors of articles, each once."""
    return list({article["author"]["id"]: article["author"] for article in articles}.values())


def _finding(what: str, keys: int, calls: int) -> Finding:
    allowed = CALLS_AT_ONCE * math.ceil(keys / KEYS_AT_ONCE)
    asked = f"upstream calls for {what}"
    return Finding(asked, str(calls), f"at most {allowed}, {CALLS_AT_ONCE} per {KEYS_AT_ONCE} keys", calls <= allowed)
