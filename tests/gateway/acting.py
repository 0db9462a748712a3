"""Replies that a test holds, counts and lets go, and clients that leave before their answer."""

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.gateway.conftest import GraphQL, replying

PATIENCE_SECONDS = 10
ARTICLE = {"id": 1, "title": "a", "content": "", "author_id": 1, "version": 1}
READ = "{ getArticle(id: 1) { success code article { id } } }"
WRITE = 'mutation { createArticle(title: "a", content: "") { success article { id } } }'
FOUND = {"getArticle": {"success": True, "code": None, "article": {"id": 1}}}


@dataclass
class Held:
    """Replies only when told to; `came` counts the calls, `cut` tells that the caller hung up before that."""

    status: int = 200
    body: Any = field(default_factory=lambda: ARTICLE)
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    cut: threading.Event = field(default_factory=threading.Event)
    _free: threading.Event = field(default_factory=threading.Event)

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        self.came.release()
        handler.connection.settimeout(0.01)
        while not self._free.is_set():
            try:
                if not handler.connection.recv(1, socket.MSG_PEEK):
                    self.cut.set()
                    handler.close_connection = True
                    return
            except TimeoutError:
                continue
            except OSError:
                self.cut.set()
                return
        handler.connection.settimeout(None)
        replying(self.status, self.body)(handler)

    def wait(self) -> None:
        """Until a call is held."""
        assert self.came.acquire(timeout=PATIENCE_SECONDS)

    def let_go(self) -> None:
        """Reply to all that are held, and at once from now on."""
        self._free.set()


@dataclass
class Leaving:
    """A client that asks and then goes."""

    connection: socket.socket

    @classmethod
    def ask(cls, client: GraphQL, query: str) -> "Leaving":
        """Send a request; its body only once it is asked for. A server drops what comes together with its end."""
        target = urlsplit(client.url)
        body = json.dumps({"query": query}).encode()
        headers = {
            "Host": target.netloc,
            "Content-Type": "application/json",
            "Expect": "100-continue",
            **client.headers,
        }
        lines = [f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": str(len(body))}.items()]
        connection = socket.create_connection((target.hostname or "", target.port or 0))
        connection.settimeout(PATIENCE_SECONDS)
        connection.sendall(f"POST /graphql HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
        assert connection.recv(64).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        return cls(connection)

    def leave(self) -> None:
        """Close the connection without reading an answer."""
        self.connection.close()


def chunks(content: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """A reply of these bytes again and again, in chunks, for as long as anybody takes them."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))
        except OSError:
            return

    return reply


def raw(content: bytes, *, again: bool = False) -> Callable[[BaseHTTPRequestHandler], None]:
    """A reply of just these bytes, or of them again and again."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        try:
            handler.wfile.write(content)
            while again:
                handler.wfile.write(content)
        except OSError:
            return

    return reply
