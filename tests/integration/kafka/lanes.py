"""A lane of the tests: a topic, its dead letters and an origin of their own, with consumers between them and a core."""

import gc
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from integration.envelopes import Message
from integration.kafka_client import Publisher, read_topic
from integration.letters import Letter, standing
from tests.integration.kafka.running import Kafka
from tests.live import ROOT, LiveCore
from tests.servers import free_port

PATIENCE_SECONDS = 30
CONSUMER = ("-m", "integration.kafka_consumer")


@dataclass
class Lane:
    """See above; `environ` is what its processes are given."""

    kafka: Kafka
    core: LiveCore
    token: str
    origin: str
    folder: Path
    partitions: int = 2
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.topic = f"{self.origin}-sync"
        self.dead_letter_topic = f"{self.topic}.dlq"
        self.kafka.make_topics(**{self.topic: self.partitions, self.dead_letter_topic: 1})
        self.connection = {"bootstrap_servers": self.kafka.servers}
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "LAKEPORT_TOKEN": self.token,
            "CORE_URL": self.core.url,
            "KAFKA_BOOTSTRAP_SERVERS": ",".join(self.kafka.servers),
            "KAFKA_TOPIC": self.topic,
            "KAFKA_DEAD_LETTER_TOPIC": self.dead_letter_topic,
            "KAFKA_GROUP": f"{self.origin}-group",
            "KAFKA_ORIGIN": self.origin,
            "KAFKA_SESSION_TIMEOUT_SECONDS": "2",
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
        }

    def start(self, *program: str, **more: str) -> "subprocess.Popen[bytes]":
        """Start a consumer; it ends with the lane."""
        with (self.folder / "consumers.log").open("ab") as log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig=TERM", sys.executable, *(program or CONSUMER)],
                env={**self.environ, **more},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What `python -m …` says."""
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(
            command, env=self.environ, cwd=self.folder, capture_output=True, text=True, check=False, timeout=60
        )

    def send(self, *messages: Message) -> None:
        """Put messages into the topic."""
        self.send_to(self.topic, *messages)

    def send_to(self, topic: str, *messages: Message) -> None:
        """Put messages into a topic."""
        publisher = Publisher(self.connection, topic)
        publisher.send(messages)
        publisher.close()

    def articles(self) -> dict[str, tuple[int, str]]:
        """Versions and titles by external id, as the core has them."""
        path: str | None = f"/articles?origin=eq.{self.origin}&limit=100"
        found: dict[str, tuple[int, str]] = {}
        count = 0
        while path:
            status, page = self.core.call("GET", path, token=self.token)
            assert status == 200, page
            found |= {each["external_id"]: (each["external_version"], each["title"]) for each in page["data"]}
            count += len(page["data"])
            path = page["next"] and f"/articles?origin=eq.{self.origin}&limit=100&cursor={page['next']}"
        assert count == len(found), "an article is doubled"
        return found

    def letters(self) -> list[Letter]:
        """The dead letters that stand."""
        return standing(read_topic(self.connection, self.dead_letter_topic))

    def behind(self) -> int:
        """How many messages are not committed."""
        partitions = [TopicPartition(self.topic, number) for number in range(self.partitions)]
        ends = self._offsets.end_offsets(partitions)
        return sum(ends[each] - (self._offsets.committed(each) or 0) for each in partitions)

    @cached_property
    def _offsets(self) -> KafkaConsumer:
        """One for all looks at offsets: it is no member of the group."""
        group = self.environ["KAFKA_GROUP"]
        return KafkaConsumer(group_id=group, reconnect_backoff_max_ms=1_000, **self.connection)

    def wait_until_committed(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until all that was sent is confirmed."""
        self.wait_for(lambda: self.behind() == 0, seconds)

    def wait_for(self, is_so: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for a state; what the consumers wrote is told where it does not come."""
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, self.log()[-3_000:]
            time.sleep(0.05)

    def log(self) -> str:
        """What the consumers wrote."""
        log = self.folder / "consumers.log"
        return log.read_text() if log.exists() else ""

    def end(self) -> None:
        """Stop what runs."""
        if "_offsets" in vars(self):
            self._offsets.close(autocommit=False)
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def lane(kafka: Kafka, live_core: LiveCore, editor_token: str, tmp_path: Path) -> Iterator[Lane]:
    """A lane to the core of the session."""
    # kafka-python leaves a socket that connects while its client is closed to the garbage collector.
    warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
    found = Lane(kafka, live_core, editor_token, f"o{secrets.token_hex(4)}", tmp_path)
    yield found
    found.end()
    gc.collect()


@pytest.fixture(scope="session")
def editor_token(live_core: LiveCore) -> str:
    """The token of the routes' editor."""
    return live_core.add_user("editor")


def upsert(key: object, version: int, title: str = "", **more: Any) -> Message:
    """A change in plain JSON."""
    body = {"op": "upsert", "external_id": str(key), "external_version": version, "content": "text", **more}
    return plain(key, {**body, "title": title or f"title {version}"})


def delete(key: object, version: int) -> Message:
    """A delete in plain JSON."""
    return plain(key, {"op": "delete", "external_id": str(key), "external_version": version})


def plain(key: object, body: Any, *headers: tuple[str, bytes]) -> Message:
    """A message with a JSON body."""
    return Message(str(key).encode(), json.dumps(body).encode(), headers)


def unused_port() -> str:
    """A port as a setting."""
    return str(free_port())
