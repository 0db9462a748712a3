"""A worker that kills itself while it replays: `deadly_replayer.py POINT NTH`, or none of it for `never 0`.

It takes small steps, so that there are many of each kind.
"""

import sys

from rest_api.backends.event_log import outbox
from rest_api.backends.event_log.outbox import Outbox
from rest_api.backends.writing import Writing
from rest_api.services.ingestion import Ingested, Ingestion
from rest_api.services.leases import Leases
from rest_api.services.proofs import Proofs
from rest_api.services.quarantine import Quarantine
from rest_api.tasks import replay
from rest_api.tasks.replay import Sending
from rest_api.worker import main
from tests.integration.kafka.deadly import Points, arm

POINTS: Points = {
    "send a step": (Sending, "_send"),
    "end the job": (Leases, "finish"),
    "ingest": (Ingestion, "ingest"),
    "keep what is refused": (Quarantine, "keep"),
    "commit rows": (Writing, "put"),
    "keep what was found": (Ingested, "finish"),
    "mark as sent": (Outbox, "_mark"),
    "keep proofs": (Proofs, "_keep"),
    "settle": (Proofs, "_settle"),
}

if __name__ == "__main__":
    point, nth = sys.argv[1:]
    replay.STEP_ROWS, outbox.MOST_MESSAGES = 7, 9
    if point != "never":
        arm(POINTS, point, int(nth))
    sys.exit(main())
