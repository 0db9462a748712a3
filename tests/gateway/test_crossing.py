"""Two callers at once, through all that is kept and shared: neither is ever told what is the other's."""

import http.client
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateway.conftest import GraphQL
from tests.gateway.lake import LiveLake

CALLS = 10_000 if os.environ.get("LAKEPORT_FULL") == "1" else 300
THREADS = 8
PAGE = 'query ($where: JSON) { dataset(name: "payments") { rows(where: $where, first: 3) { nodes totalCount } } }'
# Each answered otherwise to one than to the other, though they ask for it in the same words.
QUESTIONS: list[dict[str, Any]] = [
    {"query": "{ payments(orderBy: {id: ASC}, first: 5) { totalCount nodes { id country } } }"},
    {"query": "{ payments(orderBy: {id: DESC}, first: 1) { edges { node { id } } pageInfo { hasNextPage } } }"},
    {"query": PAGE, "variables": {"where": {"id": {"gt": 4}}}},
    {"query": PAGE, "variables": {"where": {"id": {"gt": 10}}}},
    {"query": '{ __type(name: "PaymentsRow") { fields { name } } }'},
    {"query": "{ payments { nodes { card } } }"},
    {"query": "{ payments { nodes { amoun } } }"},
    {"query": "{ me { id username policy } }"},
    {"query": "{ grants { totalCount nodes { id principal filter } } }"},
    {"query": '{ dataset(name: "payments") { columns { name isMasked } } datasets { nodes { name } } }'},
    {"query": "{ _service { sdl } }"},
]


@pytest.fixture(scope="module")
def callers(lake: LiveLake) -> list[GraphQL]:
    """One who sees French payments and their amounts, one who sees German ones, their cards, and more."""
    french = {"dataset": "payments", "filter": "country=eq.FR", "columns": ["id", "country", "amount"]}
    german = {"dataset": "payments", "filter": "country=eq.DE", "columns": ["id", "country", "card"]}
    return [lake.user("cleo", french), lake.user("dora", german, {"dataset": "sales.eu"})]


class Speaker:
    """A connection that stays open, for whoever uses it next."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def answer(self, client: GraphQL, question: dict[str, Any]) -> Any:
        """What a client is told, but for the number of the request."""
        headers = {**client.headers, "Content-Type": "application/json"}
        self._connection.request("POST", "/graphql", json.dumps(question), headers)
        told = json.loads(self._connection.getresponse().read())
        for error in told.get("errors", ()):
            del error["extensions"]["requestId"]
        return told

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def test_no_answer_crosses_between_two_callers(callers: list[GraphQL]) -> None:
    speaker = Speaker(callers[0].url)
    expected = [[speaker.answer(client, question) for question in QUESTIONS] for client in callers]
    speaker.close()
    assert [one for one, other in zip(*expected, strict=True) if one == other] == []

    def crossed(number: int) -> list[Any]:
        """What one thread was told wrongly; its neighbours ask the same in the other's name at the same time."""
        speaker, found = Speaker(callers[0].url), []
        for turn in range(number, 2 * CALLS, THREADS):
            who, what = (turn + turn // THREADS) % 2, (turn // THREADS) % len(QUESTIONS)
            told = speaker.answer(callers[who], QUESTIONS[what])
            if told != expected[who][what]:
                found.append((who, QUESTIONS[what], told))
        speaker.close()
        return found

    with ThreadPoolExecutor(THREADS) as threads:
        wrong = [each for found in threads.map(crossed, range(THREADS)) for each in found]
    assert wrong == []
