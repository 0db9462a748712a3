"""A consumer that kills itself: `python deadly_consumer.py POINT NTH`, at the nth time it comes to a named point."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from integration.core_client import CoreClient
from integration.kafka_client import Publisher, Subscription
from integration.kafka_consumer import main

POINTS: dict[str, tuple[type, str, str]] = {
    "before a poll": (Subscription, "poll", "before"),
    "after a poll": (Subscription, "poll", "after"),
    "before the core is told": (CoreClient, "apply", "before"),
    "after the core was told": (CoreClient, "apply", "after"),
    "before letters are parked": (Publisher, "send", "before"),
    "after letters were parked": (Publisher, "send", "after"),
    "before a commit": (Subscription, "commit", "before"),
    "after a commit": (Subscription, "commit", "after"),
}


def arm(point: str, nth: int) -> None:
    """Have the process killed there."""
    owner, name, when = POINTS[point]
    setattr(owner, name, _deadly(getattr(owner, name), when, nth))


def _deadly(method: Callable[..., Any], when: str, nth: int) -> Callable[..., Any]:
    calls = 0

    def called(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls >= nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = method(*given, **named)
        # A poll that brought nothing is no point of interest.
        if calls >= nth and getattr(answer, "records", True):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return called


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.exit(main())
