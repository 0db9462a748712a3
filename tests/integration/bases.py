"""Bases A for the tests: real databases with the demo's tables, and what is in base B behind the core."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, text

from tests.live import ROOT, LiveCore

SCHEMA = (ROOT / "rest_api" / "demo" / "base_a.sql").read_text(encoding="utf-8")
# Without row versions: the time in µs is the version.
POSTGRESQL_SCHEMA = """
create table articles (
    id bigint primary key, title text not null, content text not null,
    updated_at timestamptz not null default clock_timestamp()
);
create table article_tombstones (id bigint primary key, deleted_at timestamptz not null);
create function touched() returns trigger language plpgsql as $$
begin new.updated_at := clock_timestamp(); return new; end $$;
create function buried() returns trigger language plpgsql as $$
begin
    insert into article_tombstones values (old.id, clock_timestamp())
    on conflict (id) do update set deleted_at = excluded.deleted_at;
    return old;
end $$;
create trigger touched before update on articles for each row execute function touched();
create trigger buried after delete on articles for each row execute function buried();
"""
MARIADB_SCHEMA = """
create table articles (
    id bigint primary key, title varchar(200) not null, content text not null,
    updated_at datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    key articles_updated_at (updated_at, id)
);
create table article_tombstones (id bigint primary key, deleted_at datetime(6) not null);
create trigger buried after delete on articles for each row
insert into article_tombstones values (old.id, current_timestamp(6))
on duplicate key update deleted_at = values(deleted_at);
"""
AGO = {
    "sqlite": "datetime('now', (0 - {}) || ' seconds')",
    "postgresql": "now() - interval '{} seconds'",
    "mariadb": "now(6) - interval {} second",
}
Texts = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Base:
    """A base A; `url` is what the script is given."""

    url: str
    engine: Engine

    def execute(self, statement: str, *rows: Mapping[str, Any]) -> None:
        """Change it, in a transaction."""
        with self.engine.begin() as connection:
            connection.execute(text(statement), list(rows) or None)

    def ago(self, seconds: int) -> str:
        """A time before now in its SQL; after now where it is negative."""
        return AGO[self.engine.dialect.name].format(seconds)

    def fill(self, numbers: range, word: str = "first") -> None:
        """Add articles."""
        rows = [{"id": n, "title": f"Title {n}", "content": f"{word} é {n}"} for n in numbers]
        self.execute("insert into articles (id, title, content) values (:id, :title, :content)", *rows)

    def rows(self) -> dict[str, tuple[str, str]]:
        """What is in it: title and content by id."""
        with self.engine.connect() as connection:
            return {str(key): (title, words) for key, title, words in connection.execute(text(ALL))}


ALL = "select id, title, content from articles"


@contextmanager
def sqlite_base(folder: Path, name: str) -> Iterator[Base]:
    """An empty base A in a file; its name is the origin."""
    path = folder / f"{name}.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
    with _opened(f"sqlite:///{path}", f"sqlite:///{path}") as base:
        yield base


@contextmanager
def postgresql_base(url: str) -> Iterator[Base]:
    """An empty base A on PostgreSQL."""
    with _opened(url, url.replace("postgresql:", "postgresql+psycopg:")) as base:
        base.execute(POSTGRESQL_SCHEMA)
        yield base


@contextmanager
def mariadb_base(url: str) -> Iterator[Base]:
    """An empty base A on MariaDB."""
    with _opened(url, url) as base:
        for statement in MARIADB_SCHEMA.strip().removesuffix(";").split(";\n"):
            base.execute(statement)
        yield base


@contextmanager
def _opened(url: str, driver_url: str) -> Iterator[Base]:
    engine = create_engine(driver_url)
    try:
        yield Base(url, engine)
    finally:
        engine.dispose()


def synced(core: LiveCore, origin: str) -> dict[str, tuple[str, str]]:
    """What base B has of an origin: title and content by external id."""
    return {key: (title, words) for key, title, words in _asked(core, SYNCED, origin)}


def synced_in(url: str, origin: str) -> Texts:
    """What a base B on PostgreSQL has of an origin."""
    with psycopg.connect(url) as connection:
        found = connection.execute(SYNCED.replace("?", "%s"), (origin,))
        return {key: (title, words) for key, title, words in found}


def times_created(core: LiveCore, origin: str) -> dict[str, int]:
    """How often each key of an origin was created: what was doubled shows here."""
    return dict(_asked(core, CREATED, origin))


SYNCED = "select external_id, title, content from articles where origin = ?"
CREATED = """
select json_extract(data, '$.external_id'), count(*) from events
where type = 'article.created' and json_extract(data, '$.origin') = ? group by 1
"""


def _asked(core: LiveCore, statement: str, origin: str) -> list[Any]:
    with closing(sqlite3.connect(core.data_dir / "lakeport.db", timeout=15)) as connection:
        return connection.execute(statement, (origin,)).fetchall()
