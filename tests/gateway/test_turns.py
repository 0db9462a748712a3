"""Lists below many datasets: as many calls as datasets, and no more than eight of a request at once."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from inspect import isawaitable

from graphql import execute, parse
from prometheus_client import CollectorRegistry

from graphql_gateway.observability import GatewayMetrics
from graphql_gateway.rest_client import MAX_AT_ONCE, Caller, Core, RestClient
from graphql_gateway.types import NOUNS, make_schema
from tests import loops
from tests.gateway.conftest import replying, upstream

DATASETS = 20
ANSWER = {"data": [{"name": f"d{number}", "number": 1} for number in range(DATASETS)], "next": None}
DOCUMENT = parse("{ datasets(first: 20) { nodes { name rows { nodes } versions { nodes { number } } } } }")


class Counting:
    """A core that holds each call back until as many are open as ever will be."""

    def __init__(self) -> None:
        self.open = self.most = self.calls = 0
        self._changed = threading.Condition()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one call."""
        with self._changed:
            self.calls += 1
            self.open += 1
            self.most = max(self.most, self.open)
            self._changed.notify_all()
            if self.calls > 1:
                self._changed.wait_for(lambda: self.most > MAX_AT_ONCE or self.calls > DATASETS, timeout=0.5)
        replying(200, ANSWER)(handler)
        with self._changed:
            self.open -= 1


async def _answered(url: str) -> object:
    client = RestClient(url, 64, 100, 1_000_000, GatewayMetrics.on(CollectorRegistry()), 20, 1.0)
    core = Core(client, Caller("Bearer x", "turns", None), time.monotonic() + 60)
    result = execute(make_schema(NOUNS), DOCUMENT, context_value=core)
    told = await result if isawaitable(result) else result
    client.close()
    assert not told.errors, told.errors
    return told.data


def test_lists_below_many_datasets_take_turns() -> None:
    counting = Counting()
    with upstream() as core:
        core.will(counting)
        told = loops.run(_answered(core.url))
    assert len(json.loads(json.dumps(told))["datasets"]["nodes"]) == DATASETS
    assert (counting.calls, counting.most) == (1 + 2 * DATASETS, MAX_AT_ONCE)
