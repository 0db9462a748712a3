"""A file sent to a core behind TLS, whose server says something of its own accord before any answer."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from select import select

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from graphql_gateway.uploads import _has_answered


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    encoding, nothing = serialization.Encoding.PEM, serialization.NoEncryption()
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        signed.public_bytes(encoding) + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, nothing)
    )
    return path


def test_tickets_of_a_server_are_not_taken_for_its_answer(certificate: Path) -> None:
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
