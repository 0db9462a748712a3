"""The URL form of a query: `column=op.value`, groups in parentheses, reserved parameters."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rest_api.errors import Invalid, unknown
from rest_api.query.conditions import (
    MAX_CHARACTERS,
    Column,
    Comparison,
    Condition,
    Not,
    Order,
    Query,
    Shape,
    all_of,
    any_of,
)
from rest_api.query.rules import (
    check_count_of_values,
    check_depth,
    check_operator,
    completed,
    identity,
    order_part,
)
from rest_api.query.values import from_text, wrong, wrong_value

Pairs = Sequence[tuple[str, str]]
_WHOLE = re.compile(r"[0-9]{1,9}")
_OPERATOR = re.compile(r"([A-Za-z]+)\.")
_IDENTITY = re.compile("null|true|false")
_GROUP_NAME = re.compile(r"((?:not\.)*)(or|and)")
_GROUP = re.compile(_GROUP_NAME.pattern + r"(?=\()")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*+)"')
_ESCAPED = re.compile(r"\\(.)")
_NAME = re.compile(r'[^"(),.][^(),.]*')
_ITEM = re.compile(r'[^"(),][^(),]*')
_REST = re.compile(r'(?!").*', re.DOTALL)
_IDENTITIES = {"null": None, "true": True, "false": False}


def read_url(pairs: Pairs, shape: Shape) -> Query:
    """The query in a URL's parameters. Raises Invalid naming the nearest valid thing."""
    _check_characters(pairs)
    given = _reserved(pairs, shape)
    conditions = [_condition(name, text, shape) for name, text in pairs if name not in given]
    query = Query(
        select=_names(given["select"], shape) if "select" in given else None,
        where=all_of(conditions) if conditions else None,
        order=_orders(given["order"], shape) if "order" in given else (),
        limit=_whole("limit", given["limit"]) if "limit" in given else shape.default_limit,
        limit_per=given.get("limit_per"),
        cursor=given.get("cursor"),
        page=_whole("page", given["page"]) if "page" in given else None,
        count=given.get("count", "none"),
    )
    return completed(query, shape)


class Reader:
    """A text and how far it has been read; every pattern is tried once at each place, so that time is linear."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def accept(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Go past what the pattern matches here; None where it does not."""
        match = pattern.match(self._text, self._position)
        self._position = match.end() if match else self._position
        return match

    def accept_mark(self, mark: str) -> bool:
        """Go past a mark, if it stands here."""
        stands_here = self._text.startswith(mark, self._position)
        self._position += len(mark) * stands_here
        return stands_here

    def require_mark(self, mark: str) -> None:
        """Go past a mark. Raises Invalid where it is missing."""
        if not self.accept_mark(mark):
            raise self.wrong(f"expected {mark}")

    def require_end(self) -> None:
        """Raises Invalid unless everything has been read."""
        if self._position < len(self._text):
            raise self.wrong("expected the end")

    def value(self, plain: re.Pattern[str]) -> str:
        """A text in double quotes, or one that needs none. Raises Invalid."""
        quoted = self.accept(_QUOTED)
        if quoted:
            return _ESCAPED.sub(r"\1", quoted[1])
        match = self.accept(plain)
        if match is None:
            raise self.wrong("expected a value; in a list, one that is empty or holds , ( ) is in double quotes")
        return match[0]

    def listed(self, read: Callable[[], Any]) -> Iterator[Any]:
        """What `read` finds between commas."""
        yield read()
        while self.accept_mark(","):
            yield read()

    def wrong(self, expected: str) -> Invalid:
        """The refusal of what stands here."""
        before = self._text[max(0, self._position - 20) : self._position]
        return Invalid(f"After {before!r} at character {self._position + 1}: {expected}")


def _check_characters(pairs: Pairs) -> None:
    for name, text in pairs:
        if len(text) > MAX_CHARACTERS:
            raise wrong(name[:100], f"A parameter has at most {MAX_CHARACTERS:,} characters")


