"""A file sent to a core behind TLS, whose server says something of its own accord before any answer."""

import socket
import ssl
import threading
from pathlib import Path
from select import select

from graphql_gateway.uploads import _has_answered
from tests.gateway.certificates import make_certificate


def test_tickets_of_a_server_are_not_taken_for_its_answer(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "certificate.pem")
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(certificate)
    client.load_verify_locations(certificate)
    client.check_hostname = False
    ours, theirs = socket.socketpair()
    accepting = threading.Thread(target=lambda: accepted.append(server.wrap_socket(theirs, server_side=True)))
    accepted: list[ssl.SSLSocket] = []
    accepting.start()
    with client.wrap_socket(ours) as opened:
        accepting.join()
        assert opened.version() == "TLSv1.3"
        assert select([opened], [], [], 10)[0], "the server sends no ticket"
        assert not _has_answered(opened)
    accepted[0].close()


def test_an_early_answer_in_the_clear_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not _has_answered(ours)
        theirs.sendall(b"HTTP/1.1 413")
        assert _has_answered(ours)
