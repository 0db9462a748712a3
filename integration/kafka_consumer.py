"""`python -m integration.kafka_consumer`: bring base A's changes from a topic to the core."""

import sys
from collections.abc import Mapping
from threading import Event

from integration.article_changes import ArticleChanges
from integration.consuming import Consumer, run
from integration.envelopes import Reader
from integration.kafka_settings import KafkaSettings
from integration.mapping import read_mapping

ROUTE = "kafka"


def main() -> int:
    """Work until SIGTERM; the exit code is that of what stops the work."""
    return run(consume)


def consume(environ: Mapping[str, str], stopping: Event) -> None:
    """Be a member of the group until `stopping` is set. Raises Misconfigured, CoreRefused, KafkaAway."""
    settings = KafkaSettings.load(environ)
    reader = Reader(settings.kafka_origin, read_mapping(settings.kafka_mapping), settings.kafka_message_bytes)
    with Consumer.open(settings, environ, ROUTE, settings.kafka_origin) as consumer:
        consumer.carry(ArticleChanges(reader, consumer.core), stopping)


if __name__ == "__main__":
    sys.exit(main())
