"""Documents served: each prepared for its caller's schema and run, and nothing told before his token is known good."""

import re
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable

from graphql import ExecutionResult, GraphQLSyntaxError, OperationDefinitionNode, OperationType, execute

from graphql_gateway.documents import Prepared
from graphql_gateway.errors import TooLarge
from graphql_gateway.exact_json import dumps
from graphql_gateway.executor import ProjectingExecutor
from graphql_gateway.graphql_http import Parameters
from graphql_gateway.persisted import told
from graphql_gateway.rest_client import Core
from graphql_gateway.schemas import CallerSchema, Schemas
from graphql_gateway.sharing import Question, Sharing

ABOUT_THE_SCHEMA = re.compile(r"__schema|__type(?!name)|_service")


@dataclass(frozen=True)
class Ready:
    """A document ready to run for its caller, or why it is refused.

    `is_revalidated` says that the core has looked at the caller's token and catalog in this very request.
    """

    caller: CallerSchema
    prepared: Prepared
    is_revalidated: bool

    def operation(self, name: str | None) -> OperationDefinitionNode | None:
        """The operation that a request means; None when it is not clear, or refused."""
        return self.prepared.operation(name)


@dataclass(frozen=True)
class Serving:
    """Makes documents ready and runs them."""

    schemas: Schemas
    sharing: Sharing

    async def ready(self, query: str, core: Core) -> Ready:
        """The document of a request, for the schema that is its caller's. Raises as Schemas.revalidated does."""
        authorization = core.caller.authorization
        if authorization is None:
            return _prepared(self.schemas.for_anybody, query)
        tells = ABOUT_THE_SCHEMA.search(query) is not None
        for caller in (self.schemas.fixed, self.schemas.known(authorization)):
            ready = _prepared(caller, query) if caller else None
            if ready and (_is_refused_unseen(ready.prepared) or (ready.prepared.document and not tells)):
                return ready
        return await self._revalidated(query, core)

    async def run(self, ready: Ready, parameters: Parameters, core: Core) -> ExecutionResult:
        """What comes of a document that was not refused; a query that is being answered already is not run again.

        Raises as Schemas.revalidated does.
        """
        if _changes_something(ready, parameters):
            return await self._change(ready, parameters, core)
        question = _question(ready, parameters, core)
        if question is None:
            return await self._run(ready, parameters, core)
        request_id = self.sharing.join(question)
        if request_id is not None:
            core.trail.share(request_id)
        run = partial(self._run, ready, parameters, core)
        return await self.sharing.answer(question, core.caller.request_id, run)

    async def _change(self, ready: Ready, parameters: Parameters, core: Core) -> ExecutionResult:
        try:
            return await self._run(ready, parameters, core)
        finally:
            self.sharing.forget(core.caller.authorization)

    async def _run(self, ready: Ready, parameters: Parameters, core: Core) -> ExecutionResult:
        """What comes of a document.

        What was answered without asking the core anything is not told before the core has looked at the token; and
        where the caller's schema has changed since, the answer is that of the changed one.
        """
        asked_before = core.calls
        result = await _executed(ready, parameters, core)
        if ready.is_revalidated or core.calls > asked_before or core.caller.authorization is None:
            return result
        again = await self._revalidated(parameters.query, core)
        if ready.caller in (again.caller, self.schemas.fixed):
            return result
        if again.prepared.document is None:
            return ExecutionResult(None, list(told(again.prepared.errors, parameters)))  # type: ignore[arg-type]
        return await _executed(again, parameters, core)

    async def _revalidated(self, query: str, core: Core) -> Ready:
        caller = await self.schemas.revalidated(core)
        return Ready(caller, caller.documents.prepare(query), is_revalidated=True)


def _changes_something(ready: Ready, parameters: Parameters) -> bool:
    operation = ready.operation(parameters.operation_name)
    return operation is not None and operation.operation is not OperationType.QUERY


def _question(ready: Ready, parameters: Parameters, core: Core) -> Question | None:
    """What a query of somebody asks; None for what is not to be shared."""
    caller = core.caller
    if ready.is_revalidated or caller.authorization is None:
        return None
    variables = dumps(parameters.variables or {})
    return Question(caller.authorization, caller.forwarded_for, parameters.query, parameters.operation_name, variables)


def _prepared(caller: CallerSchema, query: str) -> Ready:
    return Ready(caller, caller.documents.prepare(query), is_revalidated=False)


def _is_refused_unseen(prepared: Prepared) -> bool:
    """Whether a document was refused before any schema was looked at."""
    return any(isinstance(error, GraphQLSyntaxError | TooLarge) for error in prepared.errors)


async def _executed(ready: Ready, parameters: Parameters, core: Core) -> ExecutionResult:
    result = execute(
        ready.caller.schema,
        ready.prepared.runnable,
        context_value=core,
        variable_values=parameters.variables,
        operation_name=parameters.operation_name,
        executor_class=ProjectingExecutor,
    )
    return await result if isawaitable(result) else result
