"""The servers that are compared: where they listen, and how each is asked."""

from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from benchmarks.lake.client import Client
from benchmarks.lake.questions import Question

Row = dict[str, Any]


class Server(Protocol):
    """A running server over the rows."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    @property
    def pid(self) -> int:
        """Its first process."""

    def client(self, question: Question) -> Client | None:
        """What asks it, None where it is not asked that."""

    def rows(self, answer: bytes) -> list[Row]:
        """The rows in an answer."""


@dataclass(frozen=True)
class Core:
    """Ours: the caller's token, row policy and audit with every call."""

    url: str
    pid: int
    token: str
    name: str = "Lakeport"

    def client(self, question: Question) -> Client | None:
        """Asks by path."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return Client(self.url + question.core_path, "GET", headers) if question.core_path else None

    def rows(self, answer: bytes) -> list[Row]:
        """Those under `data`."""
        return list(orjson.loads(answer)["data"])


@dataclass(frozen=True)
class Roapi:
    """ROAPI, over the file or over a copy of it in memory."""

    url: str
    pid: int
    name: str

    def client(self, question: Question) -> Client | None:
        """Asks by SQL: its filters in the URL know no list of values."""
        body = question.roapi_sql.encode()
        return Client(f"{self.url}/api/sql", "POST", {}, body) if body else None

    def rows(self, answer: bytes) -> list[Row]:
        """The whole answer."""
        return list(orjson.loads(answer))


@dataclass(frozen=True)
class Datasette:
    """Datasette over SQLite."""

    url: str
    pid: int
    name: str = "Datasette"

    def client(self, question: Question) -> Client | None:
        """Asks by path, most of them with SQL in it."""
        return Client(self.url + question.datasette_path, "GET", {}) if question.datasette_path else None

    def rows(self, answer: bytes) -> list[Row]:
        """The whole answer."""
        return list(orjson.loads(answer))
