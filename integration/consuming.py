"""What every consumer's process does, whatever its topic's messages mean."""

import logging
import os
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from math import inf
from threading import Event

from integration.core_client import CoreClient, Credentials
from integration.delivery import Delivery, Destination
from integration.errors import Stop
from integration.kafka_client import KafkaAway, Publisher, Subscription
from integration.kafka_route import KafkaRoute
from integration.kafka_settings import KafkaSettings
from integration.route_metrics import RouteMetrics

RETRY_SECONDS = 5.0
Consume = Callable[[Mapping[str, str], Event], None]
log = logging.getLogger(__name__)


def run(consume: Consume) -> int:
    """Consume until SIGTERM; the exit code is that of what stops the work."""
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


@dataclass(frozen=True)
class Consumer:
    """One topic, the core, and what is told of the way between them."""

    settings: KafkaSettings
    core: CoreClient
    metrics: RouteMetrics

    @classmethod
    @contextmanager
    def open(cls, settings: KafkaSettings, environ: Mapping[str, str], route: str, origin: str) -> Iterator["Consumer"]:
        """One that logs in as the environment says. Raises Misconfigured."""
        core = CoreClient(settings.core_url, Credentials.from_environment(environ), inf, log.warning)
        metrics = RouteMetrics(route, origin)
        if settings.kafka_metrics_port:
            metrics.serve(settings.kafka_metrics_port)
        with closing(core):
            yield cls(settings, core, metrics)

    def carry(self, destination: Destination, stopping: Event) -> None:
        """Be a member of the group until `stopping` is set. Raises CoreRefused, KafkaAway."""
        subscription = self._subscription(stopping)
        if subscription is None:
            return
        parking = Publisher(self.settings.connection(), self.settings.kafka_dead_letter_topic)
        delivery = Delivery(destination, parking, self.metrics)
        with closing(subscription), closing(parking):
            log.info("reading %s as %s", self.settings.kafka_topic, self.settings.kafka_group)
            KafkaRoute(subscription, delivery.deliver, self.metrics).run(stopping)
        log.info("ended")

    def _subscription(self, stopping: Event) -> Subscription | None:
        """One as soon as Kafka answers; None where told to stop before."""
        while not stopping.is_set():
            try:
                return Subscription(
                    self.settings.connection(),
                    self.settings.kafka_topic,
                    self.settings.kafka_group,
                    self.settings.kafka_session_timeout_seconds,
                )
            except KafkaAway as away:
                log.warning("%s", away)
                stopping.wait(random.uniform(0, RETRY_SECONDS))
        return None
