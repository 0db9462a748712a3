"""A relay between a gateway and its core whose connections can be cut."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.servers import free_port

CHUNK_BYTES = 65_536


@dataclass
class Relay:
    """Passes on what comes, unless it is cut."""

    target: tuple[str, int]
    listening: socket.socket
    is_cut: bool = False
    ends: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the core seems to be."""
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def cut(self) -> None:
        """Break every connection, and each that comes until it is mended."""
        self.is_cut = True
        for end in self.ends:
            _end(end)
        self.ends.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self.is_cut = False

    def serve(self) -> None:
        """Take connections until the listening socket is closed."""
        with suppress(OSError):
            while True:
                self._connect(self.listening.accept()[0])

    def _connect(self, near: socket.socket) -> None:
        if self.is_cut:
            return _end(near)
        far = socket.create_connection(self.target)
        self.ends += (near, far)
        for each in ((near, far), (far, near)):
            threading.Thread(target=_pump, args=each, daemon=True).start()
        return None


def _pump(near: socket.socket, far: socket.socket) -> None:
    with suppress(OSError):
        while part := near.recv(CHUNK_BYTES):
            far.sendall(part)
    _end(far)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def relayed(url: str) -> Iterator[Relay]:
    """A relay before a core until the block ends."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_server(("127.0.0.1", free_port())) as listening:
        relay = Relay((host, int(port)), listening)
        thread = threading.Thread(target=relay.serve, daemon=True)
        thread.start()
        yield relay
        _end(listening)
        relay.cut()
        thread.join()
