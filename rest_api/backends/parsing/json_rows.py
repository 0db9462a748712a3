"""JSON and NDJSON: read value by value, exactly."""

import codecs
import io
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

import pyarrow as pa

from rest_api.backends.parsing.columns import MAX_COLUMNS, check_known, check_names
from rest_api.backends.parsing.conversion import fitted
from rest_api.backends.parsing.json_values import Seen, from_values
from rest_api.backends.parsing.rows import Place, Rows
from rest_api.backends.parsing.sources import Source
from rest_api.errors import Invalid, TooLarge

MAX_VALUE_BYTES = 8 * 2**20
_BATCH_ROWS = 8_192
_BATCH_BYTES = 8 * 2**20
_READ_CHARACTERS = 2**18
_BLANKS = " \t\r\n"
_NOT_BLANK = re.compile(f"[^{_BLANKS}]")
_LONGEST_TOKEN = 16  # -Infinity, \ud83d\ude00


@dataclass(frozen=True, slots=True)
class _Element:
    """An object of the file, the line or element it is, and how long its text was."""

    number: int
    value: dict[str, Any]
    characters: int


_Elements = Callable[[Source, json.JSONDecoder], Iterator[_Element]]


def read_lines(source: Source, expected: pa.Schema | None) -> Rows:
    """The rows of NDJSON. Raises Invalid naming the line, TooLarge for a line of more than 8 MiB."""
    return _read(source, expected, _lines, "line")


def read_array(source: Source, expected: pa.Schema | None) -> Rows:
    """The rows of an array of objects. Raises Invalid naming the element, TooLarge for one of more than 8 MiB."""
    return _read(source, expected, _array, "element")


def _read(source: Source, expected: pa.Schema | None, elements: _Elements, unit: str) -> Rows:
    decoder = _decoder(expected)
    schema = expected or _inferred(_batches(source, elements(source, decoder)), unit)
    return Rows(schema, _typed(_batches(source, elements(source, decoder)), schema, unit))


def _decoder(expected: pa.Schema | None) -> json.JSONDecoder:
    has_decimals = expected is not None and any(pa.types.is_decimal(column.type) for column in expected)
    parse_float: Callable[[str], Any] = _decimal if has_decimals else _double
    return json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=parse_float)


