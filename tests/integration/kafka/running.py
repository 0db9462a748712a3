"""A real Apache Kafka for the session, and topics, consumers and producers on it."""

import os
import secrets
import socket
import string
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kafka import KafkaAdminClient

from tests.integration.jars import KAFKA
from tests.live import stop
from tests.servers import free_port

START_SECONDS = 60
SETTINGS = "server.properties"
JAVA = ("java", "-Xms192m", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


@dataclass
class Kafka:
    """A broker; `secure` is its port with TLS and a login, `password` that of `lakeport`."""

    folder: Path
    port: int
    secure: int
    password: str = field(repr=False)
    certificate: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Run it, with what it kept."""
        self.process = _java("kafka.Kafka", str(self.folder / SETTINGS), folder=self.folder)

    def kill(self) -> None:
        """End it by SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Have it end."""
        if self.process is not None:
            stop(self.process)

    def is_running(self) -> bool:
        """Whether it answers within a minute."""
        deadline = time.monotonic() + START_SECONDS
        while self.process is not None and self.process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            time.sleep(0.05)
        return False

    @property
    def servers(self) -> list[str]:
        """Where to begin."""
        return [f"127.0.0.1:{self.port}"]

    @property
    def login(self) -> dict[str, str]:
        """Settings of a client of the secure port, but for the password."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.secure}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SSL_CAFILE": str(self.certificate),
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": "lakeport",
        }

    def make_topics(self, **topics: int) -> None:
        """Make topics of so many partitions."""
        admin = KafkaAdminClient(bootstrap_servers=self.servers)
        try:
            wanted = {name: {"num_partitions": number, "replication_factor": 1} for name, number in topics.items()}
            admin.create_topics(wanted, wait_for_metadata=True)
        finally:
            admin.close()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One broker for all tests of the session."""
    if not KAFKA.are_installed:
        pytest.skip(KAFKA.how_to_get)
    with run_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@contextmanager
def run_kafka(folder: Path) -> Iterator[Kafka]:
    """Run a broker on a new folder until the block ends."""
    running = _start(folder)
    try:
        yield running
    finally:
        running.stop()


def _start(folder: Path) -> Kafka:
    # Another test process may take a port between the look and the bind: then the broker ends and we try others.
    for attempt in range(3):
        place = folder / str(attempt)
        place.mkdir()
        running = _prepared(place)
        running.start()
        if running.is_running():
            return running
        running.stop()
    raise RuntimeError(f"Kafka does not start: {(folder / '2' / 'log').read_text()[-2000:]}")


def _prepared(folder: Path) -> Kafka:
    port, secure, controller = (free_port() for _ in range(3))
    password = secrets.token_hex(16)
    certificate = _make_certificate(folder)
    template = string.Template((KAFKA.folder / SETTINGS).read_text())
    settings = folder / SETTINGS
    settings.write_text(
        template.substitute(
            port=port,
            secure=secure,
            controller=controller,
            password=password,
            certificate=folder / "server.pem",
            folder=folder / "data",
        )
    )
    cluster = secrets.token_urlsafe(16)
    _java("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(settings), folder=folder).wait()
    return Kafka(folder, port, secure, password, certificate)


def _java(*arguments: str, folder: Path) -> "subprocess.Popen[bytes]":
    options = (f"-Dlog4j2.configurationFile={KAFKA.folder / 'log4j2.properties'}", "-cp", f"{KAFKA.place}/*")
    command = ["setpriv", "--pdeathsig=TERM", *JAVA, *options, *arguments]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, env={"PATH": os.environ["PATH"]}, stdout=log, stderr=log, start_new_session=True
        )


def _make_certificate(folder: Path) -> Path:
    """Write a key with a certificate that it signed itself for the broker, and the certificate for its clients."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kafka of the tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + certificate)
    (folder / "ca.pem").write_bytes(certificate)
    return folder / "ca.pem"
