"""The recorder: writes changes into base A of a flow and notes what is confirmed, applied and seen meanwhile."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from sqlalchemy import Connection, text

from integration.envelopes import Reader
from integration.kafka_client import Partition, read_topic
from integration.mapping import SourceMapping
from tests.integration.histories.history import Applied, Confirmed, History, Seen, Written
from tests.integration.kafka.flows import Flow

KEYS = range(30)
DELETED_SHARE = 0.2
LONGEST_BYTES = 1 << 22
LOOK_SECONDS = 0.05
APPLIED = """
select json_extract(data, '$.external_id'), json_extract(data, '$.id'), json_extract(data, '$.version'),
       json_extract(data, '$.external_version'), substr(type, 9)
from events where json_extract(data, '$.origin') = ? order by sequence
"""
Places = dict[Partition, int]


@dataclass
class Recorder:
    """One history in the making."""

    flow: Flow
    chance: random.Random
    written: list[Written] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    commits: list[tuple[float, Places]] = field(default_factory=list)

    def write(self, seconds: float) -> None:
        """Change base A again and again for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self.flow.base.engine.begin() as connection:
                change = self._change(connection, self.chance.choice(KEYS))
            self.written.append(change)
            time.sleep(self.chance.uniform(0, 0.03))

    def _change(self, connection: Connection, key: int) -> Written:
        named = {"key": key, "text": f"text {len(self.written)}"}
        is_there = connection.execute(text("select 1 from articles where id = :key"), named).first()
        is_gone = is_there is not None and self.chance.random() < DELETED_SHARE
        statement = UPDATE if is_there else INSERT
        connection.execute(text(DELETE if is_gone else statement), named)
        table = "article_tombstones" if is_gone else "articles"
        version = connection.execute(text(f"select row_version from {table} where id = :key"), named).scalar_one()
        return Written(str(key), version, is_gone)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at base B and at the group's offsets until the block ends."""
        stopping = threading.Event()
        threads = [threading.Thread(target=each, args=(stopping,)) for each in (self._look, self._follow)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopping.set()
            for thread in threads:
                thread.join()

    def _look(self, stopping: threading.Event) -> None:
        lane = self.flow.lane
        path = f"/articles?origin=eq.{lane.origin}&limit=100&select=external_id,external_version"
        while not stopping.wait(LOOK_SECONDS):
            began = time.monotonic()
            status, page = lane.core.call("GET", path, token=lane.token)
            assert status == 200, page
            found = {each["external_id"]: each["external_version"] for each in page["data"]}
            self.seen += [Seen(began, key, found.get(key)) for key in map(str, KEYS)]

    def _follow(self, stopping: threading.Event) -> None:
        lane = self.flow.lane
        group = lane.environ["KAFKA_GROUP"]
        with closing(KafkaConsumer(group_id=group, enable_auto_commit=False, **lane.connection)) as consumer:
            while not stopping.wait(LOOK_SECONDS):
                self._note(lambda: _committed(consumer, lane.topic, lane.partitions))

    def _note(self, committed: Callable[[], Places]) -> None:
        try:
            places = committed()
        except KafkaError:  # a broker that is paused
            return
        self.commits.append((time.monotonic(), places))

    def look_once_more(self) -> None:
        """Wait for a look at base B that began after the group's offsets were seen as they are now."""
        commits = len(self.commits) + 1
        self.flow.lane.wait_for(lambda: len(self.commits) > commits)
        looks = len(self.seen) + len(KEYS)
        self.flow.lane.wait_for(lambda: len(self.seen) > looks)

    def history(self) -> History:
        """What was recorded, with base B as it is now."""
        final = {key: version for key, (version, _) in self.flow.lane.articles().items()}
        return History(self.written, list(self._confirmed()), self._applied(), self.seen, final)

    def _confirmed(self) -> Iterator[Confirmed]:
        lane = self.flow.lane
        reader = Reader(lane.origin, SourceMapping(), LONGEST_BYTES)
        records = list(read_topic(lane.connection, lane.topic))
        told: Places = {}
        for at, places in self.commits:
            for record in records:
                if told.get(record.partition, 0) <= record.offset < places.get(record.partition, 0):
                    change = reader.change(record.message)
                    assert change is not None
                    yield Confirmed(at, change.external_id, change.external_version)
            told |= places

    def _applied(self) -> list[Applied]:
        database = self.flow.lane.core.data_dir / "lakeport.db"
        with closing(sqlite3.connect(database, timeout=15)) as connection:
            return [Applied(*row) for row in connection.execute(APPLIED, (self.flow.lane.origin,))]


INSERT = "insert into articles (id, title, content) values (:key, 'T', :text)"
UPDATE = "update articles set content = :text where id = :key"
DELETE = "delete from articles where id = :key"


def _committed(consumer: KafkaConsumer, topic: str, partitions: int) -> Places:
    found = ((number, consumer.committed(TopicPartition(topic, number))) for number in range(partitions))
    return {Partition(topic, number): offset for number, offset in found if offset is not None}