def _typed(batches: Iterator[list[_Element]], schema: pa.Schema, unit: str) -> Iterator[pa.RecordBatch]:
    known = set(schema.names)
    for batch in batches:
        for element in batch:
            if not element.value.keys() <= known:
                check_known(list(element.value), schema, Place(unit, element.number))
        place = _Places(batch, unit)
        columns = [fitted(_values(batch, column.name), column, from_values, place) for column in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _values(batch: list[_Element], name: str) -> list[Any]:
    return [element.value.get(name) for element in batch]


class _Places:
    """Where the elements of a batch stand."""

    def __init__(self, batch: list[_Element], unit: str) -> None:
        self._batch = batch
        self._unit = unit

    def __call__(self, index: int) -> Place:
        return Place(self._unit, self._batch[index].number)


def _batches(source: Source, elements: Iterator[_Element]) -> Iterator[list[_Element]]:
    batch: list[_Element] = []
    characters = 0
    for rows, element in enumerate(elements, start=1):
        source.check_rows(rows)
        batch.append(element)
        characters += element.characters
        if len(batch) >= _BATCH_ROWS or characters >= _BATCH_BYTES:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _lines(source: Source, decoder: json.JSONDecoder) -> Iterator[_Element]:
    stream = source.text()
    number = 0
    while line := stream.readline(MAX_VALUE_BYTES + 1):
        number += 1
        place = Place("line", number)
        if len(line) > MAX_VALUE_BYTES:
            raise _too_long(place)
        if text := _decoded(line, place).strip(_BLANKS):
            yield _Element(number, _object_in(decoder, text, place), len(text))


def _decoded(line: bytes, place: Place) -> str:
    plain = line.removeprefix(codecs.BOM_UTF8) if place.number == 1 else line
    try:
        return plain.decode()
    except UnicodeDecodeError as error:
        raise place.broken("not in UTF-8") from error


def _object_in(decoder: json.JSONDecoder, text: str, place: Place) -> dict[str, Any]:
    try:
        value = decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise place.broken(_why(error)) from error
    if not isinstance(value, dict):
        raise place.broken("not an object")
    return value


def _array(source: Source, decoder: json.JSONDecoder) -> Iterator[_Element]:
    text = _Window(io.TextIOWrapper(source.text(), encoding="utf-8-sig", newline=""))
    if not text.takes("["):
        raise Invalid("The file is not a JSON array of objects")
    number = 0
    is_more = not text.takes("]")
    while is_more:
        number += 1
        place = Place("element", number)
        if text.next_character() != "{":
            raise place.broken("not an object")
        value, characters = text.take(decoder, place)
        yield _Element(number, value, characters)
        is_more = _goes_on(text, place)
    if text.next_character():
        raise Invalid("Something follows the JSON array")


def _goes_on(text: "_Window", place: Place) -> bool:
    if text.takes(","):
        return True
    if text.takes("]"):
        return False
    raise place.broken("is followed by neither a comma nor the end of the array")


class _Window:
    """The part of a text that is being read."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream
        self._text = ""
        self._position = 0

    def next_character(self) -> str:
        """The next one that is not blank, without taking it; empty at the end."""
        while not (found := _NOT_BLANK.search(self._text, self._position)):
            self._position = len(self._text)
            if not self._read():
                return ""
        self._position = found.start()
        return found.group()

    def takes(self, character: str) -> bool:
        """Whether this one is next; if so it is taken."""
        is_next = self.next_character() == character
        self._position += is_next
        return is_next

    def take(self, decoder: json.JSONDecoder, place: Place) -> tuple[dict[str, Any], int]:
        """The object that begins here, and its length. An object ends by itself, so one cut off never decodes."""
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._position)
            except (ValueError, RecursionError) as error:
                self._extend(place, error)
                continue
            characters, self._position = end - self._position, end
            return value, characters

    def _extend(self, place: Place, error: Exception) -> None:
        """Twice as much text each time, so that a long object is not decoded over and over."""
        if not self._is_cut_off(error):
            raise place.broken(_why(error)) from error
        if len(self._text) - self._position > MAX_VALUE_BYTES:
            raise _too_long(place) from error
        if not self._read(max(_READ_CHARACTERS, len(self._text) - self._position)):
            raise place.broken(_why(error)) from error

    def _is_cut_off(self, error: Exception) -> bool:
        """Whether more text might mend it."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        return error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _LONGEST_TOKEN

    def _read(self, characters: int = _READ_CHARACTERS) -> bool:
        try:
            more = self._stream.read(characters)
        except UnicodeDecodeError as error:
            raise Invalid("The file is not in UTF-8") from error
        self._text = self._text[self._position :] + more
        self._position = 0
        return bool(more)


def _inferred(batches: Iterator[list[_Element]], unit: str) -> pa.Schema:
    seen: dict[str, Seen] = {}
    for batch in batches:
        _observe(batch, seen, unit)
    check_names(list(seen))
    return pa.schema([(name, column.type()) for name, column in seen.items()])


def _observe(batch: list[_Element], seen: dict[str, Seen], unit: str) -> None:
    for element in batch:
        if element.value.keys() <= seen.keys():
            continue
        seen.update({name: Seen() for name in element.value if name not in seen})
        if len(seen) > MAX_COLUMNS:
            raise Place(unit, element.number).broken(f"the file has more than {MAX_COLUMNS} columns")
    for name, column in seen.items():
        column.observe(_values(batch, name))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key is given twice")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _double(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is beyond what a double can hold")
    return value


def _decimal(text: str) -> Decimal:
    _double(text)
    return Decimal(text)


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    return f"not JSON: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)


def _too_long(place: Place) -> TooLarge:
    return TooLarge(f"{place.unit.capitalize()} {place.number} is longer than {MAX_VALUE_BYTES // 2**20} MiB")
