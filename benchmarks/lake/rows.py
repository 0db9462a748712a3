"""The rows that all servers publish: made from a seed, as Parquet and as a SQLite database."""

import sqlite3
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from rest_api.backends.layout import GROUP_ROWS, options

TABLE = "transactions"
FIRST_AT = "2026-01-01T00:00:00.000Z"
MILLISECONDS_APART = 250
BATCH = 50_000

# Times are unique, in the order of the ids, and never on a whole second: no window's edge falls on a row.
_ROWS = """
with seeds as (select i, hash(i, 3, $seed) % 1000000 / 1000000.0 as popularity from range($rows) as ids(i))
select
    i as transaction_id,
    timestamptz '2026-01-01 00:00:00+00'
        + to_milliseconds(i * $apart + 1 + (hash(i, 0, $seed) % ($apart - 2))::bigint) as "timestamp",
    (1 + hash(i, 1, $seed) % 50000)::integer as user_id,
    ['purchase', 'refund', 'subscription'][1 + (hash(i, 2, $seed) % 3)::bigint] as transaction_type,
    (1 + floor(2000 * popularity * popularity))::integer as product_id,
    'Product ' || (1 + floor(2000 * popularity * popularity))::integer as product_name,
    (hash(i, 4, $seed) % 100000 / 100.0)::decimal(18, 2) as amount,
    ['EUR', 'USD', 'JPY', 'GBP', 'CHF'][1 + (hash(i, 5, $seed) % 5)::bigint] as currency,
    ['FR', 'DE', 'US', 'GB', 'IT', 'ES', 'NL', 'BE', 'SE', 'PL'][1 + (hash(i, 6, $seed) % 10)::bigint] as country,
    ['completed', 'pending', 'failed'][1 + (hash(i, 7, $seed) % 3)::bigint] as status,
    (1 + hash(i, 8, $seed) % 5)::integer as customer_rating
from seeds
"""
_SQLITE_TABLE = """
create table transactions (
    transaction_id integer primary key, timestamp text, user_id integer, transaction_type text, product_id integer,
    product_name text, amount real, currency text, country text, status text, customer_rating integer
)
"""
_AS_SQLITE = """
select * replace (strftime("timestamp", '%Y-%m-%dT%H:%M:%S.%gZ') as "timestamp", amount::double as amount)
from transactions
"""


def write_parquet(path: Path, rows: int, seed: int = 42) -> None:
    """Make the file, laid out as an upload would be: the same rows for the same seed and version of DuckDB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _connection() as connection:
        given = {"seed": seed, "rows": rows, "apart": MILLISECONDS_APART}
        found = connection.sql(_ROWS, params=given).to_arrow_reader(GROUP_ROWS)
        with pq.ParquetWriter(path, found.schema, **options(found.schema)) as writer:
            for batch in found:
                writer.write_batch(batch, row_group_size=GROUP_ROWS)


def write_sqlite(parquet: Path, path: Path) -> None:
    """The same rows as a SQLite database: a primary key, no other index, times as text, amounts as floats."""
    with open_parquet(parquet) as source:
        target = sqlite3.connect(path, isolation_level=None)
        for statement in ("pragma journal_mode=off", "pragma synchronous=off", _SQLITE_TABLE, "begin"):
            target.execute(statement)
        answer = source.execute(_AS_SQLITE)
        while batch := answer.fetchmany(BATCH):
            target.executemany("insert into transactions values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", batch)
        target.execute("commit")
        target.close()


def open_parquet(path: Path) -> duckdb.DuckDBPyConnection:
    """A connection in which the file is the view `transactions`, with times in UTC."""
    connection = _connection()
    connection.read_parquet(str(path)).create_view(TABLE)
    return connection


def _connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    return connection
