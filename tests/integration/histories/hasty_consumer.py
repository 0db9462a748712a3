"""A consumer with a bug: it commits what it has read before the core has it."""

import sys

from integration import consuming, kafka_consumer, kafka_route


class HastyRoute(kafka_route.KafkaRoute):
    """Takes a batch for confirmed as soon as it is on its way."""

    def _take_off(self) -> None:
        super()._take_off()
        for flight in self.flights:
            self.confirmed.update(flight.positions)


if __name__ == "__main__":
    consuming.KafkaRoute = HastyRoute  # type: ignore[attr-defined]
    sys.exit(kafka_consumer.main())
