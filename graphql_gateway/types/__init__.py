"""The graph: one `.graphql` and one `.py` per noun."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from graphql import GraphQLSchema

from graphql_gateway.types import (
    access,
    article,
    articles,
    audit,
    connections,
    dataset,
    event,
    figures,
    filters,
    grant,
    group,
    job,
    replay,
    rows,
    scalars,
    subscription,
    token,
    upload,
    user,
    version,
)
from graphql_gateway.types.federation import LINK, make_subgraph

FOR_ANYBODY = (scalars, filters, token, article)
"""What is in the graph without a token."""
LAKE = (dataset, rows, version, access, figures, upload)
NOUNS = (*FOR_ANYBODY, connections, articles, user, group, grant, audit, job, replay, event, *LAKE, subscription)


def make_schema(nouns: Sequence[ModuleType]) -> GraphQLSchema:
    """The executable schema of nouns."""
    return make_subgraph(definitions(nouns), (part for noun in nouns for part in noun.make_parts()))


def definitions(nouns: Sequence[ModuleType]) -> str:
    """The SDL of nouns."""
    return "\n".join((LINK, *(Path(str(noun.__file__)).with_suffix(".graphql").read_text() for noun in nouns)))
