"""What an attacker tries at the gateway: being sent elsewhere, and addresses that anything can be written into."""

import urllib.error
import urllib.request
from ipaddress import ip_network

import pytest

from graphql_gateway.proxies import TrustedProxies
from rest_api.proxies import TrustedProxies as CoreProxies
from tests.live import Live

LONG_ZONE = f"fe80::1%{'a' * 500}"


def test_nobody_is_sent_to_a_host_that_he_named(live_gateway: Live) -> None:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay())
    request = urllib.request.Request(f"{live_gateway.url}/graphql/", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(request, timeout=5)
    with refused.value as answer:
        assert answer.code == 404
        assert answer.headers["Location"] is None


def test_an_address_with_a_zone_is_not_passed_on() -> None:
    proxies = TrustedProxies((ip_network("127.0.0.1"),))
    assert proxies.forwarded_for("127.0.0.1", LONG_ZONE) == "127.0.0.1"


def test_the_core_does_not_take_an_address_with_a_zone() -> None:
    seen: list[str] = []

    def app(environ: dict[str, str], _start: object) -> list[bytes]:
        seen.append(environ["REMOTE_ADDR"])
        return []

    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": LONG_ZONE}
    CoreProxies(app, (ip_network("127.0.0.1"),))(environ, lambda *_: None)
    assert seen == ["127.0.0.1"]
