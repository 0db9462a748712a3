"""The two forms of a query, read to the same values (docs/QUERY.md)."""

from collections.abc import Sequence

from rest_api.query.conditions import Query, Shape
from rest_api.query.json_form import read_json
from rest_api.query.url_form import read_url


def parse_url(pairs: Sequence[tuple[str, str]], shape: Shape) -> Query:
    """The query in a URL's parameters, given decoded and in their order.

    Raises Invalid, naming the nearest valid column, operator or parameter.
    """
    return read_url(pairs, shape)


def parse_json(body: object, shape: Shape) -> Query:
    """The query in a JSON body, given as `strict_json.loads` reads it. Raises Invalid as `parse_url` does."""
    return read_json(body, shape)
