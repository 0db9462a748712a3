"""Reads a multipart body as it comes: fields into memory, the file onto the disk with its SHA-256."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from rest_api.backends.storage import refusing_full_disks
from rest_api.errors import FieldError, Invalid, UnsupportedMediaType, nearest

FIELD_BYTES = 1_000
BUFFER_BYTES = 2**20
MAX_PARTS = 16
FILE = "file"


@dataclass(frozen=True)
class Received:
    """A body that was received: its fields, the name that its sender gave the file, its size and SHA-256."""

    fields: Mapping[str, str]
    filename: str
    size_bytes: int
    sha256: str


def boundary_of(headers: Headers) -> bytes:
    """What separates the parts. Raises UnsupportedMediaType, Invalid."""
    media_type, options = parse_options_header(headers.get("Content-Type"))
    if media_type != "multipart/form-data":
        raise UnsupportedMediaType("This call takes a body of type multipart/form-data")
    boundary = options.get("boundary", "")
    if not 0 < len(boundary) <= 70 or not boundary.isascii():
        raise Invalid("The Content-Type names no boundary of 1 to 70 characters")
    return boundary.encode()


class Receiver:
    """Takes one file, which is written to `target`, and fields of these names, each once and in any order.

    `before_file` gets the fields that came before the file, so that it can refuse it unread.
    """

    def __init__(self, target: Path, names: tuple[str, ...], before_file: Callable[[Mapping[str, str]], None]) -> None:
        self._target = target
        self._names = names
        self._before_file = before_file
        self._fields: dict[str, str] = {}
        self._filename: str | None = None
        self._size_bytes = 0
        self._hash = hashlib.sha256()
        self._name: str | None = None
        self._text = b""

    def receive(self, body: Iterator[bytes], boundary: bytes) -> Received:
        """Read a whole body. Raises Invalid, TooLarge, Unavailable on a full disk, and what `body` raises."""
        decoder = MultipartDecoder(boundary, max_form_memory_size=BUFFER_BYTES, max_parts=MAX_PARTS)
        with refusing_full_disks(), self._target.open("xb") as file:
            for part in body:
                self._take(decoder, part, file)
            self._take(decoder, None, file)
        if self._filename is None:
            raise _missing("The body holds no file")
        return Received(self._fields, self._filename, self._size_bytes, self._hash.hexdigest())

    def _take(self, decoder: MultipartDecoder, part: bytes | None, file: IO[bytes]) -> None:
        """Take what came; None is the end."""
        try:
            decoder.receive_data(part)
            while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
                self._see(event, file)
        except (ValueError, RequestEntityTooLarge) as error:
            raise Invalid("The body is not whole and well-formed multipart/form-data with short fields") from error

    def _see(self, event: object, file: IO[bytes]) -> None:
        if isinstance(event, File):
            self._begin_file(event)
        elif isinstance(event, Field):
            self._begin_field(event.name or "")
        elif isinstance(event, Data) and self._name is None:
            file.write(event.data)
            self._hash.update(event.data)
            self._size_bytes += len(event.data)
        elif isinstance(event, Data):
            self._add_text(event.data, is_last=not event.more_data)

    def _begin_file(self, event: File) -> None:
        if event.name != FILE or self._filename is not None:
            raise _missing("The body holds one file, named file")
        self._name, self._filename = None, event.filename
        self._before_file(self._fields)

    def _begin_field(self, name: str) -> None:
        if name == FILE:
            raise _missing("The file has no filename")
        if name not in self._names:
            near = nearest(name, self._names)
            detail = f"Unknown field {name[:100]!r}" + (f"; did you mean {near!r}?" if near else "")
            raise Invalid(detail, errors=[FieldError(name[:100], detail)], did_you_mean=near)
        if name in self._fields:
            raise Invalid(f"The field {name} is given twice", errors=[FieldError(name, "Given twice")])
        self._name, self._text = name, b""

    def _add_text(self, text: bytes, *, is_last: bool) -> None:
        self._text += text
        name = self._name or ""
        if len(self._text) > FIELD_BYTES:
            raise Invalid(f"{name} is too long", errors=[FieldError(name, f"At most {FIELD_BYTES} bytes")])
        if not is_last:
            return
        try:
            self._fields[name] = self._text.decode()
        except UnicodeDecodeError as error:
            raise Invalid(f"{name} is not in UTF-8", errors=[FieldError(name, "Not in UTF-8")]) from error


def _missing(detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(FILE, detail)])
