"""Kafka as a route needs it: records with their coordinates, commits of what was confirmed, sends that were kept."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock
from typing import Any, NamedTuple

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError, MessageSizeTooLargeError, RetriableError
from kafka.structs import MemberState

from integration.envelopes import Message
from integration.errors import Away

POLLED_RECORDS = 1_000
CONNECT_SECONDS = 5
SEND_SECONDS = 20
COMMIT_SECONDS = 5
JOIN_MS = 3_000
REQUEST_BYTES = 64 << 20
RECONNECT_MS = 1_000
"""Longest pause between two attempts to reach a broker; as it comes, it is half a minute."""
Connection = Mapping[str, Any]
log = logging.getLogger(__name__)


class KafkaAway(Away):
    """No broker answers, or none lets this client in: kafka-python does not tell which."""

    exit_code = 9


class TooLarge(Exception):
    """The broker does not take a message of this size."""


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


@dataclass(frozen=True)
class Record:
    """A message and where and when Kafka has it; `at_ms` counts from 1970."""

    partition: Partition
    offset: int
    at_ms: int
    message: Message


@dataclass(frozen=True)
class Polled:
    """What a poll brought: partitions that others have now, then records of those that are ours."""

    lost: frozenset[Partition]
    records: list[Record]


class Subscription:
    """Membership of a consumer group. Not for several threads; kept only as long as `poll` is called."""

    def __init__(self, connection: Connection, topic: str, group: str, session_timeout_seconds: int) -> None:
        """Raises KafkaAway."""
        self._consumer = _consumer(
            connection,
            group_id=group,
            session_timeout_ms=session_timeout_seconds * 1_000,
            heartbeat_interval_ms=session_timeout_seconds * 1_000 // 4,
            max_poll_records=POLLED_RECORDS,
        )
        self._topic = topic
        self._listener = _Listener()
        self._revoked: frozenset[Partition] = frozenset()
        self._patience_seconds = 2.0 * session_timeout_seconds
        self._settled_at = time.monotonic()
        self._join()

    def poll(self, timeout_ms: int) -> Polled:
        """What has come, in the order of each partition; nothing where the brokers are away. Raises KafkaAway.

        It takes longer where the group is about to share the topic anew: kafka-python 3.0 forgets a join that is
        done between two polls, and may then wait for ever, without a heartbeat.
        """
        found = self._found(timeout_ms)
        return Polled(self._lost(), found)

    def _found(self, timeout_ms: int) -> list[Record]:
        # Not within what is passed over: who left the group and did not join again would read nothing for ever.
        longest_ms = timeout_ms if self._is_settled() else max(timeout_ms, JOIN_MS)
        try:
            found = self._consumer.poll(longest_ms)
        except RetriableError as error:
            # Where the brokers are away, some of its steps wait for them and others raise.
            log.warning("%s brings nothing at the moment: %s", self._topic, type(error).__name__)
            time.sleep(timeout_ms / 1_000)
            return []
        except KafkaError as error:
            raise KafkaAway(f"{self._topic} cannot be read: {type(error).__name__}") from error
        return [_record(each) for records in found.values() for each in records]

    def _lost(self) -> frozenset[Partition]:
        """What was revoked and not given back: of that, kafka-python reads on from where it was, not anew."""
        self._revoked |= self._listener.revoked_since()
        if not self._revoked or self._consumer.group_metadata().state != MemberState.STABLE:
            return frozenset()
        lost = self._revoked - {Partition(*each) for each in self._consumer.assignment()}
        self._revoked = frozenset()
        return lost

    def _is_settled(self) -> bool:
        state = self._consumer.group_metadata().state
        if state != MemberState.REBALANCING:
            self._settled_at = time.monotonic()
        elif time.monotonic() - self._settled_at > self._patience_seconds:
            log.warning("the join of the group was forgotten; joining again")
            self._settled_at = time.monotonic()
            self._consumer.unsubscribe()
            self._join()
        return bool(state == MemberState.STABLE)

    def _join(self) -> None:
        self._consumer.subscribe([self._topic], listener=self._listener)

    def hold(self) -> None:
        """Have `poll` bring nothing, but keep the membership."""
        self._consumer.pause(*self._consumer.assignment())

    def go_on(self) -> None:
        """Have `poll` bring records again."""
        self._consumer.resume(*self._consumer.paused())

    def commit(self, positions: Mapping[Partition, int]) -> bool:
        """Keep the offsets to go on from, of what is ours; whether that is done. What is not comes again."""
        if self._consumer.group_metadata().state != MemberState.STABLE:
            return False
        ours = self._consumer.assignment()
        offsets = {
            TopicPartition(*each): OffsetAndMetadata(offset, "", -1)
            for each, offset in positions.items()
            if TopicPartition(*each) in ours
        }
        try:
            self._consumer.commit(offsets, timeout_ms=COMMIT_SECONDS * 1_000)
        except KafkaError as error:
            log.warning("offsets are not committed: %s", type(error).__name__)
            return False
        return True

    def close(self) -> None:
        """Leave the group, so that others need not wait for the session to run out."""
        self._consumer.close(autocommit=False, timeout_ms=COMMIT_SECONDS * 1_000)


class Publisher:
    """Sends messages, acknowledged by all replicas that are in step. Connects when there is something to send.

    For several threads, of which one at a time sends.
    """

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._producer: KafkaProducer | None = None
        self._lock = Lock()

    def send(self, messages: Sequence[Message]) -> None:
        """Send them and wait until all are kept. Raises TooLarge, KafkaAway; then some may be kept, others not."""
        with self._lock:
            self._send(messages)

    def _send(self, messages: Sequence[Message]) -> None:
        producer = self._producer = self._producer or _producer(self._connection)
        try:
            sent = [
                producer.send(self._topic, each.value, key=each.key, headers=list(each.headers)) for each in messages
            ]
            for each in sent:
                each.get(SEND_SECONDS)
        except KafkaError as error:
            # After some errors an idempotent producer refuses all that follows.
            self.close()
            if isinstance(error, MessageSizeTooLargeError):
                raise TooLarge from error
            raise KafkaAway(f"{self._topic} takes no messages: {type(error).__name__}") from error

    def close(self) -> None:
        """End the connections; what was not waited for may be lost."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            producer.close(COMMIT_SECONDS)
        except KafkaError:
            # What is to be lost was waited for in vain, and the thread that sends it goes on.
            producer._sender.force_close()  # noqa: SLF001  (`close` ends here)


