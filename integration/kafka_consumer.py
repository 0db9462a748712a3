"""`python -m integration.kafka_consumer`: bring base A's changes from a topic to the core."""

import logging
import os
import random
import signal
import sys
from collections.abc import Mapping
from contextlib import closing
from math import inf
from threading import Event

from integration.core_client import CoreClient, Credentials
from integration.delivery import Delivery
from integration.envelopes import Reader
from integration.errors import Stop
from integration.kafka_client import KafkaAway, Publisher, Subscription
from integration.kafka_route import KafkaRoute
from integration.kafka_settings import KafkaSettings
from integration.mapping import read_mapping
from integration.route_metrics import RouteMetrics

ROUTE = "kafka"
RETRY_SECONDS = 5.0
log = logging.getLogger(__name__)


def main() -> int:
    """Work until SIGTERM; the exit code is that of what stops the work."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # It tells each attempt to reach a broker that is away.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        consume(os.environ, stopping)
    except Stop as stop:
        log.error("stopped: %s", stop)  # noqa: TRY400  (the sentence is all there is to say)
        return stop.exit_code
    return 0


def consume(environ: Mapping[str, str], stopping: Event) -> None:
    """Be a member of the group until `stopping` is set. Raises Misconfigured, CoreRefused."""
    settings = KafkaSettings.load(environ)
    reader = Reader(settings.kafka_origin, read_mapping(settings.kafka_mapping), settings.kafka_message_bytes)
    core = CoreClient(settings.core_url, Credentials.from_environment(environ), inf, log.warning)
    metrics = RouteMetrics(ROUTE, settings.kafka_origin)
    if settings.kafka_metrics_port:
        metrics.serve(settings.kafka_metrics_port)
    subscription = _subscription(settings, stopping)
    if subscription is None:
        return
    parking = Publisher(settings.connection(), settings.kafka_dead_letter_topic)
    with closing(core), closing(subscription), closing(parking):
        log.info("reading %s as %s", settings.kafka_topic, settings.kafka_group)
        KafkaRoute(subscription, Delivery(reader, core, parking, metrics).deliver, metrics).run(stopping)
    log.info("ended")


def _subscription(settings: KafkaSettings, stopping: Event) -> Subscription | None:
    """One as soon as Kafka answers; None where told to stop before."""
    while not stopping.is_set():
        try:
            return Subscription(
                settings.connection(),
                settings.kafka_topic,
                settings.kafka_group,
                settings.kafka_session_timeout_seconds,
            )
        except KafkaAway as away:
            log.warning("%s", away)
            stopping.wait(random.uniform(0, RETRY_SECONDS))
    return None


if __name__ == "__main__":
    sys.exit(main())
