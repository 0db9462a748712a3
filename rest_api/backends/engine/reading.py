"""A DuckDB over the lake's files: in this process, locked into the lake's folders, with turns and a deadline."""

import os
import re
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
from sqlglot import exp

from rest_api.backends.engine.rendering import Sql
from rest_api.backends.engine.watchdog import Watchdog
from rest_api.backends.footers import CorruptFile
from rest_api.errors import Gone, Overloaded, Timeout

BATCH_ROWS = 8_192
SPILL = ".spill"
TURN_SECONDS = 3
"""How long a query waits for its turn."""
NICENESS = 10
"""How far the threads of queries stand back behind those that answer everybody."""
_GLOBBED = re.compile(r"\[([*?\[])\]")
Rows = list[tuple[Any, ...]]
Found = TypeVar("Found")


class Reading:
    """A database in memory over the lake's folders, with a warm cursor for each query that may run at once."""

    def __init__(self, folders: Sequence[Path], seconds: float, **config: Any) -> None:
        """`seconds` is how long one query may run, `config` what DuckDB is told besides."""
        turns = _turns()
        # DuckDB works with the thread that asks it too, and its own threads inherit the place of the one that opens it.
        self._threads = ThreadPoolExecutor(turns, "query", initializer=_stand_back)
        self._connection = self._threads.submit(_locked_down, folders, config).result()
        self._watchdog = Watchdog(seconds)
        self._free: LifoQueue[duckdb.DuckDBPyConnection] = LifoQueue()
        for _ in range(turns):
            self._free.put(self._connection.cursor())

    def rows(self, sql: Sql) -> Rows:
        """The rows of a statement. Raises what `_refusals` makes of DuckDB's errors, Overloaded without a turn."""
        with self._turn() as cursor:
            return self._done(sql, cursor, lambda: cursor.execute(sql.text, sql.parameters).fetchall())

    def batches(self, sql: Sql) -> Generator[pa.RecordBatch, None, None]:
        """The rows of a statement, at least one batch; each takes a turn. Raises as `rows` does."""
        cursor = self._connection.cursor()

        def begun() -> pa.RecordBatchReader:
            return cursor.sql(sql.text, params=dict(sql.parameters)).to_arrow_reader(BATCH_ROWS)

        def following() -> pa.RecordBatch | None:
            return next(found, None)

        try:
            found = self._in_turn(sql, cursor, begun)
            batch = self._in_turn(sql, cursor, following) or pa.RecordBatch.from_pylist([], found.schema)
            while batch is not None:
                yield batch
                batch = self._in_turn(sql, cursor, following)
        finally:
            cursor.interrupt()
            cursor.close()

    def close(self) -> None:
        """Give everything back."""
        self._threads.shutdown()
        self._connection.close()

    def _in_turn(self, sql: Sql, cursor: duckdb.DuckDBPyConnection, work: Callable[[], Found]) -> Found:
        with self._turn():
            return self._done(sql, cursor, work)

    @contextmanager
    def _turn(self) -> Iterator[duckdb.DuckDBPyConnection]:
        # More queries at once than there are processors take none of them less time, and everybody else's.
        try:
            cursor = self._free.get(timeout=TURN_SECONDS)
        except Empty:
            raise Overloaded("Too many queries are running; try again", retry_after_seconds=5) from None
        try:
            yield cursor
        finally:
            self._free.put(cursor)

    def _done(self, sql: Sql, cursor: duckdb.DuckDBPyConnection, work: Callable[[], Found]) -> Found:
        """What a cursor's work gives, interrupted when it takes too long."""
        with _refusals(sql), self._watchdog.watching(cursor.interrupt):
            return self._threads.submit(work).result()


def gone() -> Gone:
    """What to raise where files are not there any more."""
    return Gone("Files of this version are not kept any more", code="version_gone")


def _turns() -> int:
    """How many queries run at once."""
    return 2 * (os.cpu_count() or 1)


def _stand_back() -> None:
    # Only Linux has a priority for each thread; elsewhere it would be that of the whole process.
    if sys.platform == "linux":
        os.nice(NICENESS)


def _locked_down(folders: Sequence[Path], config: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """A database that reads these folders and nothing else, and whose settings nobody changes any more."""
    options = {"allow_unsigned_extensions": False, "autoinstall_known_extensions": False}
    folders[-1].mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = duckdb.connect(config={**options, **config, "temp_directory": str(folders[-1] / SPILL)})
    allowed = ", ".join(exp.Literal.string(f"{folder}/").sql(dialect="duckdb") for folder in folders)
    for setting in (
        "TimeZone = 'UTC'",
        "parquet_metadata_cache = true",
        "autoload_known_extensions = false",
        f"allowed_directories = [{allowed}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"set {setting}")
    return connection


@contextmanager
def _refusals(sql: Sql) -> Iterator[None]:
    """DuckDB's errors as ours."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise Timeout("The query took too long; ask for less") from error
    except duckdb.OutOfMemoryException as error:
        raise _no_memory() from error
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise _no_memory() if f"/{SPILL}" in str(error) else _unreadable(sql, str(error)) from error
    except duckdb.DataError as error:
        # A value that its own type cannot hold, such as a date beyond all calendars.
        raise _unreadable(sql, str(error)) from error
    except duckdb.Error as error:
        if type(error) is not duckdb.Error:
            raise
        # What DuckDB's Parquet reader says of pages that are none has no kind of its own.
        raise _unreadable(sql, str(error)) from error


def _no_memory() -> Overloaded:
    return Overloaded("The query needs more memory than there is; ask for less", retry_after_seconds=5)


def _unreadable(sql: Sql, message: str) -> Exception:
    written = [path for name, paths in sql.parameters.items() if name.endswith("files") for path in paths]
    files = {_GLOBBED.sub(r"\1", path): path for path in written}
    if any(not Path(path).exists() for path in files):
        return gone()
    named = [path for path in files if Path(path).name in message]
    return CorruptFile(named[:1] or list(files), "it cannot be decoded")
