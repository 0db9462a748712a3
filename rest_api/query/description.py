"""What the API description says of a list's parameters; each pattern is true of what the grammar accepts."""

import re
from typing import Any

from rest_api.query.conditions import (
    COUNTS,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_PAGED_ROWS,
    MAX_ROWS_PER_PARENTS,
    Column,
    ColumnType,
    Shape,
)

_DATE = "(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
_VALUES = {
    ColumnType.INTEGER: "-?[0-9]{1,18}",
    ColumnType.NUMBER: r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?",
    ColumnType.TIMESTAMP: f"{_DATE}(T{_CLOCK}(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9]))?",
    ColumnType.BOOLEAN: "(true|false)",
}
_QUOTED = r'"([^"\\\u0000]|\\["\\])*"'
_TEXT_TO_THE_END = rf'({_QUOTED}|([^"\u0000][^\u0000]*)?)'
_TEXT_IN_A_LIST = rf'({_QUOTED}|[^"(),\u0000][^(),\u0000]*)'
# Letters before a first dot would be an operator.
_TEXT_WITHOUT_OPERATOR = rf'({_QUOTED}|([A-Za-z]+([^A-Za-z.\u0000][^\u0000]*)?)?|[^A-Za-z"\u0000][^\u0000]*)'
_NEGATIONS = rf"(not\.){{0,{MAX_DEPTH}}}"
_EXAMPLES = {
    ColumnType.INTEGER: "gt.5",
    ColumnType.NUMBER: "gte.12.5",
    ColumnType.TEXT: "ilike.*lake*",
    ColumnType.TIMESTAMP: "gte.2026-11-01T00:00:00Z",
    ColumnType.BOOLEAN: "is.true",
    ColumnType.JSON: "not.is.null",
}
_SIMPLE_NAME = re.compile("[A-Za-z0-9_ -]+")
Parameter = dict[str, Any]


def query_parameters(shape: Shape) -> list[Parameter]:
    """Every parameter of a list as an OpenAPI parameter object."""
    columns = [_column_parameter(column) for column in shape.columns if column.name not in shape.parameters]
    offered = _reserved_parameters(shape)
    return [*columns, *(offered[name] for name in shape.parameters)]


def value_pattern(kind: ColumnType) -> str:
    """A regular expression, of ECMA 262 and of Python alike, for `column=…`: all that it matches is accepted.

    Little else is: the longest integers, the last days of a month, other centuries, quoted numbers.
    """
    if kind is ColumnType.JSON:
        return f"^{_comparison_pattern(kind, '')}$"
    bare = _TEXT_WITHOUT_OPERATOR if kind is ColumnType.TEXT else _VALUES[kind]
    return f"^({bare}|{_comparison_pattern(kind, _TEXT_TO_THE_END)})$"


def equality_parameter(column: Column, most: int) -> Parameter:
    """The parameter of a text that is asked for by `eq` and `in` only, with so many values at most."""
    listed = rf"in\.\({_TEXT_IN_A_LIST}(,{_TEXT_IN_A_LIST}){{0,{most - 1}}}\)"
    pattern = rf"^({_TEXT_WITHOUT_OPERATOR}|eq\.{_TEXT_TO_THE_END}|{listed})$"
    said = f"{column.description}; a value, `eq.value`, or `in.(…)` with at most {most}"
    return _parameter(column.name, said, _text(pattern), "in.(a,b)")


def select_parameter(shape: Shape) -> Parameter:
    """The parameter that names the members of an answer."""
    columns = _any(list(shape.names))
    return _parameter("select", "columns of the answer", _text(f"^{columns}(,{columns})*$"), _written(shape.key[0]))


def group_pattern(shape: Shape) -> str:
    """A regular expression for `or=…` and `and=…`, of the groups that hold no other groups."""
    kinds = dict.fromkeys(column.type for column in shape.columns)
    members = "|".join(_member_pattern(shape, kind) for kind in kinds)
    return rf"^\(({members})(,({members})){{0,9}}\)$"


