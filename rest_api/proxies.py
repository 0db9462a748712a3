"""Whose address and scheme count: what a trusted proxy forwards, and nothing anybody else claims."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from rest_api.settings import Network

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
FORWARDING_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED")


@dataclass(frozen=True)
class TrustedProxies:
    """WSGI middleware that sets REMOTE_ADDR and the scheme from the headers of trusted peers only."""

    app: Wsgi
    networks: tuple[Network, ...]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # Some servers give the peer as address:port.
        peer = _bare_address(environ.get("REMOTE_ADDR", ""))
        environ["REMOTE_ADDR"] = peer
        if self._is_trusted(peer):
            environ["REMOTE_ADDR"] = self._client(peer, environ.get("HTTP_X_FORWARDED_FOR", ""))
            if environ.get("HTTP_X_FORWARDED_PROTO") in ("http", "https"):
                environ["wsgi.url_scheme"] = environ["HTTP_X_FORWARDED_PROTO"]
        for name in FORWARDING_HEADERS:
            environ.pop(name, None)
        return self.app(environ, start_response)

    def _client(self, peer: str, forwarded: str) -> str:
        """The last address in the chain that is not a trusted proxy; RFC 7239 section 5.2 order."""
        client = peer
        for hop in reversed([_bare_address(part.strip()) for part in forwarded.split(",") if part.strip()]):
            if not _is_address(hop):
                return client
            client = hop
            if not self._is_trusted(hop):
                return client
        return client

    def _is_trusted(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self.networks)


def _bare_address(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _is_address(text: str) -> bool:
    if "%" in text:
        return False  # a zone is this machine's own affair, and anything can be written there
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
