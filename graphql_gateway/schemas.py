"""The schema of each caller: the fixed part, and the datasets that the core's catalog tells him of."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from graphql import GraphQLSchema

from graphql_gateway.catalog import Catalog, Pages, datasets_of, read_pages, sharing
from graphql_gateway.documents import Documents
from graphql_gateway.rest_client import Core
from graphql_gateway.typed_rows import RowTypes, extended
from graphql_gateway.types import FOR_ANYBODY, NOUNS, definitions, make_schema

MAX_SCHEMAS, MAX_CALLERS = 100, 10_000
# The core refuses what a caller may no longer read; this is how long his schema may be behind where nothing tells.
KEPT_SECONDS = 30.0


@dataclass(frozen=True)
class CallerSchema:
    """A schema, the catalog that it was made of, and the documents prepared for it."""

    schema: GraphQLSchema
    catalog: Catalog
    documents: Documents


@dataclass(frozen=True)
class Known:
    """What was found for a token, and when (of time.monotonic)."""

    pages: Pages
    found: CallerSchema
    at: float


class Schemas:
    """Gives each caller his schema; callers with equal catalogs share one."""

    def __init__(self, prepare: Callable[[GraphQLSchema], Documents]) -> None:
        self._prepare = prepare
        self.for_anybody = self._with(make_schema(FOR_ANYBODY), (), definitions(FOR_ANYBODY))
        self._sdl = definitions(NOUNS)
        self.fixed = self._with(make_schema(NOUNS), (), self._sdl)
        self._row_types = RowTypes(self.fixed.schema)
        self._schemas: dict[Catalog, CallerSchema] = {}
        self._callers: OrderedDict[bytes, Known] = OrderedDict()

    def known(self, authorization: str) -> CallerSchema | None:
        """The schema that was found for a token lately."""
        known = self._callers.get(_digest(authorization))
        return known.found if known is not None and time.monotonic() - known.at < KEPT_SECONDS else None

    async def revalidated(self, core: Core) -> CallerSchema:
        """The schema that is the caller's at this moment, his token looked at by the core.

        Raises Refusal where the token is not good, and as RestClient.send does.
        """
        digest = _digest(core.caller.authorization or "")
        known = self._callers.get(digest)
        pages = await read_pages(core, known.pages if known else ())
        # Pages that have not changed are the same objects: a catalog is compared only when something has.
        found = known.found if known is not None and pages == known.pages else self._of(datasets_of(pages))
        self._callers[digest] = Known(sharing(pages, found.catalog), found, time.monotonic())
        self._callers.move_to_end(digest)
        if len(self._callers) > MAX_CALLERS:
            self._callers.popitem(last=False)
        return found

    def _of(self, catalog: Catalog) -> CallerSchema:
        if catalog not in self._schemas:
            self._schemas[catalog] = self._with(self.fixed.schema, catalog, self._sdl)
            if len(self._schemas) > MAX_SCHEMAS:
                self._forget(self._schemas.pop(next(iter(self._schemas))))
        return self._schemas[catalog]

    def _forget(self, found: CallerSchema) -> None:
        """Let go of a schema wherever it is held; its callers' catalogs are read anew."""
        for digest in [digest for digest, known in self._callers.items() if known.found is found]:
            del self._callers[digest]

    def _with(self, fixed: GraphQLSchema, catalog: Catalog, sdl: str) -> CallerSchema:
        schema = extended(fixed, self._row_types.of(catalog) if catalog else (), sdl)
        return CallerSchema(schema, catalog, self._prepare(schema))


def _digest(authorization: str) -> bytes:
    return hashlib.sha256(authorization.encode("utf-8", "surrogateescape")).digest()
