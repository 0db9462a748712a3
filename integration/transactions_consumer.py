"""`python -m integration.transactions_consumer`: bring transactions from a topic into the lake, by the core."""

import sys
from collections.abc import Mapping
from threading import Event

from integration.consuming import Consumer, run
from integration.kafka_settings import KafkaSettings
from integration.transaction_events import TransactionEvents

ROUTE = "transactions"
DEFAULTS = {
    "KAFKA_TOPIC": "transactions",
    "KAFKA_DEAD_LETTER_TOPIC": "transactions.dlq",
    "KAFKA_GROUP": "lakeport-transactions",
}


def main() -> int:
    """Work until SIGTERM; the exit code is that of what stops the work."""
    return run(consume)


def consume(environ: Mapping[str, str], stopping: Event) -> None:
    """Be a member of the group until `stopping` is set. Raises Misconfigured, CoreRefused, KafkaAway."""
    given = {name: value for name, value in environ.items() if value}
    settings = KafkaSettings.load({**DEFAULTS, **given})
    with Consumer.open(settings, environ, ROUTE, settings.kafka_topic) as consumer:
        consumer.carry(TransactionEvents(consumer.core, settings.kafka_message_bytes), stopping)


if __name__ == "__main__":
    sys.exit(main())