def _reserved(pairs: Pairs, shape: Shape) -> dict[str, str]:
    names = [name for name in shape.parameters if name not in ("or", "and")]
    counts = Counter(name for name, _ in pairs)
    for name in names:
        if counts[name] > 1:
            raise wrong(name, f"{name} is given once")
    return {name: text for name, text in pairs if name in names}


def _condition(name: str, text: str, shape: Shape) -> Condition:
    group = _GROUP_NAME.fullmatch(name)
    reader = Reader(text)
    if group and group[2] in shape.parameters:
        found = _group(reader, group, shape, 1)
    elif name in shape.by_name:
        found = _comparison(reader, shape.column(name), _REST)
    else:
        raise unknown("parameter", name, (*shape.names, *shape.parameters))
    reader.require_end()
    return found


def _group(reader: Reader, start: re.Match[str], shape: Shape, depth: int) -> Condition:
    negations = len(start[1]) // len("not.")
    check_depth(depth + negations)
    reader.require_mark("(")
    members = list(reader.listed(lambda: _member(reader, shape, depth + negations + 1)))
    reader.require_mark(")")
    return _negated(any_of(members) if start[2] == "or" else all_of(members), negations)


def _member(reader: Reader, shape: Shape, depth: int) -> Condition:
    start = reader.accept(_GROUP)
    if start:
        return _group(reader, start, shape, depth)
    column = shape.column(reader.value(_NAME))
    reader.require_mark(".")
    return _comparison(reader, column, _ITEM)


def _comparison(reader: Reader, column: Column, plain: re.Pattern[str]) -> Condition:
    """A comparison; its operator may be missing where a value goes on to the end of the text."""
    word, negations = reader.accept(_OPERATOR), 0
    while word and word[1] == "not":
        word, negations = reader.accept(_OPERATOR), negations + 1
        check_depth(negations)
    if word is None and (negations or plain is _ITEM):
        raise wrong_value(column, f"needs an operator, such as {column.name}.{column.type.operators[0]}.…")
    return _negated(_compared(reader, column, word[1] if word else "eq", plain), negations)


def _compared(reader: Reader, column: Column, op: str, plain: re.Pattern[str]) -> Condition:
    check_operator(column, op)
    if op == "is":
        return _identity(reader, column)
    if op == "in":
        return Comparison(column.name, op, _listed_values(reader, column))
    return Comparison(column.name, op, from_text(column, reader.value(plain)))


def _identity(reader: Reader, column: Column) -> Condition:
    match = reader.accept(_IDENTITY)
    if match is None:
        raise wrong_value(column, "takes is.null, is.true or is.false")
    return identity(column, _IDENTITIES[match[0]])


def _listed_values(reader: Reader, column: Column) -> tuple[Any, ...]:
    reader.require_mark("(")
    texts = list(reader.listed(lambda: reader.value(_ITEM)))
    reader.require_mark(")")
    check_count_of_values(column, texts)
    return tuple(from_text(column, text) for text in texts)


def _negated(condition: Condition, times: int) -> Condition:
    for _ in range(times):
        condition = Not(condition)
    return condition


def _names(text: str, shape: Shape) -> tuple[str, ...]:
    reader = Reader(text)
    names = tuple(shape.column(name).name for name in reader.listed(lambda: reader.value(_NAME)))
    reader.require_end()
    return names


def _orders(text: str, shape: Shape) -> tuple[Order, ...]:
    reader = Reader(text)
    parts = tuple(reader.listed(lambda: _order(reader, shape)))
    reader.require_end()
    return parts


def _order(reader: Reader, shape: Shape) -> Order:
    name = reader.value(_NAME)
    return order_part(shape, name, reader.value(_NAME) if reader.accept_mark(".") else "asc")


def _whole(name: str, text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise wrong(name, f"{name} takes a whole number")
    return int(text)
