"""The parent's side: a child is started, watched and ended, and its file is put in place whole or not at all."""

import base64
import json
import os
import secrets
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import BoundedSemaphore, Event, Timer
from typing import Any

import pyarrow as pa

from rest_api.backends.parsing.files import ExpectedColumn, Format, Parsed
from rest_api.backends.parsing.limits import Limits
from rest_api.backends.storage import no_room
from rest_api.errors import FieldError, Invalid, Overloaded, Refusal, TooLarge, Unavailable

_ROOT = Path(__file__).resolve().parents[3]
_COMMAND = (sys.executable, "-P", "-s", "-B", "-m", "rest_api.backends.parsing.child")
_ENVIRONMENT = {
    "PYTHONPATH": str(_ROOT),
    "LC_ALL": "C.UTF-8",
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others reserve address space in gigabytes
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
}
_MAX_ANSWER_BYTES = 4 * 2**20
_REFUSALS: dict[str, type[Refusal]] = {"invalid": Invalid, "too_large": TooLarge}


class Parser:
    """Parses files, at most `children` at once; a file beyond that waits `wait_seconds` for its turn."""

    def __init__(self, children: int = 2, limits: Limits | None = None, *, wait_seconds: float = 30) -> None:
        self._turns = BoundedSemaphore(children)
        self._limits = limits or Limits()
        self._wait_seconds = wait_seconds

    def parse(
        self, source: Path, format_: Format, target: Path, expected: tuple[ExpectedColumn, ...] | None = None
    ) -> Parsed:
        """As the function `parse`. Raises Overloaded as well, when no turn came free in time."""
        if not self._turns.acquire(timeout=self._wait_seconds):
            raise Overloaded("Too many files are being parsed; try again later", retry_after_seconds=30)
        try:
            return parse(source, format_, target, self._limits.for_file(_size_of(source)), expected)
        finally:
            self._turns.release()


def _size_of(source: Path) -> int:
    try:
        return source.lstat().st_size
    except OSError:
        return 0  # what is wrong with it is told when it is opened


def parse(
    source: Path,
    format_: Format,
    target: Path,
    limits: Limits,
    expected: tuple[ExpectedColumn, ...] | None = None,
) -> Parsed:
    """Reads `source` and writes it to `target` as one Parquet file, replacing what is there.

    With `expected` the columns come in that order and with those types; one that is left out is null. Raises Invalid
    for a source that is no regular file or not what its format says, and for a column or value that does not fit,
    naming the column and the line (the element of a JSON array, the row of Parquet); TooLarge for a limit that was
    reached. After either, `target` is as it was and nothing is left beside it.
    """
    with _opened(source) as source_descriptor, _new_file(target) as target_descriptor:
        request = _request(source_descriptor, target_descriptor, format_, limits, expected)
        answer = _ask_child(request, (source_descriptor, target_descriptor), limits)
        columns = tuple((name, type_) for name, type_ in answer["columns"])
        return Parsed(columns, answer["rows"], os.fstat(target_descriptor).st_size)


@contextmanager
def _opened(source: Path) -> Iterator[int]:
    try:
        # Without O_NONBLOCK a pipe would be waited for.
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Invalid("The file cannot be opened") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Invalid("The file is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _new_file(target: Path) -> Iterator[int]:
    """A file under another name, which is renamed to `target` when nothing was raised and else removed."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
        os.fsync(descriptor)
        temporary.rename(target)
        _sync_folder(target.parent)
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _request(
    source: int, target: int, format_: Format, limits: Limits, expected: tuple[ExpectedColumn, ...] | None
) -> bytes:
    request = {
        "source": source,
        "target": target,
        "kind": format_.kind,
        "is_gzip": format_.is_gzip,
        "memory_bytes": limits.memory_bytes,
        "seconds": limits.seconds,
        "rows": limits.rows,
        "written_bytes": limits.written_bytes,
        "expected": None if expected is None else _encoded(expected),
    }
    return json.dumps(request).encode()


def _encoded(expected: tuple[ExpectedColumn, ...]) -> str:
    schema = pa.schema([pa.field(column.name, column.type, column.is_nullable) for column in expected])
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def _ask_child(request: bytes, descriptors: tuple[int, int], limits: Limits) -> Any:
    with subprocess.Popen(  # noqa: S603  # a constant command
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_ENVIRONMENT,
        cwd="/",
        pass_fds=descriptors,
        start_new_session=True,
    ) as child:
        answer, is_late = _talk(child, request, limits.seconds)
    return _read_answer(answer, child.returncode, limits, is_late=is_late)


def _talk(child: "subprocess.Popen[bytes]", request: bytes, seconds: float) -> tuple[bytes, bool]:
    """What the child said, and whether it had to be ended for the time it took. Nothing of it runs any more."""
    is_late = Event()
    timer = Timer(seconds, _end_late, [child.pid, is_late])
    timer.start()
    try:
        answer = _converse(child, request)
        if len(answer) <= _MAX_ANSWER_BYTES:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        return answer, is_late.is_set()
    finally:
        # The child is not reaped before this, so that its number cannot be somebody else's.
        timer.cancel()
        timer.join()
        _end(child.pid)
        child.wait()


def _converse(child: "subprocess.Popen[bytes]", request: bytes) -> bytes:
    assert child.stdin is not None  # noqa: S101  # both are pipes
    assert child.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError), child.stdin:
        child.stdin.write(request)
    return child.stdout.read(_MAX_ANSWER_BYTES + 1)


def _end_late(group: int, is_late: Event) -> None:
    is_late.set()
    _end(group)


def _end(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _read_answer(answer: bytes, status: int, limits: Limits, *, is_late: bool) -> Any:
    if is_late or status == -signal.SIGXCPU:
        raise TooLarge(f"The file takes longer than {limits.seconds} seconds to parse")
    if status != 0:
        raise TooLarge(f"The file needs more memory than {limits.memory_bytes // 2**20} MiB to parse")
    reply = json.loads(answer[:_MAX_ANSWER_BYTES])
    if "refusal" in reply:
        raise _refusal(reply)
    if "failure" in reply:
        raise RuntimeError(f"The parsing failed: {reply['failure']}")
    return reply


def _refusal(reply: dict[str, Any]) -> Refusal:
    if reply["refusal"] == Unavailable.code:
        return no_room()
    errors = [FieldError(field, detail) for field, detail in reply["errors"]]
    return _REFUSALS[reply["refusal"]](reply["detail"], errors=errors, did_you_mean=reply["did_you_mean"])
