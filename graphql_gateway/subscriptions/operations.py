"""Operations of any protocol: what a client asks for, run once, or for each event of a subscription."""

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import isawaitable
from typing import Any
from weakref import WeakKeyDictionary

import structlog
from graphql import (
    ExecutionResult,
    Executor,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    create_source_event_stream,
    execute_subscription_event,
)

from graphql_gateway import persisted
from graphql_gateway.admission import Admission
from graphql_gateway.costs import cost_told
from graphql_gateway.documents import operation_name
from graphql_gateway.errors import Failure, Malformed, described
from graphql_gateway.executor import ProjectingExecutor
from graphql_gateway.graphql_http import Parameters
from graphql_gateway.rest_client import Caller, Core, RestClient
from graphql_gateway.schemas import CallerSchema
from graphql_gateway.serving import Ready, Serving
from graphql_gateway.subscriptions.hub import Hub, Joined, Moved
from graphql_gateway.subscriptions.live_figures import LiveFigures
from graphql_gateway.subscriptions.metrics import SubscriptionMetrics
from graphql_gateway.subscriptions.standings import Token, Tokens
from graphql_gateway.subscriptions.subscriber import Subscriber
from graphql_gateway.subscriptions.subscription import Subscription

log = structlog.get_logger(__name__)
Body = dict[str, Any]
EVERY_KIND = frozenset(OperationType)
READS = EVERY_KIND - {OperationType.MUTATION}


class Refused(Exception):
    """An operation that is not run, or not any more; `errors` are as a client is told them."""

    def __init__(self, errors: Sequence[GraphQLError | Failure], caller: Caller) -> None:
        super().__init__(str(errors))
        self.errors = described(errors, caller.request_id)


@dataclass(frozen=True)
class Asked:
    """What a client asks for, and who he is."""

    parameters: Parameters
    caller: Caller

    def refused(self, *errors: GraphQLError | Failure) -> Refused:
        """The refusal of it."""
        return Refused(errors, self.caller)


