"""Between asking and running: the text of a document that is only named, whether it may run, and what it costs."""

from dataclasses import dataclass, replace

from graphql_gateway.costs import too_costly
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

    async def keep(self, asked: Parameters, ready: Ready, core: Core) -> None:
        """Keep the text of a valid document, if its sender told its hash. Raises as Schemas.revalidated does."""
        if asked.sha256 is None or asked.is_resolved:
            return
        caller = ready.caller
        # The fixed part is everybody's, but a text may name, as a value, what not everybody is to know of.
        if core.caller.authorization is not None and not ready.is_revalidated:
            caller = await self.schemas.revalidated(core)
        caller.documents.keep_text(asked.sha256, asked.query)

    async def _kept_text(self, asked: Parameters, core: Core) -> str | None:
        authorization = core.caller.authorization
        if authorization is None:
            return kept_text(asked, self.schemas.for_anybody.documents)
        known = self.schemas.known(authorization)
        if known and (text := kept_text(asked, known.documents)):
            return text
        # Whose token is not good is told that, not whether somebody has sent a text.
        return kept_text(asked, (await self.schemas.revalidated(core)).documents)
