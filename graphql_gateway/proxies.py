"""Whose address is passed on to the core: the peer's own, and what a trusted proxy says of those before it."""

from dataclasses import dataclass
from ipaddress import ip_address

from graphql_gateway.settings import Network

MAX_HOPS = 20


@dataclass(frozen=True)
class TrustedProxies:
    """The peers whose X-Forwarded-For counts."""

    networks: tuple[Network, ...]

    def forwarded_for(self, peer: str, given: str) -> str:
        """The X-Forwarded-For of an upstream call: the peer, after the chain it forwards where it is trusted.

        Of the chain only the addresses at its end are kept, since what stands before something else is a claim.
        """
        return ", ".join([*(_hops(given) if self.trusts(peer) else []), peer])

    def trusts(self, address: str) -> bool:
        """Whether an address is a trusted proxy's."""
        return _is_address(address) and any(ip_address(address) in network for network in self.networks)


def _hops(given: str) -> list[str]:
    hops: list[str] = []
    for part in reversed(given.split(",")):
        hop = _bare_address(part.strip())
        if not _is_address(hop) or len(hops) == MAX_HOPS:
            break
        hops.insert(0, hop)
    return hops


def _bare_address(text: str) -> str:
    if text.startswith("["):
        return text[1:].split("]", maxsplit=1)[0]
    return text.split(":", maxsplit=1)[0] if text.count(":") == 1 else text


def _is_address(text: str) -> bool:
    if "%" in text:
        return False  # a zone is this machine's own affair, and anything can be written there
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
