"""The child: reads one file under limits and answers with what it wrote or why not. Run with `-m` by `parser.py`.

It holds the two files as open descriptors, which it is told on its standard input, and never learns a path.
"""

import base64
import errno
import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from rest_api.backends.parsing import csv_rows, json_rows, parquet_rows
from rest_api.backends.parsing.files import Kind
from rest_api.backends.parsing.rows import Rows
from rest_api.backends.parsing.sources import Source
from rest_api.backends.parsing.writing import write
from rest_api.backends.storage import no_room
from rest_api.errors import Invalid, Refusal, TooLarge

_READERS: dict[Kind, Callable[[Source, pa.Schema | None], Rows]] = {
    Kind.CSV: csv_rows.read,
    Kind.JSON: json_rows.read_array,
    Kind.NDJSON: json_rows.read_lines,
    Kind.PARQUET: parquet_rows.read,
}


def main() -> None:
    """Answers on standard output with one JSON object: the columns and rows, a refusal, or a failure of ours."""
    request = json.load(sys.stdin)
    _take_on_limits(request)
    json.dump(_answer(request), sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # what a broken reader left behind may hang or crash an orderly end


def _take_on_limits(request: dict[str, Any]) -> None:
    for which, limit in (
        (resource.RLIMIT_AS, request["memory_bytes"]),
        (resource.RLIMIT_FSIZE, request["written_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(which, (limit, limit))
    # At the soft limit the signal says why; the hard one is for who ignores it.
    resource.setrlimit(resource.RLIMIT_CPU, (request["seconds"], request["seconds"] + 1))
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return _parse(request)
    except Refusal as refusal:
        return _told(refusal)
    except (MemoryError, pa.ArrowCapacityError):
        mebibytes = request["memory_bytes"] // 2**20
        return _told(TooLarge(f"The file needs more memory than {mebibytes} MiB to parse"))
    except OSError as error:
        return _told(_unreadable(request, error))
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        return _told(Invalid(f"The file is corrupt or not {request['kind']}: {_first_line(error)}"))
    except Exception as error:  # noqa: BLE001  # the parent raises it
        return {"failure": f"{type(error).__name__}: {_first_line(error)}"}


def _parse(request: dict[str, Any]) -> dict[str, Any]:
    source = Source(request["source"], is_gzip=request["is_gzip"], max_rows=request["rows"])
    rows = _READERS[Kind(request["kind"])](source, _expected(request["expected"]))
    with os.fdopen(request["target"], "wb", closefd=False) as target:
        written = write(rows, target)
    return {"columns": [[field.name, str(field.type)] for field in rows.schema], "rows": written}


def _expected(encoded: str | None) -> pa.Schema | None:
    return None if encoded is None else pa.ipc.read_schema(pa.py_buffer(base64.b64decode(encoded)))


def _unreadable(request: dict[str, Any], error: OSError) -> Refusal:
    if error.errno == errno.EFBIG:
        return TooLarge(f"The file makes more than {request['written_bytes']} bytes of Parquet")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return no_room()
    if error.errno is None:
        return Invalid(f"The file is corrupt: {_first_line(error)}")
    raise error


def _told(refusal: Refusal) -> dict[str, Any]:
    return {
        "refusal": refusal.code,
        "detail": refusal.detail,
        "errors": [[error.field, error.detail] for error in refusal.errors],
        "did_you_mean": refusal.did_you_mean,
    }


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


if __name__ == "__main__":
    main()
