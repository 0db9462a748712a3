"""The bytes of a file, unpacked, which may be read from the start more than once."""

import gzip
import io
import os
import zlib
from typing import IO

from rest_api.errors import Invalid, TooLarge

_BUFFER_BYTES = 2**20
_SIGNATURES = {
    b"PAR1": "Parquet",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"%PDF": "PDF",
}


class Source:
    """A file that the parent opened; its readings know nothing of one another."""

    def __init__(self, descriptor: int, *, is_gzip: bool, max_rows: int) -> None:
        self._descriptor = descriptor
        self._is_gzip = is_gzip
        self._max_rows = max_rows

    def check_rows(self, rows: int) -> None:
        """Raises TooLarge when a reading has come to more rows than are taken."""
        if rows > self._max_rows:
            raise TooLarge(f"The file has more than {self._max_rows} rows")

    def packed(self) -> io.BufferedReader:
        """The file as it is, from its first byte."""
        return io.BufferedReader(_Positioned(self._descriptor), _BUFFER_BYTES)

    def text(self) -> IO[bytes]:
        """The file without its packing. Raises Invalid, now or on reading, for what is broken or plainly no text."""
        raw = io.BufferedReader(_Unpacked(self.packed()), _BUFFER_BYTES) if self._is_gzip else self.packed()
        _check_signature(raw.peek(4)[:4])
        return io.BufferedReader(_Text(raw), _BUFFER_BYTES)


class _Positioned(io.RawIOBase):
    """A reading with a position of its own, since all that share a descriptor share the descriptor's."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the buffer's type has no name before 3.12
        count = os.preadv(self._descriptor, [buffer], self._position)
        self._position += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: os.fstat(self._descriptor).st_size}
        self._position = starts[whence] + offset
        return self._position


class _Unpacked(io.RawIOBase):
    """The contents of a gzip file."""

    def __init__(self, packed: IO[bytes]) -> None:
        super().__init__()
        self._file = gzip.GzipFile(fileobj=packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            return self._file.readinto(buffer)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Invalid(f"The file is corrupt or not gzip: {error}") from error


class _Text(io.RawIOBase):
    """Bytes without a NUL, which binary files and UTF-16 have."""

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__()
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._raw.read(len(buffer))
        if b"\0" in data:
            raise Invalid("The file holds NUL bytes: it is binary, or not in UTF-8")
        buffer[: len(data)] = data
        return len(data)


def _check_signature(start: bytes) -> None:
    for signature, name in _SIGNATURES.items():
        if start.startswith(signature):
            raise Invalid(f"The contents are {name}, which is not what the name of the file says")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Invalid("The file is in UTF-16; UTF-8 is taken")
