"""The parent's side: finds the tables, and has each maintained by a child that may be killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rest_api.backends.storage import Storage
from rest_api.lake.names import name_of

_ROOT = Path(__file__).resolve().parents[3]
_COMMAND = (sys.executable, "-P", "-s", "-B", "-m", "rest_api.backends.maintenance.child")
_ENVIRONMENT = {"PYTHONPATH": str(_ROOT), "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "TOKIO_WORKER_THREADS": "2"}
_LOG = "_delta_log"
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Upkeep:
    """How tables are maintained: how long their versions are kept, and with how much memory."""

    storage: Storage
    retention_hours: int
    memory_bytes: int

    def tables(self) -> list[tuple[str, str]]:
        """The names and places of all tables, by name."""
        return sorted(self._found())

    def maintain(self, location: str, look: Callable[[], None]) -> dict[str, Any]:
        """Maintain one table; `look` is called all the while, and what it raises ends the child.

        Returns `files_joined`, `files_deleted`, `version`, or the `problem` that kept it from that.
        """
        asked = {"location": location, "retention_hours": self.retention_hours, "memory_bytes": self.memory_bytes}
        with subprocess.Popen(  # noqa: S603  # a constant command
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        ) as child:
            try:
                return _answer(child, json.dumps(asked).encode(), look)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)

    def _found(self) -> Iterator[tuple[str, str]]:
        for folder, entries in self.storage.walk("/"):
            if folder != "/" and any(entry.is_folder and entry.name == _LOG for entry in entries):
                yield name_of(folder), self.storage.location(folder)


def _answer(child: "subprocess.Popen[bytes]", asked: bytes, look: Callable[[], None]) -> dict[str, Any]:
    given: bytes | None = asked
    while True:
        try:
            told, _ = child.communicate(given, timeout=LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            given = None
            look()
            continue
        if child.returncode != 0:
            return {"problem": "it was ended, as when it needs too much memory"}
        return dict(json.loads(told))
