"""Every setting of the core, its type, default and meaning, in one table; nothing else reads the environment."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from rest_api.errors import nearest

Network = IPv4Network | IPv6Network
MIN_SECRET_CHARACTERS = 32
OUTBOX = "outbox://"
KAFKA = "kafka://"
BROKERS = re.compile(r"[A-Za-z0-9._-]+:[0-9]{1,5}|\[[0-9A-Fa-f:]+\]:[0-9]{1,5}")
SASL_PROTOCOLS = ("SASL_PLAINTEXT", "SASL_SSL")
SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", *SASL_PROTOCOLS)
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
EMBEDDED_SCHEMES = {
    "STORAGE_URL": "file",
    "ENGINE_URL": "duckdb",
    "SEARCH_URL": "whoosh",
    "CACHE_URL": "memory",
    "KEYVALUE_URL": "sqlite",
}


class SettingsError(Exception):
    """All mistakes in the settings at once, one sentence each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True)
class SigningKey:
    """A secret that signs tokens, named in their `kid` header."""

    kid: str
    secret: str = field(repr=False)


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path:
    return Path(value).expanduser().resolve()


def _whole(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,12}", value) or not minimum <= int(value) <= maximum:
            raise ValueError(f"expected a whole number from {minimum} to {maximum}")
        return int(value)

    return parse


def _secret(value: str) -> str:
    if len(value) < MIN_SECRET_CHARACTERS:
        raise ValueError(f"expected a secret of at least {MIN_SECRET_CHARACTERS} characters")
    return value


def _signing_keys(value: str) -> tuple[SigningKey, ...]:
    keys = [SigningKey(*pair.strip().split(":", 1)) for pair in value.split(",") if ":" in pair]
    well_formed = keys and len(keys) == value.count(",") + 1
    if not well_formed or any(not key.kid or len(key.secret) < MIN_SECRET_CHARACTERS for key in keys):
        raise ValueError(
            f"expected kid:secret,kid:secret, newest first, each secret of at least {MIN_SECRET_CHARACTERS} characters"
        )
    if len({key.kid for key in keys}) < len(keys):
        raise ValueError("expected every kid once")
    return tuple(keys)


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise ValueError("expected addresses or networks such as 127.0.0.1,10.0.0.0/8") from error


def _database_url(value: str) -> str:
    try:
        scheme = make_url(value).drivername.split("+")[0]
    except ArgumentError as error:
        raise ValueError("expected sqlite:///file or postgresql://user:password@host/name") from error
    if scheme not in ("sqlite", "postgresql"):
        near = nearest(scheme, ("sqlite", "postgresql"))
        hint = f"; did you mean {near}://?" if near else ""
        raise ValueError(f"{scheme}:// is not among the databases of this release (sqlite, postgresql){hint}")
    return value


def _embedded(name: str) -> Callable[[str], str]:
    scheme = EMBEDDED_SCHEMES[name]

    def parse(value: str) -> str:
        given = value.split(":", 1)[0]
        if given != scheme:
            raise ValueError(f"{given}:// is not in this release; leave it unset for {scheme}://")
        return value

    return parse


def _events_url(value: str) -> str:
    """What is wrong with a URL is told without showing it: there may be a password in it."""
    if value in (OUTBOX, OUTBOX.removesuffix("//")):
        return OUTBOX
    if not value.startswith(KAFKA):
        near = nearest(value.split(":", 1)[0], ("outbox", "kafka"))
        hint = f"; did you mean {near}://?" if near else ""
        raise ValueError(f"expected {OUTBOX} or {KAFKA}host:port,host:port{hint}")
    if "@" in value:
        raise ValueError("takes no name or password; see EVENTS_SASL_USERNAME and EVENTS_SASL_PASSWORD")
    if not all(_is_broker(part) for part in value.removeprefix(KAFKA).removesuffix("/").split(",")):
        raise ValueError(f"expected {KAFKA}host:port, several by commas, and nothing after them")
    return value


def _is_broker(part: str) -> bool:
    return bool(BROKERS.fullmatch(part)) and 0 < int(part.rpartition(":")[2]) < 65_536


