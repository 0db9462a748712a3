"""A core that kills itself at a named point of a call that brings events: `python -m tests.api.dying FOLDER URL`."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rest_api.app import create_app
from rest_api.backends.writing import Writing
from rest_api.services import changes
from rest_api.services.ingestion import Ingested
from tests.conftest import Caller, log_in, settings_for

PATH = "/data/datasets/transactions/rows"
SECRETS = {name: name.lower() * 4 for name in ("AUDIT_KEY", "MASK_KEY", "CURSOR_KEY")}
POINTS: dict[str, tuple[Any, str, int]] = {
    "quarantine noted": (changes, "begin", 1),
    "quarantine committed": (Writing, "append", 1),
    "merge noted": (changes, "begin", 2),
    "merge committed": (Writing, "put", 1),
    "one change finished": (changes, "finish", 1),
    "all finished": (Ingested, "finish", 1),
}
"""After which call, and after how many of them."""


def events_of(point: str) -> list[dict[str, Any]]:
    """Two right events and two wrong ones that no other point has."""
    number = list(POINTS).index(point)
    row = {
        "timestamp": "2026-11-01T12:00:00Z",
        "user_id": 1,
        "product_id": "p-001",
        "amount": 10,
        "currency": "EUR",
        "status": "completed",
    }
    right = [{"row": {**row, "transaction_id": f"tx-{number}-{each}"}} for each in range(2)]
    source = {"topic": "transactions", "partition": number}
    wrong = [{"raw": "?", "source": {**source, "offset": each}} for each in range(2)]
    return [*right, *wrong]


def die_after(owner: Any, name: str, calls: int) -> None:
    """Kill this process once a function was called so often."""
    real: Callable[..., Any] = getattr(owner, name)
    left = [None] * calls

    def dying(*given: Any, **more: Any) -> Any:
        found = real(*given, **more)
        left.pop()
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, dying)


def send(caller: Caller, point: str) -> Any:
    """The outcomes of a point's events."""
    answer = caller.post(PATH, {"events": events_of(point)})
    assert answer.status_code == 201, answer.json
    return [each["outcome"] for each in answer.json["outcomes"]]


def _call(folder: Path, url: str, point: str) -> None:
    caller = log_in(create_app(settings_for(folder, DATABASE_URL=url, **SECRETS)), "root")
    die_after(*POINTS[point])
    send(caller, point)


def main() -> None:
    """Say for each point how a process of its own ended: -9 where it was killed."""
    for point in POINTS:
        child = os.fork()
        if not child:
            _call(Path(sys.argv[1]), sys.argv[2], point)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{point}: {os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    main()
