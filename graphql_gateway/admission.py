"""Between asking and running: the text of a document that is only named, whether it may run, and what it costs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from graphql_gateway.costs import too_costly
from graphql_gateway.documents import Documents
from graphql_gateway.graphql_http import Parameters
from graphql_gateway.persisted import PersistedDocuments, kept_text, not_found
from graphql_gateway.rest_client import Core
from graphql_gateway.schemas import Schemas
from graphql_gateway.serving import Ready


@dataclass(frozen=True)
class Admission:
    """Admits requests of any protocol."""

    schemas: Schemas
    persisted: PersistedDocuments
    max_cost: int

    async def resolved(self, asked: Parameters, core: Core) -> Parameters:
        """The request with the text of its document.

        Raises Malformed for a hash of another text, Failure for a document that is not known or not run here, and as
        Schemas.revalidated does.
        """
        text = self.persisted.text(asked) or await self._kept_text(asked, core)
        if text is None:
            raise not_found(asked)
        self.persisted.admit(text)
        return asked if asked.query else replace(asked, query=text, is_resolved=True)

    def cost(self, ready: Ready, parameters: Parameters) -> int:
        """What the operation costs that a request means. Raises Failure where that is beyond the limit."""
        operation, costs = ready.operation(parameters.operation_name), ready.prepared.costs
        cost = costs.cost(operation, parameters.variables) if operation and costs else 0
        if cost > self.max_cost:
            raise too_costly(cost, self.max_cost)
        return cost

    async def _kept_text(self, asked: Parameters, core: Core) -> str | None:
        for documents in self._known_documents(core.caller.authorization):
            if text := kept_text(asked, documents):
                return text
        if core.caller.authorization is None:
            return None
        # Whose token is not good is told that, not whether somebody has sent a text.
        return kept_text(asked, (await self.schemas.revalidated(core)).documents)

    def _known_documents(self, authorization: str | None) -> Iterator[Documents]:
        """Those of the schemas that may be the caller's, as far as is known."""
        if authorization is None:
            yield self.schemas.for_anybody.documents
            return
        yield self.schemas.fixed.documents
        known = self.schemas.known(authorization)
        if known is not None:
            yield known.documents
