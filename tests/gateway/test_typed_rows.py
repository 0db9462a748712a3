"""Typed fields as they are made of a catalog, by table."""

import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    print_schema,
    validate_schema,
)

from graphql_gateway.catalog import Column, Dataset
from graphql_gateway.typed_rows import RowTypes, TypedRows, extended
from graphql_gateway.types import NOUNS, make_schema

FIXED = make_schema(NOUNS)
COLUMNS = (Column("id", "integer", False), Column("total", "number", False))


def made(*datasets: Dataset) -> dict[str, TypedRows]:
    """The typed fields of a catalog by name; the schema with them is valid as a whole."""
    typed = RowTypes(FIXED).of(datasets)
    parts = extended(FIXED, typed, "").to_kwargs()
    parts["assume_valid"] = False
    assert validate_schema(GraphQLSchema(**parts)) == []
    return {each.name: each for each in typed}


def named(name: str, *columns: Column, description: str = "") -> Dataset:
    """A table."""
    return Dataset(name, "table", columns or COLUMNS, description)


def types_of(typed: TypedRows) -> dict[str, GraphQLObjectType | GraphQLInputObjectType]:
    """The types of a field by what they end in."""
    return {each.name.removeprefix("T"): each for each in typed.types}  # type: ignore[misc]


@pytest.mark.parametrize("name", ["page_info", "Query", "rows", "_", "_1st", "not", "Ab__c", "x" * 200, "type"])
def test_a_dataset_with_a_name_of_graphql_has_a_field(name: str) -> None:
    assert list(made(named(name))) == [name]


@pytest.mark.parametrize("name", ["__x", "sales.eu", "naïve", "a-b", "1st", "", "a b", 'a"b', "a\nb", "a{b}"])
def test_a_dataset_with_another_name_has_none(name: str) -> None:
    assert made(named(name)) == {}


@pytest.mark.parametrize("name", ["getArticles", "articles", "dataset", "datasets", "_entities", "_service", "spend"])
def test_a_dataset_that_is_called_as_a_field_has_none(name: str) -> None:
    assert made(named(name)) == {}


@pytest.mark.parametrize("name", ["article", "user", "grant", "version", "Article", "access", "dataset_", "row"])
def test_types_of_a_dataset_are_never_called_as_others(name: str) -> None:
    types = [each.name for each in made(named(name))[name].types]
    assert FIXED.type_map.keys().isdisjoint(types)


def test_of_two_datasets_whose_types_would_be_called_alike_the_first_has_a_field() -> None:
    assert list(made(named("a_b"), named("aB"), named("a_c"))) == ["a_b", "a_c"]


def test_a_dataset_without_any_column_that_can_be_a_field_has_none() -> None:
    assert made(named("t", Column("total sum", "number", False))) == {}
    assert made(named("t", Column("id", "geometry", False))) == {}


def test_columns_without_a_field_are_named_in_the_description() -> None:
    columns = [*COLUMNS, Column("total sum", "number", False), Column("__x", "text", False)]
    field = made(named("t", *columns, description="What was sold"))["t"].field
    assert field.description == "What was sold\n\nReached by `dataset(name:)` only: 'total sum', '__x'."
    many = [Column(f"no {number}", "text", False) for number in range(50)]
    assert str(made(named("t", *COLUMNS, *many))["t"].field.description).endswith("'no 19' and 30 more.")


def test_columns_called_as_what_joins_conditions_are_told_but_not_asked_for() -> None:
    columns = [Column(name, "text", False) for name in ("or", "and", "not", "is")]
    types = types_of(made(named("t", *columns))["t"])
    assert list(types["Row"].fields) == ["or", "and", "not", "is"]
    assert {name: str(field.type) for name, field in types["Where"].fields.items()} == {
        "is": "StringFilter",
        "and": "[TWhere!]",
        "or": "[TWhere!]",
        "not": "TWhere",
    }
    assert list(types["Order"].fields) == ["or", "and", "not", "is"]


def test_columns_have_the_scalar_of_what_they_hold() -> None:
    kinds = ("integer", "number", "text", "timestamp", "boolean", "json")
    types = types_of(made(named("t", *(Column(kind, kind, False) for kind in kinds)))["t"])
    assert [str(field.type) for field in types["Row"].fields.values()] == [
        "Long",
        "Decimal",
        "String",
        "DateTime",
        "Boolean",
        "JSON",
    ]
    assert list(types["Order"].fields) == [kind for kind in kinds if kind != "json"]


def test_only_a_table_has_versions() -> None:
    files = Dataset("f", "files", COLUMNS, "")
    fields = made(named("t"), files)
    assert {"version", "asOf"} <= fields["t"].field.args.keys()
    assert {"version", "asOf"}.isdisjoint(fields["f"].field.args)


@pytest.mark.parametrize("text", ['"""', '"""}\ntype Evil { x: Int }\n"""', "\\", 'a"', "\\u0022", "\x00\x1b[31m"])
def test_nothing_said_of_a_dataset_becomes_schema(text: str) -> None:
    typed = RowTypes(FIXED).of((named("t", description=text),))
    built = build_schema(print_schema(extended(FIXED, typed, "")))
    assert "Evil" not in built.type_map
    assert built.type_map.keys() == extended(FIXED, typed, "").type_map.keys()


def test_equal_datasets_have_the_same_types() -> None:
    row_types = RowTypes(FIXED)
    (first,), (second,) = row_types.of((named("t"),)), row_types.of((named("t"),))
    assert first is second
