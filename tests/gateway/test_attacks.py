"""What an attacker tries at the gateway: being sent elsewhere, and addresses that anything can be written into."""

import socket
import urllib.error
import urllib.request
from ipaddress import ip_network
from urllib.parse import urlsplit

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


def test_who_leaves_in_the_middle_of_a_body_fills_no_log(live_gateway: Live) -> None:
    address = urlsplit(live_gateway.url)
    head = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    for _ in range(3):
        with socket.create_connection((address.hostname, address.port)) as client:
            client.sendall(head.encode())
    # Its answer comes after theirs would have: one process, one loop.
    for _ in range(20):
        assert live_gateway.get("/health/live")[0] == 200
    assert "unexpected error" not in live_gateway.log.read_text()


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
