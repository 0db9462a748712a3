"""What a client selects: through fragments, aliases, @skip and @include, so that no more is fetched than is told."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSkipDirective,
    InlineFragmentNode,
    NamedTypeNode,
    Node,
    SelectionSetNode,
    get_directive_values,
    get_named_type,
    is_abstract_type,
    type_from_ast,
)
from graphql.execution.values import get_argument_values

from graphql_gateway.rest_client import Info


@dataclass(frozen=True)
class Selection:
    """What is selected of the objects of one type, by one field or several of the same response key."""

    info: Info
    type: GraphQLObjectType
    nodes: tuple[FieldNode, ...]

    @classmethod
    def of(cls, info: Info, *path: str) -> "Selection":
        """What is selected of the resolved field, or of what a path of fields leads to from it."""
        selection = cls(info, _object_type(info.return_type), tuple(info.field_nodes))
        for name in path:
            selection = selection.below(name)
        return selection

    @cached_property
    def fields(self) -> dict[str, tuple[FieldNode, ...]]:
        """The nodes of each selected field by its response key, in the order of the answer."""
        found: dict[str, tuple[FieldNode, ...]] = {}
        for node in self.nodes:
            for each in self._fields(node.selection_set):
                key = each.alias.value if each.alias else each.name.value
                found[key] = (*found.get(key, ()), each)
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the selected fields, aliases undone; `__typename` is left out."""
        return frozenset(nodes[0].name.value for nodes in self.fields.values()) - {"__typename"}

    def below(self, name: str) -> "Selection":
        """What is selected of a field's objects, all aliases of it together."""
        nodes = [node for each in self.fields.values() for node in each if node.name.value == name]
        return Selection(self.info, _object_type(self.type.fields[name].type), tuple(nodes))

    def at(self, key: str) -> "Selection":
        """What is selected of the objects at a response key."""
        nodes = self.fields[key]
        return Selection(self.info, _object_type(self.type.fields[nodes[0].name.value].type), nodes)

    def keys_of(self, name: str) -> list[str]:
        """The response keys of a field: its aliases, or its name."""
        return [key for key, nodes in self.fields.items() if nodes[0].name.value == name]

    def arguments(self, key: str) -> dict[str, Any]:
        """The arguments of the field at a response key. Raises GraphQLError where one is not valid."""
        node = self.fields[key][0]
        return get_argument_values(self.type.fields[node.name.value], node, self.info.variable_values)

    def _fields(self, selections: SelectionSetNode | None) -> Iterator[FieldNode]:
        for node in selections.selections if selections else ():
            if not self._is_included(node):
                continue
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode) and self._is_of(node.type_condition):
                yield from self._fields(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self.info.fragments[node.name.value]
                if self._is_of(fragment.type_condition):
                    yield from self._fields(fragment.selection_set)

    def _is_included(self, node: Node) -> bool:
        if not getattr(node, "directives", None):
            return True
        variables = self.info.variable_values
        skip = get_directive_values(GraphQLSkipDirective, node, variables)  # type: ignore[arg-type]
        include = get_directive_values(GraphQLIncludeDirective, node, variables)  # type: ignore[arg-type]
        return not (skip and skip["if"]) and not (include and not include["if"])

    def _is_of(self, condition: NamedTypeNode | None) -> bool:
        if condition is None:
            return True
        named = type_from_ast(self.info.schema, condition)
        return named is self.type or (is_abstract_type(named) and self.info.schema.is_sub_type(named, self.type))


def _object_type(type_: Any) -> GraphQLObjectType:
    """The type of a field's objects, lists and non-nulls taken off."""
    return get_named_type(type_)  # type: ignore[no-any-return]