def read_topic(connection: Connection, topic: str) -> Iterator[Record]:
    """All that a topic has at this moment, in the order of each partition. Raises KafkaAway."""
    consumer = _consumer(connection)
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise KafkaAway(f"There is no topic {topic}, or it may not be read")
        yield from _until_end(consumer, [TopicPartition(topic, number) for number in sorted(numbers)])
    except KafkaError as error:
        raise KafkaAway(f"{topic} cannot be read: {type(error).__name__}") from error
    finally:
        consumer.close(autocommit=False)


def _until_end(consumer: KafkaConsumer, partitions: list[TopicPartition]) -> Iterator[Record]:
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    while any(consumer.position(each) < ends[each] for each in partitions):
        for records in consumer.poll(1_000).values():
            yield from (_record(each) for each in records)


def _consumer(connection: Connection, **more: Any) -> KafkaConsumer:
    try:
        return KafkaConsumer(
            **connection,
            **more,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=CONNECT_SECONDS * 1_000,
            reconnect_backoff_max_ms=RECONNECT_MS,
        )
    except KafkaError as error:
        raise _away(connection) from error


def _producer(connection: Connection) -> KafkaProducer:
    try:
        return KafkaProducer(
            **connection,
            acks="all",
            linger_ms=5,
            bootstrap_timeout_ms=CONNECT_SECONDS * 1_000,
            reconnect_backoff_max_ms=RECONNECT_MS,
            request_timeout_ms=SEND_SECONDS * 500,
            delivery_timeout_ms=SEND_SECONDS * 1_000,
            max_block_ms=SEND_SECONDS * 1_000,
            max_request_size=REQUEST_BYTES,
            allow_auto_create_topics=False,
        )
    except KafkaError as error:
        raise _away(connection) from error


def _away(connection: Connection) -> KafkaAway:
    servers = ", ".join(connection["bootstrap_servers"])
    return KafkaAway(f"Kafka at {servers} does not answer, or refuses the protocol, the certificate or the login")


def _record(found: Any) -> Record:
    headers: Iterable[tuple[str, bytes]] = found.headers or ()
    message = Message(found.key, found.value, tuple((name, value) for name, value in headers))
    return Record(Partition(found.topic, found.partition), found.offset, found.timestamp, message)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """Keeps what was revoked until it is asked: it is told in kafka-python's own thread."""

    def __init__(self) -> None:
        self._revoked: SimpleQueue[Partition] = SimpleQueue()

    def revoked_since(self) -> frozenset[Partition]:
        """What was revoked since it was asked last."""
        revoked = set()
        while not self._revoked.empty():
            revoked.add(self._revoked.get())
        return frozenset(revoked)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Told before others get them; or, after too long a silence, when they have them."""
        for each in revoked:
            self._revoked.put(Partition(*each))

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing is to be done: what is new is read from what was committed."""
