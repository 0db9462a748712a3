"""The event log on Kafka: each message acknowledged by all replicas in step, in order and once for each producer."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from rest_api.backends.event_log import LogAway, Message, MessageTooLarge
from rest_api.settings import Settings

CONNECT_SECONDS = 5
PUBLISH_SECONDS = 10.0
CLOSE_SECONDS = 2
RECONNECT_MS = 1_000
"""Longest pause between two attempts to reach a broker; as it comes, it is half a minute."""
DELIVERY_MS = 120_000
"""Longer than a publisher lives after an error: a message that is given up alone would be overtaken by the next."""
REQUEST_BYTES = 64 << 20
BATCH_BYTES = 256 << 10
"""Of messages to one partition at once: below the size that brokers take as they come."""


def connection_of(settings: Settings) -> dict[str, Any]:
    """What reaches the brokers, in kafka-python's names."""
    # It tells each attempt to reach a broker that is away.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    given = {
        "security_protocol": settings.events_security_protocol,
        "ssl_cafile": settings.events_ssl_cafile and str(settings.events_ssl_cafile),
        "ssl_certfile": settings.events_ssl_certfile and str(settings.events_ssl_certfile),
        "ssl_keyfile": settings.events_ssl_keyfile and str(settings.events_ssl_keyfile),
        "ssl_password": settings.events_ssl_password,
        "sasl_mechanism": settings.events_sasl_mechanism,
        "sasl_plain_username": settings.events_sasl_username,
        "sasl_plain_password": settings.events_sasl_password,
    }
    return {
        "bootstrap_servers": list(settings.event_brokers),
        **{name: value for name, value in given.items() if value},
    }


class KafkaLog:
    """Connects when there is something to publish; after an error anew."""

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._connection = connection
        self._producer: KafkaProducer | None = None

    def publish(self, messages: Sequence[Message]) -> None:
        """Have all of them kept. Raises LogAway, MessageTooLarge."""
        try:
            self._producer = self._producer or _producer(self._connection)
            _publish(self._producer, messages)
        except MessageSizeTooLargeError as error:
            self._give_up()
            raise MessageTooLarge from error
        except (KafkaError, OSError) as error:
            self._give_up()
            raise LogAway(type(error).__name__) from error

    def close(self) -> None:
        """End the connections."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError):
                producer.close(CLOSE_SECONDS)

    def _give_up(self) -> None:
        """Have nothing more sent: after some errors a producer refuses all that follows, after others it goes on."""
        if self._producer is not None:
            sender = self._producer._sender  # noqa: SLF001  (`close` waits for what is to be given up)
            sender.force_close()
            sender.join(CLOSE_SECONDS)
        self.close()


def _publish(producer: KafkaProducer, messages: Sequence[Message]) -> None:
    deadline = time.monotonic() + PUBLISH_SECONDS
    sent = [
        producer.send(
            each.topic,
            each.value,
            key=each.key.encode(),
            headers=[(name, value.encode()) for name, value in each.headers],
        )
        for each in messages
    ]
    for each in sent:
        each.get(max(0.0, deadline - time.monotonic()))


def _producer(connection: Mapping[str, Any]) -> KafkaProducer:
    return KafkaProducer(
        **connection,
        client_id="lakeport-relay",
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        batch_size=BATCH_BYTES,
        bootstrap_timeout_ms=CONNECT_SECONDS * 1_000,
        reconnect_backoff_max_ms=RECONNECT_MS,
        request_timeout_ms=CONNECT_SECONDS * 1_000,
        delivery_timeout_ms=DELIVERY_MS,
        max_block_ms=CONNECT_SECONDS * 1_000,
        max_request_size=REQUEST_BYTES,
        allow_auto_create_topics=False,
    )
