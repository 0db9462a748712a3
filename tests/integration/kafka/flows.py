"""A flow of the tests: base A, the producer, a topic, a consumer in this process, and the core."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner

from integration import core_client, kafka_producer, kafka_route, sync_script
from integration.kafka_client import read_topic
from integration.kafka_consumer import consume
from tests.integration.bases import Base, synced
from tests.integration.kafka.lanes import Lane
from tests.integration.script import Ran

PRODUCER = ("-m", "integration.kafka_producer")
Texts = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Flow:
    """See above; the origin is the lane's."""

    base: Base
    lane: Lane

    @property
    def arguments(self) -> list[str]:
        """The producer's command line."""
        return ["--state", str(self.lane.folder / "producer.db")]

    def capture(self, *more: str, **env: str) -> Ran:
        """Run the producer here, to its end."""
        return _ran(kafka_producer.main, [*self.arguments, *more], {**self.environ, **env})

    def started(self, *more: str, **env: str) -> "subprocess.Popen[bytes]":
        """Start the producer in a process of its own."""
        return self.lane.start(*PRODUCER, *self.arguments, *more, **{**self.environ, **env})

    def reconcile(self, *more: str) -> Ran:
        """Run the script's `--fix` here: it finds what no capture can see."""
        state = str(self.lane.folder / "script.db")
        ends = ["--target", self.lane.core.url, "--origin", self.lane.origin, "--state", state]
        return _ran(sync_script.main, [*ends, "--fix", *more], self.environ)

    @property
    def environ(self) -> dict[str, str]:
        """What the producer is given."""
        return {**self.lane.environ, "LAKEPORT_SOURCE": self.base.url}

    def sent(self) -> int:
        """How many messages the topic has."""
        return sum(1 for _ in read_topic(self.lane.connection, self.lane.topic))

    def carried(self) -> Texts:
        """What base B has when all that was sent is confirmed."""
        self.lane.wait_until_committed()
        return synced(self.lane.core, self.lane.origin)


def _ran(command: Any, arguments: list[str], environ: dict[str, str]) -> Ran:
    result = CliRunner().invoke(command, arguments, env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return Ran(result.exit_code, result.output)


@contextmanager
def consuming(environ: dict[str, str]) -> Iterator[None]:
    """Run a consumer in this process until the block ends; what stopped it before is raised then.

    It looks and tries again more often than one that has time.
    """
    stopping, stopped = threading.Event(), []

    def work() -> None:
        try:
            consume(environ, stopping)
        except BaseException as error:  # noqa: BLE001  (raised in the test's own thread)
            stopped.append(error)

    thread = threading.Thread(target=work)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka_route, "IDLE_POLL_MS", 100)
        patch.setattr(core_client, "LONGEST_PAUSE_SECONDS", 0.5)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()
    if stopped:
        raise stopped[0]


@pytest.fixture
def flow_from(lane: Lane) -> Iterator[Callable[[Base], Flow]]:
    """Makes a flow from a base, with a consumer that runs."""
    with consuming(lane.environ):
        yield lambda base: Flow(base, lane)


@pytest.fixture
def flow(flow_from: Callable[[Base], Flow], base: Base) -> Flow:
    """The flow from a base on SQLite."""
    return flow_from(base)
