"""The open sockets and streams of clients, and for whom they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from graphql_gateway.errors import Overloaded
from graphql_gateway.proxies import TrustedProxies
from graphql_gateway.rest_client import Caller


@dataclass
class Connections:
    """Those of this process, so many at most."""

    most: int
    proxies: TrustedProxies
    open: int = 0

    def check(self) -> None:
        """Raises Overloaded where there is no room for one more."""
        if self.open >= self.most:
            raise Overloaded("The gateway has too many connections; try again", retry_after_seconds=5)

    @contextmanager
    def one(self) -> Iterator[None]:
        """One more, until the block ends. Raises Overloaded."""
        self.check()
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def caller(self, connection: HTTPConnection) -> Caller:
        """For whom a connection is."""
        peer = connection.client.host if connection.client else ""
        given = ",".join(connection.headers.getlist("x-forwarded-for"))
        forwarded_for = self.proxies.forwarded_for(peer, given) if peer else None
        return Caller(connection.headers.get("authorization"), connection.state.request_id, forwarded_for)
