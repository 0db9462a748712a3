"""A generic connection: a JDBC driver's class and URL, over the same databases from here."""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import psycopg

from integration.pentaho.documents import text_of
from tests.integration.pentaho.values import KettleError, Row, substituted

BUSY_SECONDS = 3
"""How long sqlite-jdbc waits for a lock, if it is not told otherwise."""
FAILURES = (sqlite3.Error, psycopg.Error)


@dataclass(frozen=True)
class Connection:
    """An open connection, one for each step as in PDI."""

    raw: Any
    is_postgresql: bool

    def query(self, sql: str, values: Sequence[Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows."""
        cursor = self.raw.execute(self._placed(sql), tuple(values))
        return [column[0] for column in cursor.description], cursor.fetchall()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Change something."""
        self.raw.execute(self._placed(sql), tuple(values))

    def commit(self) -> None:
        self.raw.commit()

    def _placed(self, sql: str) -> str:
        return sql.replace("%", "%%").replace("?", "%s") if self.is_postgresql else sql


@contextmanager
def connected(element: Element, variables: Mapping[str, str]) -> Iterator[Connection]:
    """A connection as a file describes it, closed in the end. Raises KettleError, for errors of the block too."""
    attributes = {text_of(each, "code"): text_of(each, "attribute") for each in element.findall("attributes/attribute")}
    driver = substituted(attributes["CUSTOM_DRIVER_CLASS"], variables)
    url = substituted(attributes["CUSTOM_URL"], variables)
    username = substituted(text_of(element, "username"), variables)
    password = substituted(text_of(element, "password"), variables)
    try:
        with closing(_open(driver, url, username, password)) as raw:
            yield Connection(raw, driver == "org.postgresql.Driver")
    except FAILURES as error:
        raise KettleError(f"database: {error}") from error


def _open(driver: str, url: str, username: str, password: str) -> Any:
    if driver == "org.sqlite.JDBC" and url.startswith("jdbc:sqlite:"):
        return sqlite3.connect(url.removeprefix("jdbc:sqlite:"), timeout=BUSY_SECONDS)
    found = re.fullmatch(r"jdbc:postgresql://([^/:]+):(\d+)/(\w+)", url)
    if driver == "org.postgresql.Driver" and found:
        host, port, name = found.groups()
        return psycopg.connect(host=host, port=int(port), dbname=name, user=username, password=password)
    raise KettleError(f"the driver {driver} does not know {url}")


def as_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Row]:
    """Rows by the names of their columns."""
    return [dict(zip(names, row, strict=True)) for row in rows]
