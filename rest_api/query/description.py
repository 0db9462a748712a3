"""What the API description says of a list's parameters; each pattern is true of what the grammar accepts."""

from typing import Any

from rest_api.query.conditions import MAX_PARAMETER_CHARACTERS, Column, ColumnType, Shape

_INTEGER = "-?[0-9]{1,18}"
_NUMBER = r"-?[0-9]{1,18}(\.[0-9]{1,18})?"
_DATE = "(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
_TIMESTAMP = f"{_DATE}(T{_CLOCK}(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9]))?"
_QUOTED = r'"([^"\\\u0000]|\\["\\])*"'
_AFTER_OPERATOR = rf'({_QUOTED}|([^"\u0000][^\u0000]*)?)'
# Letters before a first dot would be an operator.
_WITHOUT_OPERATOR = rf'({_QUOTED}|([A-Za-z]+([^A-Za-z.\u0000][^\u0000]*)?)?|[^A-Za-z"\u0000][^\u0000]*)'
_IN_LIST = r'([^"(),\u0000][^(),\u0000]*)'

_VALUES = {
    ColumnType.INTEGER: _INTEGER,
    ColumnType.NUMBER: _NUMBER,
    ColumnType.TIMESTAMP: _TIMESTAMP,
    ColumnType.BOOLEAN: "(true|false)",
}
_EXAMPLES = {
    ColumnType.INTEGER: "gt.5",
    ColumnType.NUMBER: "gte.12.5",
    ColumnType.TEXT: "ilike.*lake*",
    ColumnType.TIMESTAMP: "gte.2026-11-01T00:00:00Z",
    ColumnType.BOOLEAN: "is.true",
    ColumnType.JSON: "not.is.null",
}


def query_parameters(shape: Shape) -> list[dict[str, Any]]:
    """Every parameter of a list as an OpenAPI parameter object."""
    columns = [_column_parameter(column) for column in shape.columns if column.name not in shape.parameters]
    offered = _reserved_parameters(shape)
    return [*columns, *(offered[name] for name in shape.parameters if name in offered)]


def value_pattern(column: Column) -> str:
    """A regular expression, of ECMA 262 and of Python alike, whose every match is accepted for the column."""
    negations = "(not\\.){0,3}"
    if column.type is ColumnType.JSON:
        return f"^{negations}is\\.null$"
    if column.type is ColumnType.TEXT:
        return f"^({_text_pattern(negations)})$"
    value = _VALUES[column.type]
    compared = "|".join(op for op in column.type.operators if op not in ("in", "is"))
    listed = f"in\\.\\({value}(,{value})*\\)"
    words = "(null|true|false)" if column.type is ColumnType.BOOLEAN else "null"
    return f"^({value}|{negations}(({compared})\\.{value}|{listed}|is\\.{words}))$"


def _text_pattern(negations: str) -> str:
    compared = "(eq|neq|gt|gte|lt|lte)\\."
    wild = "(like|ilike)\\.[^\"*\\u0000]{0,100}[*]?"
    item = f"({_QUOTED}|{_IN_LIST})"
    listed = f"in\\.\\({item}(,{item})*\\)"
    return f"{_WITHOUT_OPERATOR}|{negations}({compared}{_AFTER_OPERATOR}|{wild}|{listed}|is\\.null)"


def _column_parameter(column: Column) -> dict[str, Any]:
    operators = ", ".join(column.type.operators)
    said = f"{column.description}; " if column.description else ""
    schema = {"type": "string", "pattern": value_pattern(column), "maxLength": MAX_PARAMETER_CHARACTERS}
    return _parameter(column.name, f"{said}a value or `operator.value`: {operators}", schema, _EXAMPLES[column.type])


def _parameter(name: str, description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema, "example": example}


def _reserved_parameters(shape: Shape) -> dict[str, dict[str, Any]]:
    names = "|".join(shape.names)
    orderable = "|".join(column.name for column in shape.columns if column.is_orderable)
    first, integer = shape.columns[0], "integer"
    limits = {"type": integer, "minimum": 1, "maximum": shape.max_limit, "default": shape.default_limit}
    group = f"({first.name}.is.null,{first.name}.in.({_first_values(first)}))"
    return {
        "select": _parameter("select", "columns of the answer", _text(f"^({names})$"), first.name),
        "order": _parameter(
            "order",
            "columns to order by, each with `.asc` or `.desc`; nulls come last",
            _text(f"^({orderable})(\\.(asc|desc))?$"),
            f"{first.name}.desc",
        ),
        "limit": _parameter("limit", "rows of a page", limits, shape.default_limit),
        "limit_per": _parameter(
            "limit_per",
            "a column: `limit` then holds for each of its values, with 1,000 rows in all and no next page",
            {"type": "string", "enum": list(shape.names)},
            first.name,
        ),
        "page": _parameter("page", "number of the page, from 1; not with `cursor`", _page(shape), 1),
        "cursor": {
            "name": "cursor",
            "in": "query",
            "description": "goes on after a page: its `next`",
            "schema": {"type": "string"},
        },
        "count": _parameter(
            "count", "whether to count all rows", {"type": "string", "enum": ["none", "exact", "estimated"]}, "exact"
        ),
        "or": _parameter("or", "a group of which one must hold", _text(), group),
        "and": _parameter("and", "a group of which all must hold", _text(), group),
    }


def _first_values(column: Column) -> str:
    return {ColumnType.INTEGER: "1,2", ColumnType.NUMBER: "1.5,2"}.get(column.type, '"a","b"')


def _text(pattern: str | None = None) -> dict[str, Any]:
    return {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}


def _page(shape: Shape) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": 100_000 // shape.max_limit}