def _member_pattern(shape: Shape, kind: ColumnType) -> str:
    names = _any([column.name for column in shape.columns if column.type is kind])
    return rf"{names}\.{_comparison_pattern(kind, _TEXT_IN_A_LIST)}"


def _comparison_pattern(kind: ColumnType, text: str) -> str:
    words = "(null|true|false)" if kind is ColumnType.BOOLEAN else "null"
    compared = "|".join(op for op in kind.operators if op not in ("in", "is"))
    if not compared:
        return rf"{_NEGATIONS}is\.{words}"
    value, item = _VALUES.get(kind, text), _VALUES.get(kind, _TEXT_IN_A_LIST)
    return rf"{_NEGATIONS}(({compared})\.{value}|in\.\({item}(,{item})*\)|is\.{words})"


def _any(names: list[str]) -> str:
    return f"({'|'.join(re.escape(_written(name)) for name in names)})"


def _written(name: str) -> str:
    if _SIMPLE_NAME.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _column_parameter(column: Column) -> Parameter:
    said = f"{column.description}; " if column.description else ""
    description = f"{said}a value or `operator.value`: {', '.join(column.type.operators)}; `not.` before it negates"
    return _parameter(column.name, description, _text(value_pattern(column.type)), _EXAMPLES[column.type])


def _parameter(name: str, description: str, schema: Parameter, example: Any = None) -> Parameter:
    # Not as `example`: Swagger UI would send every parameter's at once.
    said = description if example is None else f"{description}; such as `{example}`"
    return {"name": name, "in": "query", "description": said, "schema": schema}


def _text(pattern: str) -> Parameter:
    return {"type": "string", "pattern": pattern, "maxLength": MAX_CHARACTERS}


def _reserved_parameters(shape: Shape) -> dict[str, Parameter]:
    found = [*_choices(shape), *_pages(shape), *_groups(shape)]
    return {parameter["name"]: parameter for parameter in found}


def _choices(shape: Shape) -> list[Parameter]:
    key = _written(shape.key[0])
    part = f"{_any(_orderable(shape))}(\\.(asc|desc))?"
    counts = {"type": "string", "enum": list(COUNTS)}
    return [
        select_parameter(shape),
        _parameter("order", "columns to order by; nulls come last", _text(f"^{part}(,{part})*$"), f"{key}.desc"),
        _parameter("count", "whether to count the rows of all pages", counts, "exact"),
    ]


def _pages(shape: Shape) -> list[Parameter]:
    limits = {"type": "integer", "minimum": 1, "maximum": shape.max_limit, "default": shape.default_limit}
    pages = {"type": "integer", "minimum": 1, "maximum": MAX_PAGED_ROWS // shape.default_limit}
    paged = f"number of the page, from 1; `page` × `limit` is at most {MAX_PAGED_ROWS:,}; not with `cursor`"
    per = f"a column: `limit` then holds for each of its values, in one page of at most {MAX_ROWS_PER_PARENTS:,} rows"
    return [
        _parameter("limit", "rows of a page", limits, shape.default_limit),
        _parameter("limit_per", per, {"type": "string", "enum": _orderable(shape)}, shape.key[0]),
        _parameter("cursor", "goes on after a page: its `next`", {"type": "string"}),
        _parameter("page", paged, pages, 1),
    ]


def _groups(shape: Shape) -> list[Parameter]:
    key = _written(shape.key[0])
    schema, example = _text(group_pattern(shape)), f"({key}.is.null,{key}.not.is.null)"
    return [
        _parameter("or", "conditions of which one must hold; groups nest: `(…,and(…),not.or(…))`", schema, example),
        _parameter("and", "conditions of which all must hold", schema, example),
    ]


def _orderable(shape: Shape) -> list[str]:
    return [column.name for column in shape.columns if column.may_order]