def _optional_file(value: str) -> Path | None:
    if not value:
        return None
    path = _path(value)
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _names(allowed: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(value: str) -> tuple[str, ...]:
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        if any(name not in allowed for name in names):
            raise ValueError(f"expected only {', '.join(allowed)}")
        return names

    return parse


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.upper() not in allowed:
            raise ValueError(f"expected one of {', '.join(filter(None, allowed))}")
        return value.upper()

    return parse


def _setting(parse: Callable[[str], Any], default: str | None, meaning: str, *, secret: bool = False) -> Any:
    return field(metadata={"parse": parse, "default": default, "meaning": meaning}, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """The settings in force; the name in the environment is the field's name in capitals."""

    data_dir: Path = _setting(_path, "./var", "database, lake, indexes, sealed audit heads, logs")
    web_dir: Path = _setting(_path, "./.web", "static files of the documentation pages")
    jwt_secrets: tuple[SigningKey, ...] = _setting(
        _signing_keys, None, "kid:secret,… newest first; signs tokens", secret=True
    )
    audit_key: str = _setting(_secret, None, "seals the audit trail", secret=True)
    mask_key: str = _setting(_secret, None, "keys the hash mask", secret=True)
    cursor_key: str = _setting(_secret, None, "seals page cursors", secret=True)
    metrics_token: str = _setting(_text, "", "bearer token that /metrics asks for, when set", secret=True)
    admin_password: str = _setting(_text, "", "password of the first administrator; generated when unset", secret=True)
    trusted_proxies: tuple[Network, ...] = _setting(_networks, "", "peers that may forward a client's address")
    lake_sql_tables: tuple[str, ...] = _setting(_names(("articles",)), "articles", "own tables served as datasets")
    database_url: str = _setting(_database_url, "", "sqlite:///… or postgresql://…", secret=True)
    storage_url: str = _setting(_embedded("STORAGE_URL"), "file://", "where the lake lies")
    engine_url: str = _setting(_embedded("ENGINE_URL"), "duckdb://", "what reads the lake")
    search_url: str = _setting(_embedded("SEARCH_URL"), "whoosh://", "search index")
    events_url: str = _setting(_events_url, OUTBOX, "event log; kafka://host:port,host:port for one that others read")
    events_security_protocol: str = _setting(_one_of(*SECURITY_PROTOCOLS), "PLAINTEXT", "how its brokers are spoken to")
    events_ssl_cafile: Path | None = _setting(_optional_file, "", "certificates it trusts; the system's if unset")
    events_ssl_certfile: Path | None = _setting(_optional_file, "", "certificate it shows to brokers")
    events_ssl_keyfile: Path | None = _setting(_optional_file, "", "key of that certificate")
    events_ssl_password: str = _setting(_text, "", "password of that key", secret=True)
    events_sasl_mechanism: str = _setting(_one_of("", *SASL_MECHANISMS), "", "how it logs in to brokers")
    events_sasl_username: str = _setting(_text, "", "name it logs in with")
    events_sasl_password: str = _setting(_text, "", "password it logs in with", secret=True)
    cache_url: str = _setting(_embedded("CACHE_URL"), "memory://", "cache")
    keyvalue_url: str = _setting(_embedded("KEYVALUE_URL"), "sqlite://", "key-value store")
    access_token_seconds: int = _setting(_whole(1, 86_400), "900", "life of an access token")
    refresh_token_seconds: int = _setting(_whole(60, 31_536_000), "2592000", "life of a refresh token")
    requests_per_minute: int = _setting(_whole(1, 10_000_000), "30000", "calls of one principal, per core process")
    login_failures_per_account: int = _setting(
        _whole(1, 1_000), "10", "failed logins of one account from one address per window"
    )
    login_failures_per_address: int = _setting(_whole(1, 100_000), "100", "failed logins from one address per window")
    login_window_seconds: int = _setting(_whole(1, 86_400), "900", "window of the two limits above")
    running_requests: int = _setting(_whole(1, 1_000), "16", "requests one core process works on at once")
    waiting_requests: int = _setting(_whole(1, 1_000), "32", "long polls and streams of one core process at once")
    waiting_requests_per_user: int = _setting(_whole(1, 1_000), "16", "of these, as many of one user")
    sending_clients: int = _setting(_whole(1, 1_000), "24", "bodies that one core process reads at once")
    receiving_uploads: int = _setting(_whole(1, 1_000), "8", "uploads that one core process receives at once")
    receiving_uploads_per_user: int = _setting(_whole(1, 1_000), "4", "of these, as many of one user")
    queue_seconds: int = _setting(_whole(0, 60), "2", "how long a request waits for its turn before 503")
    statement_seconds: int = _setting(
        _whole(1, 3_600), "30", "how long PostgreSQL may work at a statement of a call before 504"
    )
    query_seconds: int = _setting(_whole(1, 3_600), "30", "how long a query of the lake may run before 504")
    query_memory_mib: int = _setting(_whole(64, 1 << 20), "1024", "memory of one core process for queries of the lake")
    json_bytes: int = _setting(_whole(1_024, 1 << 30), "1048576", "largest JSON body")
    batch_bytes: int = _setting(_whole(1_024, 1 << 32), "33554432", "largest body of a batch")
    upload_bytes: int = _setting(_whole(1_024, 1 << 39), "10737418240", "largest body of an upload")
    audit_retention_days: int = _setting(_whole(1, 36_500), "365", "age at which audit entries are deleted")
    event_retention_days: int = _setting(_whole(1, 3_650), "7", "age at which events are deleted")
    version_retention_hours: int = _setting(
        _whole(24, 876_000), "168", "how long the files of a table's earlier versions are kept at least"
    )
    maintenance_bytes: int = _setting(
        _whole(1 << 30, 1 << 42), "8589934592", "memory that maintaining a table may take"
    )
    job_lease_seconds: int = _setting(_whole(1, 3_600), "15", "silence after which another worker takes a job over")
    worker_metrics_host: str = _setting(_text, "127.0.0.1", "address of the worker's metrics")
    worker_metrics_port: int = _setting(_whole(0, 65_535), "9108", "port of the worker's metrics; 0 for none")
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
            try:
                values[spec.name] = _read(spec.name.upper(), spec.metadata, given)
            except ValueError as error:
                mistakes.append(f"{spec.name.upper()}: {error}")
        mistakes += _contradictions(values)
        if mistakes:
            raise SettingsError(mistakes)
        values["database_url"] = values["database_url"] or f"sqlite:///{values['data_dir']}/lakeport.db"
        return cls(**values)

    @property
    def event_brokers(self) -> tuple[str, ...]:
        """Where events are published, as host:port; empty where the database's outbox is the event log."""
        if self.events_url == OUTBOX:
            return ()
        return tuple(self.events_url.removeprefix(KAFKA).removesuffix("/").split(","))

    @property
    def lake_dir(self) -> Path:
        """Where the lake lies."""
        return self.data_dir / "lake"

    @property
    def parsed_dir(self) -> Path:
        """Where files of text are kept as Parquet once they were parsed; can be deleted at any time."""
        return self.data_dir / "parsed"

    @property
    def uploads_dir(self) -> Path:
        """Where the bodies of uploads lie while they are received and parsed."""
        return self.data_dir / "uploads"

    @property
    def heads_dir(self) -> Path:
        """Where the heads of the audit chains are sealed, outside the database."""
        return self.data_dir / "audit"


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with settings together that are fine alone."""
    is_logging_in = values.get("events_security_protocol") in SASL_PROTOCOLS
    needed = ("events_sasl_mechanism", "events_sasl_username", "events_sasl_password") if is_logging_in else ()
    missing = [
        f"{name.upper()}: is not set; EVENTS_SECURITY_PROTOCOL needs it"
        for name in needed
        if not values.get(name, True)
    ]
    if values.get("events_ssl_keyfile") and not values.get("events_ssl_certfile", True):
        missing.append("EVENTS_SSL_CERTFILE: is not set; EVENTS_SSL_KEYFILE needs it")
    return missing


def _read_dotenv(path: Path | None) -> dict[str, str]:
    if path is None or not path.exists():
        return {}
    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}


def _read(name: str, metadata: Mapping[str, Any], given: Mapping[str, str]) -> Any:
    raw = given.get(name, "").strip() or metadata["default"]
    if raw is None:
        raise ValueError(f"is not set; it {metadata['meaning']}")
    if raw == "" and name == "DATABASE_URL":
        return raw
    return metadata["parse"](raw)
