"""A core with its workers before a broker: what they publish, and what of it is there."""

import json
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, chdir, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from kafka import KafkaAdminClient
from kafka.errors import TopicAlreadyExistsError
from sqlalchemy.orm import Session

from integration.kafka_client import Record, read_topic
from rest_api import cli
from rest_api.database import create_engine_for
from rest_api.services import events
from tests.integration.kafka.running import Kafka
from tests.live import Live, LiveCore, core, worker

TOPICS = ("lakeport.articles", "lakeport.datasets", "lakeport.jobs", "transactions")
PATIENCE_SECONDS = 60
LEASE_SECONDS = "2"


def make_topics(kafka: Kafka, *names: str, partitions: int = 2) -> None:
    """Make topics that are not there yet."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.servers)
    try:
        for name in names:
            try:
                wanted = {name: {"num_partitions": partitions, "replication_factor": 1}}
                admin.create_topics(wanted, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                pass
    finally:
        admin.close()


@dataclass
class Outboxed:
    """A core's database whose events go to a broker, whichever worker sends them."""

    folder: Path
    kafka: Kafka
    environ: dict[str, str]
    stack: ExitStack
    workers: list[Live] = field(default_factory=list)

    def start_worker(self) -> Live:
        """Another worker; it ends with the database."""
        started = self.stack.enter_context(worker(self.folder, **self.environ))
        self.workers.append(started)
        return started

    def add_events(self, keys: Iterable[int], version: int) -> None:
        """Leave events of articles, each in a transaction of its own."""
        engine = create_engine_for(f"sqlite:///{self.folder}/lakeport.db")
        for key in keys:
            with Session(engine) as session:
                events.install(session)
                subject, data = f"articles/{key}", {"id": key, "version": version}
                events.record(session, type="article.updated", subject=subject, data=data)
                session.commit()
        engine.dispose()

    def run(self, *arguments: str, **more: str) -> Result:
        """What a command of the operator says."""
        environ = {"DATA_DIR": str(self.folder), **self.environ, **more}
        with chdir(self.folder):
            return CliRunner().invoke(cli.main, arguments, env=environ)

    def records(self, topic: str) -> list[Record]:
        """What of this database is in a topic, by partition, oldest first."""
        found = read_topic({"bootstrap_servers": self.kafka.servers}, topic)
        ids = set(self.ids())
        return [each for each in found if event_id(each) in ids]

    def ids(self, types: str = "%") -> list[str]:
        """The ids of all events of some types, and of all messages."""
        found = self.execute("select id from events where type like ? union select id from pipeline_messages", types)
        return [row[0] for row in found]

    def execute(self, statement: str, *values: Any) -> list[Any]:
        """Rows of a statement on the database."""
        with closing(sqlite3.connect(self.folder / "lakeport.db", timeout=15)) as database, database:
            return database.execute(statement, values).fetchall()

    def wait_until_sent(self) -> None:
        """Wait until all articles' events are through."""
        newest = "select coalesce(max(sequence), 0) from events where type like 'article.%'"
        wait_for(lambda: self.position("lakeport.articles") >= self.execute(newest)[0][0])

    def wait_for_position(self) -> None:
        """Wait until some are."""
        wait_for(lambda: self.position("lakeport.articles") > 0)

    def position(self, topic: str) -> int:
        """Through which event a topic has all."""
        found = self.execute("select sequence from relay_positions where topic = ?", topic)
        return int(found[0][0]) if found else 0


@dataclass
class Publishing(Outboxed):
    """The core itself too."""

    core: LiveCore = field(kw_only=True)

    def __post_init__(self) -> None:
        self.token = self.core.log_in("admin", self.core.admin_password)

    def post(self, path: str, body: Any) -> Any:
        """The answer to a POST of the administrator."""
        status, answer = self.core.call("POST", path, body, self.token)
        assert status < 300, answer
        return answer

    def add_article(self, title: str = "Lakes") -> int:
        """The id of a new article."""
        return int(self.post("/articles", {"title": title, "content": "Deep."})["id"])

    def change_article(self, article_id: int, title: str) -> None:
        """Change one."""
        status, answer = self.core.call("PATCH", f"/articles/{article_id}", {"title": title}, self.token)
        assert status == 200, answer

    def events(self, types: str) -> list[dict[str, Any]]:
        """What `/events` tells the administrator, oldest first."""
        found: list[dict[str, Any]] = []
        after = "0"
        while True:
            status, page = self.core.call("GET", f"/events?type={types}&after={after}&limit=100", token=self.token)
            assert status == 200, page
            if not page["data"]:
                return found
            found += page["data"]
            after = page["next"]


@contextmanager
def outboxed(kafka: Kafka, prepared: Path, folder: Path, **more: str) -> Iterator[Outboxed]:
    """A copy of a prepared database that publishes to a broker, without a worker yet."""
    data_dir = shutil.copytree(prepared, folder / "data")
    with ExitStack() as stack:
        yield Outboxed(data_dir, kafka, _environ(kafka, more), stack)


@contextmanager
def publishing(kafka: Kafka, folder: Path, **more: str) -> Iterator[Publishing]:
    """A core that publishes to a broker, without a worker yet."""
    environ = _environ(kafka, more)
    options: dict[str, Any] = {**environ}
    with core(folder, **options) as live, ExitStack() as stack:
        yield Publishing(folder, kafka, environ, stack, core=live)


def _environ(kafka: Kafka, more: dict[str, str]) -> dict[str, str]:
    return {"EVENTS_URL": f"kafka://{','.join(kafka.servers)}", "JOB_LEASE_SECONDS": LEASE_SECONDS, **more}


def event_id(record: Record) -> str:
    """Which event a record is."""
    return dict(record.message.headers).get("event-id", b"").decode()


def value(record: Record) -> Any:
    """Its JSON."""
    return json.loads(record.message.value or b"null")


def firsts(records: Sequence[Record]) -> list[Record]:
    """Records as a consumer sees them that drops the ids it knows."""
    seen: dict[str, Record] = {}
    for each in records:
        seen.setdefault(event_id(each), each)
    return list(seen.values())


def wait_for(is_so: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a state."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill(live: Live) -> None:
    """End a process as a power cut does."""
    live.process.send_signal(signal.SIGKILL)
    live.process.wait()
