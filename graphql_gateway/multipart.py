"""The GraphQL multipart request: one operation with one file, which is passed on as it comes and kept nowhere.

The parts come in this order: `operations`, `map`, the file; nothing follows the file.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData, Preamble

from graphql_gateway.errors import Malformed, TooLarge
from graphql_gateway.graphql_http import content_type
from graphql_gateway.rest_client import Call, Core
from graphql_gateway.strict_json import loads
from graphql_gateway.uploads import Form, Uploads

FORM = "multipart/form-data"
# A page of another site cannot send one of these without asking first, and is told no.
PREFLIGHT_HEADERS = ("GraphQL-Require-Preflight", "Apollo-Require-Preflight", "X-Apollo-Operation-Name")
PIECE_BYTES = 65_536
BUFFER_BYTES = 4 * PIECE_BYTES
MAX_FILENAME = 255
SILENCE_SECONDS = 20.0
WHO_AM_I = Call("GET", "/auth/me", "/auth/me")
ONE_FILE = "A request uploads one file: map names one part and one null among the variables"


def is_multipart(request: Request) -> bool:
    """Whether a request claims to be one."""
    return request.method == "POST" and content_type(request.headers).get_content_type() == FORM


@dataclass(eq=False)
class UploadedFile:
    """A file that is still to come; it can be sent on once."""

    filename: str
    _parts: "_Parts"
    _uploads: Uploads
    _is_sent: bool = False

    async def send(self, route: str, fields: Mapping[str, str], core: Core) -> dict[str, Any]:
        """The core's answer to a form of these fields and the file.

        Raises as Core.send and Uploads.send do, and Malformed.
        """
        if self._is_sent:
            raise Malformed("The file can be used once")
        self._is_sent = True
        # The places of uploads are few, and whoever says nothing more keeps his for a while.
        await core.send(WHO_AM_I)
        key, form = core.trail.keys.take("POST", route), Form(fields, self.filename, self._content())
        with core.trail.call("POST", route) as step:
            headers = {**core.caller.headers, "traceparent": step.span.traceparent}
            keyed = {**headers, "Idempotency-Key": key} if key else headers
            return await self._uploads.send(route, keyed, form, step)

    async def _content(self) -> AsyncGenerator[bytes, None]:
        """Its bytes as they come. Raises Malformed where the request is broken or does not end with it."""
        async for piece in self._parts.data():
            yield piece
        if not isinstance(await self._parts.next(), Epilogue):
            raise Malformed("Nothing follows the file; operations and map come before it")


async def given_with_file(request: Request, limit_bytes: int, uploads: Uploads) -> dict[str, Any]:
    """What a request gives, with the file in its variables. Raises Malformed and TooLarge."""
    _check_preflight(request.headers)
    parts = _Parts(request.stream(), _boundary(request.headers))
    operations = await parts.text("operations", limit_bytes)
    asked = loads(operations, "operations")
    if not isinstance(asked, dict):
        raise Malformed("operations is one object; there are no batches")
    name, path = _target(loads(await parts.text("map", limit_bytes - len(operations)), "map"))
    _place(asked, path, UploadedFile(await parts.filename(name), parts, uploads))
    return asked


class _Parts:
    """The parts of a body, one after another."""

    def __init__(self, stream: AsyncIterator[bytes], boundary: bytes) -> None:
        self._pieces = _pieces(stream)
        self._decoder = MultipartDecoder(boundary, max_form_memory_size=BUFFER_BYTES)

    async def text(self, name: str, limit_bytes: int) -> bytes:
        """The next part, which has this name and is no file. Raises Malformed, TooLarge."""
        part = await self._head()
        if not isinstance(part, Field) or part.name != name:
            raise Malformed(f"The part {name} is missing; operations and map come first, then the file")
        text = b""
        async for piece in self.data():
            text += piece
            if len(text) > limit_bytes:
                raise TooLarge("operations and map are larger than a request may be")
        return text

    async def filename(self, name: str) -> str:
        """How the sender calls the next part, which is a file and has this name. Raises Malformed."""
        part = await self._head()
        if not isinstance(part, File) or part.name != name:
            raise Malformed(f"The file {name[:100]!r} does not follow, with a filename")
        return part.filename[-MAX_FILENAME:]

    async def data(self) -> AsyncIterator[bytes]:
        """The content of the part."""
        while isinstance(event := await self.next(), Data):
            if event.data:
                yield event.data
            if not event.more_data:
                return

    async def next(self) -> Event:
        """What comes next. Raises Malformed where the body is broken or ends early."""
        try:
            while isinstance(event := self._decoder.next_event(), NeedData):
                self._decoder.receive_data(await self._piece())
        except (ValueError, RequestEntityTooLarge) as error:
            raise Malformed(f"The body is not whole and well-formed {FORM}") from error
        return event

    async def _head(self) -> Event:
        event = await self.next()
        return await self.next() if isinstance(event, Preamble) else event

    async def _piece(self) -> bytes | None:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                return await anext(self._pieces, None)
        except TimeoutError as error:
            raise Malformed("The body does not come fast enough", status=408, code="REQUEST_TIMEOUT") from error


async def _pieces(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for part in stream:
            for start in range(0, len(part), PIECE_BYTES):
                yield part[start : start + PIECE_BYTES]
    except ClientDisconnect as error:
        raise Malformed("The body ended too early") from error


def _check_preflight(headers: Headers) -> None:
    if not any(headers.get(name) for name in PREFLIGHT_HEADERS):
        raise Malformed(f"A request of type {FORM} has the header {PREFLIGHT_HEADERS[0]}: 1")


def _boundary(headers: Headers) -> bytes:
    boundary = content_type(headers).get_param("boundary") or ""
    if not isinstance(boundary, str) or not 0 < len(boundary) <= 70 or not boundary.isascii():
        raise Malformed("The Content-Type names no boundary of 1 to 70 characters")
    return boundary.encode()


def _target(mapping: Any) -> tuple[str, list[str]]:
    """The name of the file's part, and where it belongs."""
    pairs = list(mapping.items()) if isinstance(mapping, dict) else []
    if len(pairs) != 1 or not isinstance(pairs[0][1], list) or len(pairs[0][1]) != 1:
        raise Malformed(ONE_FILE)
    name, (path,) = pairs[0]
    if not isinstance(path, str) or not path.startswith("variables."):
        raise Malformed(ONE_FILE)
    return name, path.split(".")


def _place(asked: dict[str, Any], path: list[str], file: UploadedFile) -> None:
    """Put the file where a null stands for it. Raises Malformed where none does."""
    *above, last = path
    holder: Any = asked
    for step in above:
        holder = holder[_key(holder, step)]
    key = _key(holder, last)
    if holder[key] is not None:
        raise Malformed(ONE_FILE)
    holder[key] = file


def _key(holder: Any, step: str) -> Any:
    """The key of a member that is there."""
    if isinstance(holder, Mapping) and step in holder:
        return step
    if isinstance(holder, list) and step.isdecimal() and step.isascii() and len(step) < 6 and int(step) < len(holder):
        return int(step)
    raise Malformed(ONE_FILE)
