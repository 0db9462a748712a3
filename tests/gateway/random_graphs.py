"""Random schemas, rows for them that are as odd as rows can be, and operations on them."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from ariadne import EnumType, ScalarType, make_executable_schema
from graphql import (
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    Undefined,
    get_named_type,
    is_leaf_type,
)

from graphql_gateway.types import scalars

OBJECTS = ("User", "Article", "Edge", "Page")
ABSTRACT = ("Named", "Any")
KEYS = tuple(f"f{number}" for number in range(6))
COLORS = {"RED": "red", "GREEN": 1, "BLUE": Decimal("1.5")}


class Shade(StrEnum):
    """A string that is more than a string."""

    RED = "red"


class Row(dict[str, Any]):
    """A row that is more than a dict."""


class Whole(int):
    """A number that is more than a number."""


@dataclass(frozen=True)
class Called:
    """A value that is to be called."""

    value: Any

    def __call__(self, _info: Any, n: int | None = None) -> Any:
        return self.value if n is None else n


class Awaited(Called):
    """A value that is to be called, then awaited."""

    async def __call__(self, _info: Any, n: int | None = None) -> Any:
        return self.value if n is None else n


class Raising(Called):
    """A value that fails when it is called."""

    def __call__(self, _info: Any, n: int | None = None) -> Any:
        raise ValueError(f"no {type(self.value).__name__} for {n}")


PLAIN: dict[str, tuple[Any, ...]] = {
    "Int": (0, 7, -(2**31), 2**31 - 1),
    "Float": (0.5, -1e300, 3, 2**53),
    "String": ("", "words"),
    "ID": ("a", 7),
    "Boolean": (True, False),
    "Long": (2**62, -(2**63), 5),
    "Decimal": (1.25, 3, Decimal("0.10")),
    "DateTime": ("2026-11-01T12:00:00Z",),
    "JSON": ({"a": [1, None]}, [1], "x", 5, True),
    "Own": ("x", 1),
    "Color": ("red", 1),
}
ODD: tuple[Any, ...] = (
    *(None, Undefined, True, 2**31, 2**63, -(2**63) - 1, 10**400, 2**53 + 1, 1.5, 3.0, math.nan, math.inf),
    *("", "5", "x", b"x", [], {}, [None], (1, 2), Decimal("NaN"), Decimal("1.5"), Decimal("Infinity")),
    *(Shade.RED, Whole(5), Row(), SimpleNamespace(f0="attribute")),
)


def make_schema(random: Random) -> GraphQLSchema:
    """An executable schema: some fields have arguments, some have resolvers, some of these are asynchronous."""
    objects = (f"type {name} implements Named {{ f0: String {_fields(random, KEYS[1:])} }}" for name in OBJECTS)
    sdl = f"""
        scalar Long scalar Decimal scalar DateTime scalar JSON scalar Own
        enum Color {{ {" ".join(COLORS)} }}
        interface Named {{ f0: String }}
        union Any = {" | ".join(OBJECTS)}
        {" ".join(objects)}
        type Query {{ {_fields(random, KEYS)} }}
    """
    own = ScalarType("Own", serializer=lambda value: f"<{value}>")
    schema = make_executable_schema(sdl, *scalars.make_parts(), own, EnumType("Color", COLORS))
    for name in ("Query", *OBJECTS):
        for key, field in _object(schema, name).fields.items():
            field.resolve = random.choices((None, _resolver(key), _async_resolver(key)), (8, 1, 1))[0]
    _object(schema, "Page").is_type_of = lambda value, _info: not isinstance(value, dict) or "f1" in value
    return schema


@dataclass(frozen=True)
class Rows:
    """Makes what the objects of a schema come from; the same each time for the same state of the generator."""

    schema: GraphQLSchema
    random: Random

    def make(self, name: str, depth: int = 5) -> Any:
        """A row of a type."""
        fields = _object(self.schema, name).fields.items()
        row = {key: self._value(field.type, depth) for key, field in fields if self.random.random() < 0.97}
        row["__typename"] = name if self.random.random() < 0.97 else "Nobody"
        chance = self.random.random()
        return row if chance < 0.96 else Row(row) if chance < 0.98 else SimpleNamespace(**row)

    def _value(self, wanted: GraphQLOutputType, depth: int) -> Any:
        if self.random.random() < 0.02:
            return self._odd(wanted, depth)
        if isinstance(wanted, GraphQLNonNull):
            return self._value(wanted.of_type, depth)
        if isinstance(wanted, GraphQLList):
            items = [self._value(wanted.of_type, depth - 1) for _ in range(self.random.randrange(4))]
            return items if self.random.random() < 0.97 else tuple(items)
        name = cast(GraphQLNamedType, wanted).name
        if is_leaf_type(wanted):
            return self.random.choice(PLAIN[name])
        return self.make(name if name in OBJECTS else self.random.choice(OBJECTS), depth - 1) if depth > 0 else None

    def _odd(self, wanted: GraphQLOutputType, depth: int) -> Any:
        value = self.random.choice((*ODD, ValueError("denied"), self._value(wanted, depth - 1) if depth > 0 else None))
        shapes: tuple[Callable[[Any], Any], ...] = (_itself, _itself, _itself, Called, Awaited, Raising)
        return self.random.choice(shapes)(value)


@dataclass(frozen=True)
class Documents:
    """Writes operations on a schema."""

    schema: GraphQLSchema
    random: Random

    def write(self) -> str:
        """An operation with fragments, aliases, and conditions on the variables `yes` and `no`."""
        fragments = (f"fragment F{name} on {name} {self._selection(name, 1)}" for name in OBJECTS)
        return "\n".join((f"query ($yes: Boolean!, $no: Boolean!, $n: Int) {self._selection('Query', 5)}", *fragments))

    def _selection(self, name: str, depth: int) -> str:
        count = self.random.randrange(1, 7)
        return "{ " + " ".join(self._selected(name, depth) for _ in range(count)) + " }"

    def _selected(self, name: str, depth: int) -> str:
        chance = self.random.random()
        if chance < 0.05:
            return "__typename"
        if name in ABSTRACT or chance < 0.15:
            return self._fragment(name if name not in ABSTRACT else self.random.choice(OBJECTS), depth)
        key = self.random.choice(KEYS)
        field = _object(self.schema, name).fields[key]
        inner = get_named_type(field.type)
        if not is_leaf_type(inner) and depth <= 1:
            return "__typename"
        alias = self.random.choice(("", "", f"{key}{inner.name}: "))
        argument = self.random.choice(("", "(n: 1)", "(n: $n)")) if field.args else ""
        selection = "" if is_leaf_type(inner) else self._selection(inner.name, depth - 1)
        return f"{alias}{key}{argument} {self._condition()} {selection}"

    def _fragment(self, name: str, depth: int) -> str:
        if depth > 1 and name != "Query" and self.random.random() < 0.5:
            return f"...F{name} {self._condition()}"
        return f"... on {name} {self._condition()} {self._selection(name, depth - 1)}" if depth > 0 else "__typename"

    def _condition(self) -> str:
        choices = ("", "", "", "", "@skip(if: $no)", "@include(if: $yes)", "@include(if: $no)", "@skip(if: false)")
        return self.random.choice(choices)


def _fields(random: Random, keys: Iterable[str]) -> str:
    return " ".join(f"{key}{random.choice(('', '', '', '(n: Int)'))}: {_type(random)}" for key in keys)


def _type(random: Random) -> str:
    name = random.choice((*PLAIN, *OBJECTS * 3, *ABSTRACT))
    for form in random.choices(("{}", "{}!", "[{}]"), (3, 1, 1), k=3):
        name = name if form == "{}!" and name.endswith("!") else form.format(name)
    return name


def _object(schema: GraphQLSchema, name: str) -> GraphQLObjectType:
    return cast(GraphQLObjectType, schema.type_map[name])


def _resolver(key: str) -> Callable[..., Any]:
    def resolve(source: Any, _info: Any, **_arguments: Any) -> Any:
        return source.get(key) if isinstance(source, dict) else getattr(source, key, None)

    return resolve


def _async_resolver(key: str) -> Callable[..., Any]:
    async def resolve(source: Any, info: Any, **arguments: Any) -> Any:
        return _resolver(key)(source, info, **arguments)

    return resolve


def _itself(value: Any) -> Any:
    return value
