"""A relay that kills itself: `deadly_relay.py POINT NTH`, at the nth time it has something at a named point.

It sends small batches, so that there are several.
"""

import sys

from rest_api.backends.event_log.kafka import KafkaLog
from rest_api.services import relays
from rest_api.services.relays import EventStream, Outbox
from rest_api.worker import main
from tests.integration.kafka.deadly import Points, arm

POINTS: Points = {
    "publish": (KafkaLog, "publish"),
    "save": (Outbox, "keep"),
    "move a position": (EventStream, "keep"),
}

if __name__ == "__main__":
    point, nth = sys.argv[1:]
    relays.BATCH_ROWS = 30
    arm(POINTS, point, int(nth))
    sys.exit(main())
