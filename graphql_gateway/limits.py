"""What a GraphQL document may be at most, measured before anything is done for it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from graphql_gateway.errors import TooLarge
from graphql_gateway.settings import Settings

MAX_OPERATIONS = 50
MAX_FRAGMENTS = 60
MAX_VALUE_DEPTH = 32
MAX_DIGITS = 400
INTROSPECTION = ("__schema", "__type")
# How many members the lists of an introspection usually have; few types are wrapped, and fewer twice. It is enough to
# compare one introspection with another over the same schema.
MEMBERS = {
    "types": 100.0,
    "directives": 6.0,
    "fields": 6.0,
    "inputFields": 4.0,
    "enumValues": 2.0,
    "args": 2.0,
    "ofType": 0.5,
}
# Half again what `graphql.get_introspection_query` with everything comes to: explorers and generators send no more.
MAX_INTROSPECTED = 45_000


@dataclass(frozen=True)
class Limits:
    """The most of each; `body_bytes` and `tokens` hold before a document is parsed."""

    body_bytes: int
    tokens: int
    depth: int
    aliases: int
    root_fields: int
    fields: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The limits that the settings say."""
        return cls(
            settings.graphql_body_bytes,
            settings.graphql_tokens,
            settings.graphql_depth,
            settings.graphql_aliases,
            settings.graphql_root_fields,
            settings.graphql_fields,
        )


@dataclass(frozen=True)
class Size:
    """How large a selection is, the fields of fragments counted at each use.

    `introspected` is about how many fields of introspection it asks for; `within`, how many if it stands in one.
    """

    depth: int = 0
    aliases: int = 0
    fields: int = 0
    introspected: float = 0.0
    within: float = 0.0

    def __add__(self, other: "Size") -> "Size":
        return Size(
            max(self.depth, other.depth),
            self.aliases + other.aliases,
            self.fields + other.fields,
            self.introspected + other.introspected,
            self.within + other.within,
        )


def check(document: DocumentNode, limits: Limits) -> None:
    """Raises TooLarge, naming the limit, for a document beyond one."""
    scales = Scales.of(document)
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    _require(len(operations), MAX_OPERATIONS, "operations")
    _require(len(scales.fragments), MAX_FRAGMENTS, "fragments")
    size = sum((scales.size(each.selection_set) for each in operations), Size())
    root_fields = max((scales.root_fields(each.selection_set) for each in operations), default=0)
    _require(size.depth, limits.depth, "levels of fields")
    _require(size.aliases, limits.aliases, "aliases")
    _require(root_fields, limits.root_fields, "fields at the top of an operation")
    _require(size.fields, limits.fields, "fields")
    _require(size.introspected, MAX_INTROSPECTED, "fields of introspection")
    depth, digits = _values(document)
    _require(depth, MAX_VALUE_DEPTH, "levels in a value")
    _require(digits, MAX_DIGITS, "digits in a number")


def _require(size: float, limit: int, what: str) -> None:
    if size > limit:
        raise TooLarge(f"The document has more than {limit} {what}")


@dataclass
class Scales:
    """Measures selections; each fragment once, so that fragments of fragments cost no more than their text."""

    fragments: dict[str, FragmentDefinitionNode]
    sizes: dict[str, Size] = field(default_factory=dict)
    roots: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, document: DocumentNode) -> "Scales":
        """Scales that know a document's fragments, each measured before those that use it."""
        fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
        return cls(fragments)

    def size(self, selections: SelectionSetNode) -> Size:
        """The size of a selection set."""
        return sum((self._size(each) for each in selections.selections), Size())

    def root_fields(self, selections: SelectionSetNode) -> int:
        """The fields of a selection set itself, those of its fragments among them."""
        return sum(self._root_fields(each) for each in selections.selections)

    def _size(self, node: Node) -> Size:
        if isinstance(node, FragmentSpreadNode):
            return self._fragment_size(node.name.value)
        if isinstance(node, InlineFragmentNode):
            return self.size(node.selection_set)
        if not isinstance(node, FieldNode):
            return Size()
        inner = self.size(node.selection_set) if node.selection_set else Size()
        aliases = inner.aliases + (node.alias is not None)
        within = 1.0 + inner.within * MEMBERS.get(node.name.value, 1.0)
        if node.name.value in INTROSPECTION:
            # How deep introspection goes is bounded by a rule of its own.
            return Size(1, aliases, inner.fields + 1, inner.within, within)
        return Size(inner.depth + 1, aliases, inner.fields + 1, inner.introspected, within)

    def _fragment_size(self, name: str) -> Size:
        if name not in self.sizes:
            # A fragment within itself counts for nothing here; validation refuses it.
            self.sizes[name] = Size()
            fragment = self.fragments.get(name)
            self.sizes[name] = self.size(fragment.selection_set) if fragment else Size()
        return self.sizes[name]

    def _root_fields(self, node: Node) -> int:
        if isinstance(node, InlineFragmentNode):
            return self.root_fields(node.selection_set)
        if not isinstance(node, FragmentSpreadNode):
            return 1
        name = node.name.value
        if name not in self.roots:
            self.roots[name] = 0
            fragment = self.fragments.get(name)
            self.roots[name] = self.root_fields(fragment.selection_set) if fragment else 0
        return self.roots[name]


def _values(document: DocumentNode) -> tuple[int, int]:
    """The deepest nesting of lists and objects in the values of a document, and the length of its longest number."""
    depth, digits = 0, 0
    level: list[tuple[Node, int]] = [(document, 0)]
    while level:
        node, above = level.pop()
        depth = max(depth, above)
        if isinstance(node, IntValueNode | FloatValueNode):
            digits = max(digits, len(node.value))
        is_nesting = isinstance(node, ListValueNode | ObjectValueNode)
        level += [(child, above + is_nesting) for child in _children(node)]
    return depth, digits


def _children(node: Node) -> Iterator[Node]:
    for key in node.keys:
        value = None if key == "loc" else getattr(node, key, None)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, list | tuple):
            yield from (each for each in value if isinstance(each, Node))
