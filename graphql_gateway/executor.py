"""Execution: as graphql-core does it, except that what is plain in a row is read without resolvers."""

from collections.abc import AsyncIterable, Awaitable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Self, cast

from graphql import (
    Executor,
    GraphQLError,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLStreamDirective,
    TypeNameMetaFieldDef,
    default_field_resolver,
    get_nullable_type,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.execution.execute import assume_not_async_iterable, assume_not_awaitable
from graphql.pyutils import AwaitableOrValue, Path, is_async_iterable, is_awaitable

from graphql_gateway.projections import Field, Reading, Unusual, constant, leaf, list_of, object_of, once, usual

# Predicates that are false for everything that comes out of JSON.
AWAITABLE = (is_awaitable, assume_not_awaitable)
ASYNC_ITERABLE = (is_async_iterable, assume_not_async_iterable)
PLAIN_RESOLVERS = (None, default_field_resolver)


class Plan(NamedTuple):
    """The fields of a selection that can be read, in order, and whether these are all."""

    fields: tuple[Field, ...]
    is_whole: bool


class ProjectingExecutor(Executor[Any]):
    """An executor for `execute` and `subscribe` of graphql-core (`executor_class=`), with the same answers.

    Rows as they come out of JSON are projected: no path, no resolve info and no resolver for a field that has no
    resolver of its own, nor arguments. Reading a row changes nothing and calls nothing of the row, so that whatever
    is unusual in it (an error, something to call or to await, a value of the wrong type) is completed by graphql-core.
    A plan lives as long as its operation: callers, schemas and variables never meet in one.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        has_hooks = self.middleware_manager is not None or self.field_resolver is not default_field_resolver
        is_known = self.is_awaitable in AWAITABLE and self.is_async_iterable in ASYNC_ITERABLE
        self._may_project = is_known and not has_hooks
        self.forget_selections()

    def forget_selections(self) -> None:
        """Start without plans. They are kept by the identity of what was collected, together with it."""
        self._relevant_sub_fields = {}
        self._plans: dict[int, tuple[GroupedFieldSet, Plan]] = {}
        self._readings: dict[tuple[GraphQLOutputType, int], tuple[FieldDetailsList, Reading | None]] = {}
        self._shared: list[dict[int, Any]] = []

    def build_per_event_executor(self, payload: Any) -> Self:
        """An executor for one event of a subscription."""
        executor = cast(Self, super().build_per_event_executor(payload))
        # Each event collects its fields anew. Kept with the subscription they would grow for as long as it lasts.
        executor.forget_selections()
        return executor

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> AwaitableOrValue[dict[str, Any]]:
        """The answers to the fields of one object, in the order in which they are asked."""
        if not self._may_project or type(source_value) is not dict or position_context is not None:
            return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
        with self._reading_rows():
            answers = usual(self._plan(parent_type, grouped_field_set).fields, source_value)
        if len(answers) == len(grouped_field_set):
            return answers
        rest = {name: details for name, details in grouped_field_set.items() if name not in answers}
        completed = super().execute_fields(parent_type, source_value, path, rest, position_context)
        if isinstance(completed, dict):
            return _in_order(grouped_field_set, answers | completed)
        return _awaited(grouped_field_set, answers, completed)

    def complete_list_value(  # noqa: PLR0917 – the signature is graphql-core's
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: AsyncIterable[Any] | Iterable[Any],
        position_context: Any,
    ) -> AwaitableOrValue[list[Any]]:
        """The items of a list; all of them at once where all are plain."""
        if self._may_project and type(result) is list and position_context is None:
            reading = self._reading(return_type, field_details_list)
            with suppress(Unusual, RecursionError), self._reading_rows():
                if reading is not None:
                    return cast("list[Any]", reading.read(result))
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    @contextmanager
    def _reading_rows(self) -> Iterator[None]:
        """Forget what was read of rows when the block ends: after that their ids are not theirs any more."""
        try:
            yield
        finally:
            for answers in self._shared:
                answers.clear()

    def _plan(self, parent_type: GraphQLObjectType, selected: GroupedFieldSet) -> Plan:
        kept = self._plans.get(id(selected))
        if kept is not None:
            return kept[1]
        found = [self._field(parent_type, name, details) for name, details in selected.items()]
        fields = tuple(field for field in found if field is not None)
        plan = Plan(fields, len(fields) == len(found))
        self._plans[id(selected)] = (selected, plan)
        return plan

    def _field(self, parent_type: GraphQLObjectType, name: str, details: FieldDetailsList) -> Field | None:
        node = details[0].node
        key = node.name.value
        definition = self.schema.get_field(parent_type, key)
        if definition is None or node.arguments:
            return None
        if definition is TypeNameMetaFieldDef:
            return (name, key, *constant(parent_type.name))
        if definition.args or definition.resolve not in PLAIN_RESOLVERS:
            return None
        reading = self._make_reading(definition.type, details)
        if reading is not None and isinstance(get_nullable_type(definition.type), GraphQLObjectType):
            self._shared.append({})
            reading = once(reading, self._shared[-1])
        return reading and (name, key, *reading)

    def _reading(self, wanted: GraphQLOutputType, details: FieldDetailsList) -> Reading | None:
        key = (wanted, id(details))
        if key not in self._readings:
            self._readings[key] = (details, self._make_reading(wanted, details))
        return self._readings[key][1]

    def _make_reading(self, wanted: GraphQLOutputType, details: FieldDetailsList) -> Reading | None:
        if isinstance(wanted, GraphQLNonNull):
            reading = self._make_reading(wanted.of_type, details)
            return reading and Reading(reading.exact, False, reading.read)
        if isinstance(wanted, GraphQLObjectType):
            return self._make_object(wanted, details)
        if isinstance(wanted, GraphQLList) and not _is_streamed(details):
            item = self._make_reading(wanted.of_type, details)
            return item and list_of(item)
        return leaf(wanted)

    def _make_object(self, wanted: GraphQLObjectType, details: FieldDetailsList) -> Reading | None:
        if wanted.is_type_of is not None:
            return None
        try:
            collected = self.collect_subfields(wanted, details)
            plan = self._plan(wanted, collected.grouped_field_set)
        except (GraphQLError, RecursionError):
            return None  # found again, and told, where the object is completed
        return object_of(plan.fields) if plan.is_whole and not collected.new_defer_usages else None


def _is_streamed(details: FieldDetailsList) -> bool:
    directives = [directive for each in details for directive in each.node.directives or ()]
    return any(directive.name.value == GraphQLStreamDirective.name for directive in directives)


def _in_order(selected: GroupedFieldSet, answers: dict[str, Any]) -> dict[str, Any]:
    return {name: answers[name] for name in selected if name in answers}


async def _awaited(
    selected: GroupedFieldSet, answers: dict[str, Any], completed: Awaitable[dict[str, Any]]
) -> dict[str, Any]:
    return _in_order(selected, answers | await completed)