@dataclass(frozen=True)
class Operations:
    """Runs operations to their end."""

    admission: Admission
    serving: Serving
    client: RestClient
    hub: Hub
    figures: LiveFigures
    tokens: Tokens
    metrics: SubscriptionMetrics
    deadline_seconds: float
    _schemas_by_token: WeakKeyDictionary[Token, tuple[str, CallerSchema]] = field(default_factory=WeakKeyDictionary)

    async def results(
        self, parameters: Parameters, caller: Caller, allowed: frozenset[OperationType] = EVERY_KIND
    ) -> AsyncGenerator[Body]:
        """One result of a query or mutation, one for each event of a subscription. Raises Refused."""
        asked = Asked(parameters, caller)
        try:
            async with aclosing(self._results(asked, allowed)) as results:
                async for result in results:
                    yield result
        except (Failure, GraphQLError) as error:
            raise asked.refused(error) from error
        except (Refused, GeneratorExit):
            raise
        except Exception as error:
            raise asked.refused(GraphQLError("", original_error=error)) from error

    async def _results(self, asked: Asked, allowed: frozenset[OperationType]) -> AsyncGenerator[Body]:
        core = self._core(asked.caller)
        asked = replace(asked, parameters=await self.admission.resolved(asked.parameters, core))
        ready = await self.serving.ready(asked.parameters.query, core)
        operation = _operation(ready, asked)
        cost = self.admission.cost(ready, asked.parameters)
        if operation.operation not in allowed:
            raise Malformed("GET takes no mutations; send them by POST", code="METHOD_NOT_ALLOWED")
        if operation.operation is not OperationType.SUBSCRIPTION:
            body = _body(await self.serving.run(ready, asked.parameters, core), asked)
            yield {**body, "extensions": cost_told(cost, self.admission.max_cost)}
            return
        label = self.metrics.names.label(operation_name(operation))
        async with aclosing(self._subscribed(ready, asked, label)) as results:
            async for result in results:
                yield result

    async def _subscribed(self, ready: Ready, asked: Asked, label: str) -> AsyncGenerator[Body]:
        token = self.tokens.of(asked.caller)
        subscriber = Subscriber(token, label)
        try:
            with self._counted(label):
                await token.held(subscriber)
                executor = _executor(await self._checked(ready, token, asked), asked)
                executor.context_value = Subscription(
                    self.hub, self.figures, subscriber, partial(self._core, asked.caller)
                )
                async with aclosing(await _source(executor, asked)) as source:
                    async for root in source:
                        if isinstance(root, Joined):
                            continue
                        if isinstance(root, Moved):
                            executor = _executor(await self._revalidated(token, asked), asked)
                            continue
                        yield await self._told(executor, root, asked)
                        self.metrics.delivered.labels(label).inc()
        finally:
            self.tokens.release(token, subscriber)

    async def _checked(self, ready: Ready, token: Token, asked: Asked) -> Ready:
        """A document for a schema that its caller has by the rights that his token was just found to have.

        Raises as Schemas.revalidated does.
        """
        if ready.caller is self.serving.schemas.fixed:
            return ready  # everybody has it who has a good token
        if self._schemas_by_token.get(token) == (token.worth().policy, ready.caller):
            return ready
        return await self._revalidated(token, asked)

    async def _revalidated(self, token: Token, asked: Asked) -> Ready:
        policy = token.worth().policy
        caller = await self.serving.schemas.revalidated(self._core(asked.caller))
        self._schemas_by_token[token] = policy, caller
        return Ready(caller, caller.documents.prepare(asked.parameters.query), is_revalidated=True)

    async def _told(self, executor: Executor[Any], root: Any, asked: Asked) -> Body:
        event = executor.build_per_event_executor(root)
        event.context_value = self._core(asked.caller)
        result = execute_subscription_event(event)
        return _body(await result if isawaitable(result) else result, asked)

    def _core(self, caller: Caller) -> Core:
        return Core(self.client, caller, time.monotonic() + self.deadline_seconds)

    @contextmanager
    def _counted(self, label: str) -> Iterator[None]:
        started, code = time.monotonic(), None
        try:
            yield
        except Failure as failure:
            code = failure.code
            self.metrics.ended.labels(code).inc()
            raise
        finally:
            log.info("subscription", operation=label, code=code, seconds=round(time.monotonic() - started, 1))


def _operation(ready: Ready, asked: Asked) -> OperationDefinitionNode:
    """The operation that is meant. Raises Refused."""
    operation = ready.operation(asked.parameters.operation_name)
    if ready.prepared.errors:
        raise asked.refused(*persisted.told(ready.prepared.errors, asked.parameters))
    if operation is None:
        raise asked.refused(GraphQLError("Say which of the document's operations to run by operationName"))
    return operation


def _executor(ready: Ready, asked: Asked) -> Executor[Any]:
    """What runs a document. Raises Refused."""
    _operation(ready, asked)
    executor = ProjectingExecutor.build(
        ready.caller.schema,
        ready.prepared.runnable,
        raw_variable_values=asked.parameters.variables,
        operation_name=asked.parameters.operation_name,
    )
    if isinstance(executor, list):
        raise asked.refused(*executor)
    return executor


async def _source(executor: Executor[Any], asked: Asked) -> Any:
    """The stream of root values. Raises Refused."""
    stream = create_source_event_stream(executor)
    source = await stream if isawaitable(stream) else stream
    if isinstance(source, ExecutionResult):
        raise asked.refused(*(source.errors or ()))
    return source


def _body(result: ExecutionResult, asked: Asked) -> Body:
    """A result as it is told. Raises Refused where nothing was executed."""
    errors = result.errors or []
    if result.data is None and all(error.path is None for error in errors):
        raise asked.refused(*errors)
    told = {"errors": described(errors, asked.caller.request_id)} if errors else {}
    return {**told, "data": result.data}
