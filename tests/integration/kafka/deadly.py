"""A consumer or producer that kills itself: `deadly.py PROGRAM POINT NTH …`, at the nth time it comes to a point."""

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from integration import kafka_consumer, kafka_producer, transactions_consumer
from integration.core_client import CoreClient
from integration.kafka_client import Publisher, Subscription
from integration.sent_events import SentEvents
from integration.sources import Source
from integration.watermarks import State

Points = dict[str, tuple[type, str]]
CONSUMER: Points = {
    "poll": (Subscription, "poll"),
    "tell the core": (CoreClient, "apply"),
    "park letters": (Publisher, "send"),
    "commit": (Subscription, "commit"),
}
TRANSACTIONS: Points = {**CONSUMER, "tell the core": (CoreClient, "ingest")}
PRODUCER: Points = {
    "bind": (State, "bind"),
    "open": (State, "open"),
    "read": (Source, "_page"),
    "send": (Publisher, "send"),
    "remember": (SentEvents, "remember"),
    "confirm": (State, "confirm"),
    "finish": (State, "finish"),
}
PROGRAMS: dict[str, tuple[Points, Callable[..., Any]]] = {
    "consumer": (CONSUMER, kafka_consumer.main),
    "producer": (PRODUCER, kafka_producer.main),
    "transactions": (TRANSACTIONS, transactions_consumer.main),
}


def named(points: Points) -> list[str]:
    """Each point, before and after."""
    return [f"{when} {point}" for point in points for when in ("before", "after")]


def arm(points: Points, name: str, nth: int) -> None:
    """Have the process killed at the nth time."""
    when, point = name.split(" ", 1)
    owner, method = points[point]
    setattr(owner, method, _deadly(getattr(owner, method), when, nth))


def _deadly(method: Callable[..., Any], when: str, nth: int) -> Callable[..., Any]:
    calls = count(1)

    def called(*given: Any, **more: Any) -> Any:
        number = next(calls)  # other threads call it too
        if number >= nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = method(*given, **more)
        # A poll that brought nothing is no point of interest.
        if number >= nth and getattr(answer, "records", True):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return called


if __name__ == "__main__":
    program, point, nth, *arguments = sys.argv[1:]
    points, main = PROGRAMS[program]
    arm(points, point, int(nth))
    sys.exit(main(arguments) if arguments else main())
