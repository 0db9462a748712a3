"""The graph: one `.graphql` and one `.py` per noun."""

from pathlib import Path

from ariadne import load_schema_from_path, make_executable_schema
from graphql import GraphQLSchema

from graphql_gateway.types import article, scalars, token

NOUNS = (scalars, article, token)


def make_schema() -> GraphQLSchema:
    """The executable schema of all nouns."""
    definitions = load_schema_from_path(str(Path(__file__).parent))
    return make_executable_schema(definitions, *(part for noun in NOUNS for part in noun.make_parts()))
