"""Every setting of the Kafka route, its type, default and meaning, in one table; nothing else reads them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from integration.errors import Misconfigured

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def _text(value: str) -> str:
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value):
        raise ValueError("expected 1 to 249 letters, digits and . _ -")
    return value


def _origin(value: str) -> str:
    if not 1 <= len(value) <= 64:
        raise ValueError("expected 1 to 64 characters")
    return value


def _servers(value: str) -> tuple[str, ...]:
    servers = tuple(part.strip() for part in value.split(",") if part.strip())
    if not servers or not all(re.fullmatch(r"[^\s/@]+:[0-9]{1,5}", each) for each in servers):
        raise ValueError("expected host:port, several by commas")
    return servers


def _optional_path(value: str) -> Path | None:
    return Path(value).expanduser() if value else None


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.upper() not in allowed:
            raise ValueError(f"expected one of {', '.join(filter(None, allowed))}")
        return value.upper()

    return parse


def _whole(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", value) or not minimum <= int(value) <= maximum:
            raise ValueError(f"expected a whole number from {minimum} to {maximum}")
        return int(value)

    return parse


def _setting(parse: Callable[[str], Any], default: str, meaning: str, *, secret: bool = False) -> Any:
    return field(metadata={"parse": parse, "default": default, "meaning": meaning}, repr=not secret)


@dataclass(frozen=True)
class KafkaSettings:
    """The settings in force; the name in the environment is the field's name in capitals."""

    core_url: str = _setting(_text, "http://127.0.0.1:5000", "where the REST core answers")
    kafka_bootstrap_servers: tuple[str, ...] = _setting(_servers, "127.0.0.1:9092", "brokers to begin with")
    kafka_topic: str = _setting(_name, "articles-sync", "topic of base A's changes")
    kafka_dead_letter_topic: str = _setting(_name, "articles-sync.dlq", "topic of what could not be applied")
    kafka_group: str = _setting(_name, "lakeport-articles-sync", "consumer group")
    kafka_origin: str = _setting(_origin, "base_a", "name of base A in the core")
    kafka_mapping: Path | None = _setting(_optional_path, "", "TOML file with base A's columns, for Debezium")
    kafka_message_bytes: int = _setting(_whole(1_024, 1 << 30), "4194304", "largest value that is read")
    kafka_session_timeout_seconds: int = _setting(_whole(1, 1_800), "30", "silence after which a consumer is gone")
    kafka_metrics_port: int = _setting(_whole(0, 65_535), "0", "port of /metrics on 127.0.0.1; 0 for none")
    kafka_security_protocol: str = _setting(_one_of(*PROTOCOLS), "PLAINTEXT", "how brokers are spoken to")
    kafka_ssl_cafile: Path | None = _setting(_optional_path, "", "certificates that are trusted; the system's if unset")
    kafka_ssl_certfile: Path | None = _setting(_optional_path, "", "certificate of this client")
    kafka_ssl_keyfile: Path | None = _setting(_optional_path, "", "its key")
    kafka_ssl_password: str = _setting(_text, "", "password of the key", secret=True)
    kafka_sasl_mechanism: str = _setting(_one_of(*MECHANISMS), "", "how this client logs in")
    kafka_sasl_username: str = _setting(_text, "", "its name")
    kafka_sasl_password: str = _setting(_text, "", "its password", secret=True)

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> "KafkaSettings":
        """The table from an environment. Raises Misconfigured with all mistakes, never showing a value."""
        values: dict[str, Any] = {}
        mistakes = []
        for each in fields(cls):
            try:
                values[each.name] = each.metadata["parse"](environ.get(each.name.upper()) or each.metadata["default"])
            except ValueError as error:
                mistakes.append(f"{each.name.upper()}: {error}")
        if mistakes:
            raise Misconfigured("; ".join(mistakes))
        return cls(**values)

    def connection(self) -> dict[str, Any]:
        """What every client of the brokers is given, in kafka-python's names."""
        given = {
            "security_protocol": self.kafka_security_protocol,
            "ssl_cafile": self.kafka_ssl_cafile and str(self.kafka_ssl_cafile),
            "ssl_certfile": self.kafka_ssl_certfile and str(self.kafka_ssl_certfile),
            "ssl_keyfile": self.kafka_ssl_keyfile and str(self.kafka_ssl_keyfile),
            "ssl_password": self.kafka_ssl_password,
            "sasl_mechanism": self.kafka_sasl_mechanism,
            "sasl_plain_username": self.kafka_sasl_username,
            "sasl_plain_password": self.kafka_sasl_password,
        }
        return {
            "bootstrap_servers": list(self.kafka_bootstrap_servers),
            **{name: value for name, value in given.items() if value},
        }
