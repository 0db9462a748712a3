"""The lake of one process: its catalog and the engines that read it, wired from settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine as Database
from sqlalchemy import Table

from rest_api.backends.catalog import Catalog
from rest_api.backends.delta import DeltaTables
from rest_api.backends.engine import Engine
from rest_api.backends.engine.duckdb import DuckDbEngine
from rest_api.backends.engine.masks import MaskKey
from rest_api.backends.engine.sql import SqlEngine, snapshot_of
from rest_api.backends.folders import DataFolders
from rest_api.backends.footers import Footers
from rest_api.backends.parsed import ParsedTexts
from rest_api.backends.parsing import Parser
from rest_api.backends.storage.local import LocalStorage
from rest_api.backends.writing import Writing
from rest_api.lake.figures import FigurePlan
from rest_api.lake.plans import Plan
from rest_api.lake.snapshots import SQL
from rest_api.models import metadata
from rest_api.settings import Settings

OWN_TABLES = {"articles": metadata.tables["articles"]}
"""What of the core's own tables may be a dataset."""


@dataclass(frozen=True)
class Lake:
    """A catalog, what writes, and for each kind of dataset the engine that reads it."""

    catalog: Catalog
    writing: Writing
    files: Engine
    sql: Engine

    def close(self) -> None:
        """Give back what its engines hold."""
        self.files.close()
        self.sql.close()

    def engine(self, plan: Plan | FigurePlan) -> Engine:
        """The engine that runs a plan."""
        return self.sql if plan.snapshot.kind == SQL else self.files


@dataclass(frozen=True)
class Folders:
    """Where the lake lies, and where its files of text are kept once they were parsed."""

    root: Path
    parsed: Path


@dataclass(frozen=True)
class Limits:
    """How long a query may run, and what all queries of a process may take of its memory."""

    seconds: float
    memory_mib: int


def lake_of(settings: Settings, database: Database) -> Lake:
    """The lake of an installation."""
    tables = {name: OWN_TABLES[name] for name in settings.lake_sql_tables}
    folders = Folders(settings.lake_dir, settings.parsed_dir)
    limits = Limits(settings.query_seconds, settings.query_memory_mib)
    return open_lake(folders, database, tables, settings.mask_key.encode(), limits)


def open_lake(places: Folders, database: Database, tables: Mapping[str, Table], secret: bytes, limits: Limits) -> Lake:
    """The lake in a folder and the tables of a database; `secret` keys the hash mask."""
    places.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    storage, footers = LocalStorage(places.root), Footers()
    parser = Parser()
    parsed = ParsedTexts(places.parsed, parser)
    folders = DataFolders(storage, footers, parsed)
    return Lake(
        Catalog(storage, DeltaTables(), folders, {name: snapshot_of(table) for name, table in tables.items()}),
        Writing(storage, parser, parsed),
        DuckDbEngine(
            [places.root, places.parsed], MaskKey.of(secret), footers, limits.seconds, memory_mib=limits.memory_mib
        ),
        SqlEngine(database, tables, secret),
    )
