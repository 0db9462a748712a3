"""Every setting of the gateway, its type, default and meaning, in one table; nothing else reads the environment."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

Network = IPv4Network | IPv6Network
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(Exception):
    """All mistakes in the settings at once, one sentence each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path:
    return Path(value).expanduser().resolve()


def _optional_path(value: str) -> Path | None:
    return _path(value) if value else None


def _switch(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return value.lower() == "true"


def _whole(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", value) or not minimum <= int(value) <= maximum:
            raise ValueError(f"expected a whole number from {minimum} to {maximum}")
        return int(value)

    return parse


def _seconds(minimum: float, maximum: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) or not minimum <= float(value) <= maximum:
            raise ValueError(f"expected a number of seconds from {minimum} to {maximum}")
        return float(value)

    return parse


def _core_url(value: str) -> str:
    expected = "expected http://host:port or https://host:port, without user, query or fragment"
    try:
        parts = urlsplit(value)
        is_server = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(expected) from error
    if not is_server or "@" in parts.netloc or parts.query or parts.fragment or re.search(r"[\s\x00-\x1f]", value):
        raise ValueError(expected)
    return value.rstrip("/")


def _collector_url(value: str) -> str:
    return _core_url(value) if value else ""


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise ValueError("expected addresses or networks such as 127.0.0.1,10.0.0.0/8") from error


def _origins(value: str) -> frozenset[str]:
    origins = frozenset(part.strip().lower() for part in value.split(",") if part.strip())
    if not all(re.fullmatch(r"https?://[^/@?#\s]+", each) for each in origins):
        raise ValueError("expected origins such as https://shop.example.org, by commas")
    return origins


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.upper() not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return value.upper()

    return parse


def _setting(parse: Callable[[str], Any], default: str, meaning: str, *, secret: bool = False) -> Any:
    return field(metadata={"parse": parse, "default": default, "meaning": meaning}, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """The settings in force; the name in the environment is the field's name in capitals."""

    core_url: str = _setting(_core_url, "http://127.0.0.1:5000", "where the REST core answers")
    web_dir: Path = _setting(_path, "./.web", "static files of Playground and GraphiQL")
    trusted_proxies: tuple[Network, ...] = _setting(_networks, "", "peers that may forward a client's address")
    metrics_token: str = _setting(_text, "", "bearer token that /metrics asks for, when set", secret=True)
    prometheus_multiproc_dir: str = _setting(
        _text, "", "folder that the processes of one gateway share their metrics in"
    )
    gateway_deadline_seconds: float = _setting(_seconds(0.05, 300), "10", "time for all upstream calls of one request")
    gateway_connections: int = _setting(_whole(1, 1_000), "32", "upstream calls one gateway process makes at once")
    gateway_waiting_calls: int = _setting(_whole(0, 100_000), "256", "upstream calls that may wait for a connection")
    gateway_answer_bytes: int = _setting(_whole(1_024, 1 << 30), "33554432", "largest answer taken from the core")
    gateway_breaker_failures: int = _setting(
        _whole(1, 10_000), "20", "upstream failures in a row after which calls are refused at once"
    )
    gateway_breaker_seconds: float = _setting(
        _seconds(0.05, 300), "1", "time between two probes of a core that does not answer"
    )
    otel_exporter_otlp_endpoint: str = _setting(
        _collector_url,
        "",
        "OpenTelemetry collector (OTLP over HTTP) that spans are sent to, such as http://127.0.0.1:4318",
    )
    graphql_body_bytes: int = _setting(_whole(1_024, 1 << 30), "1048576", "largest body of a GraphQL request")
    graphql_tokens: int = _setting(_whole(100, 100_000), "2000", "words and signs in a GraphQL document")
    graphql_depth: int = _setting(_whole(3, 100), "12", "levels of fields in an operation")
    graphql_aliases: int = _setting(_whole(0, 10_000), "30", "aliases in a document")
    graphql_root_fields: int = _setting(_whole(1, 1_000), "20", "fields at the top of an operation")
    graphql_fields: int = _setting(_whole(10, 100_000), "500", "fields in a document, those of fragments at each use")
    graphql_cost: int = _setting(
        _whole(10, 10_000_000), "25000", "what an operation may cost: fields its answer can have"
    )
    graphql_documents: Path | None = _setting(_optional_path, "", "manifest of trusted documents")
    graphql_trusted_only: bool = _setting(_switch, "false", "whether only trusted documents are run")
    gateway_uploads: int = _setting(_whole(1, 1_000), "8", "files that one gateway process passes on at once")
    gateway_upload_seconds: float = _setting(_seconds(1, 86_400), "3600", "time for one file to be uploaded")
    subscription_connections: int = _setting(
        _whole(1, 1_000_000), "2000", "sockets and streams of subscribers that one gateway process holds"
    )
    subscriptions_per_connection: int = _setting(_whole(1, 10_000), "100", "operations at once on one socket")
    subscription_streams: int = _setting(_whole(1, 1_000), "12", "streams of events one gateway process follows")
    subscription_check_seconds: float = _setting(_seconds(0.1, 5), "5", "time between two checks of a token")
    subscription_init_seconds: float = _setting(_seconds(0.1, 300), "5", "time to begin on a new socket")
    subscription_idle_seconds: float = _setting(_seconds(0.1, 86_400), "120", "life of a socket without operations")
    subscription_alive_seconds: float = _setting(
        _seconds(0.1, 300), "12", "time between two signs of life, and to take a message"
    )
    subscription_origins: frozenset[str] = _setting(
        _origins, "", "origins of other hosts whose pages may open sockets, by commas"
    )
    log_level: str = _setting(_one_of(*LOG_LEVELS), "INFO", "least level that is logged")

    @classmethod
    def load(cls, environ: Mapping[str, str], dotenv_path: Path | None = None) -> "Settings":
        """Read and check everything; `environ` wins over the file.

        Raises SettingsError with every mistake found, each naming its setting and what is expected.
        """
        given = {**_read_dotenv(dotenv_path), **environ}
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for spec in fields(cls):
            name = spec.name.upper()
            try:
                values[spec.name] = spec.metadata["parse"](given.get(name, "").strip() or spec.metadata["default"])
            except ValueError as error:
                mistakes.append(f"{name}: {error}")
        if mistakes:
            raise SettingsError(mistakes)
        return cls(**values)


def _read_dotenv(path: Path | None) -> dict[str, str]:
    if path is None or not path.exists():
        return {}
    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
