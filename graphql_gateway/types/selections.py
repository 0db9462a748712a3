"""Which fields a client asks for, so that no more is fetched."""

from collections.abc import Iterable, Iterator

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

from graphql_gateway.rest_client import Info


def selected(info: Info, *path: str) -> frozenset[str]:
    """The names of the fields selected below a field of the resolved one; those under @skip and @include too."""
    nodes: Iterable[FieldNode] = info.field_nodes
    for name in path:
        nodes = [each for node in nodes for each in _fields(info, node.selection_set) if each.name.value == name]
    return frozenset(each.name.value for node in nodes for each in _fields(info, node.selection_set))


def _fields(info: Info, selections: SelectionSetNode | None) -> Iterator[FieldNode]:
    for node in selections.selections if selections else ():
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            yield from _fields(info, node.selection_set)
        elif isinstance(node, FragmentSpreadNode):
            yield from _fields(info, info.fragments[node.name.value].selection_set)
