"""The columns of a file: which names are taken, and how they match those of a table."""

import unicodedata
from collections.abc import Sequence

import pyarrow as pa

from rest_api.backends.parsing.rows import Place
from rest_api.errors import FieldError, Invalid, nearest

MAX_COLUMNS = 2_000
MAX_NAME_CHARACTERS = 128


def check_names(names: Sequence[str]) -> None:
    """Raises Invalid for a name no table may have, for two that differ in case at most, and for too many."""
    if not names:
        raise Invalid("The file has no columns")
    if len(names) > MAX_COLUMNS:
        raise Invalid(f"A file has at most {MAX_COLUMNS} columns")
    seen: dict[str, str] = {}
    for number, name in enumerate(names, start=1):
        _check_name(number, name)
        _check_is_new(seen.setdefault(name.casefold(), name), name, is_first=len(seen) == number)


def _check_name(number: int, name: str) -> None:
    if not name.strip():
        raise _wrong(str(number), f"Column {number} has no name")
    if len(name) > MAX_NAME_CHARACTERS:
        raise _wrong(_shown(name), f"The name of column {number} has more than {MAX_NAME_CHARACTERS} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise _wrong(str(number), f"The name of column {number} holds a control character or is not Unicode")


def _check_is_new(first: str, name: str, *, is_first: bool) -> None:
    if is_first:
        return
    if first == name:
        raise _wrong(name, f"There are two columns {name!r}")
    raise _wrong(name, f"The columns {first!r} and {name!r} differ in case only")


def check_known(names: Sequence[str], expected: pa.Schema, place: Place) -> None:
    """Raises Invalid for the first name the table does not have, with the nearest one it has."""
    known = set(expected.names)
    for name in names:
        if name not in known:
            raise _unknown(name, expected, place)


def check_complete(names: Sequence[str], expected: pa.Schema) -> None:
    """Raises Invalid for a column the table cannot be without and the file has not."""
    present = set(names)
    for field in expected:
        if not field.nullable and field.name not in present:
            raise _wrong(field.name, f"The column {field.name!r} is missing, and may not be null")


def _unknown(name: str, expected: pa.Schema, place: Place) -> Invalid:
    near = nearest(name, expected.names)
    hint = f"; did you mean {near!r}?" if near else ""
    detail = f"{place.unit.capitalize()} {place.number}: the table has no column {_shown(name)!r}{hint}"
    field = f"{place.unit}.{place.number}.{_shown(name)}"
    return Invalid(detail, errors=[FieldError(field, detail)], did_you_mean=near)


def _wrong(field: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(field, detail)])


def _shown(name: str) -> str:
    return name[:100].encode("utf-8", "replace").decode()
