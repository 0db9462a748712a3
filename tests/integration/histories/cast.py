"""Who acts in a history: a producer, two consumers and the broker, some of whom are killed or paused now and then."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.integration.kafka.flows import Flow

CONSUMERS = ("first consumer", "second consumer")
PRODUCER = "producer"
BROKER = "broker"
Process = subprocess.Popen[bytes]


@dataclass
class Cast:
    """The processes of a flow by their roles."""

    flow: Flow
    playing: dict[str, Process] = field(default_factory=dict)

    def start(self) -> None:
        """Have all play."""
        for role in (PRODUCER, *CONSUMERS):
            self.playing[role] = self._started(role)

    def kill(self, role: str) -> None:
        """End it by SIGKILL and start another in its place."""
        self.playing[role].kill()
        self.playing[role].wait()
        self.playing[role] = self._started(role)

    @contextmanager
    def paused(self, role: str) -> Iterator[None]:
        """It does nothing in the block, not even end."""
        process = self.playing.get(role) or self.flow.lane.kafka.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def _started(self, role: str) -> Process:
        starts: dict[str, Callable[[], Process]] = {PRODUCER: lambda: self.flow.started("--watch", "0.05")}
        return starts.get(role, self.flow.lane.start)()
