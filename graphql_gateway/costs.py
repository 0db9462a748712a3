"""What an operation costs: how many fields its answer can have, told from document, variables and schema alone.

Each field counts 1, and a list counts its members' fields as often as it can have members: as often as `first`, `last`
or `limit` of the list, or of the field it is a page of, says. Skipped fields count as if they were not skipped, and a
fragment counts at each use. Introspection has a limit of its own and counts 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_interface_type,
    is_list_type,
    is_object_type,
)

from graphql_gateway.errors import Failure, TooLarge

PAGE_ARGUMENTS = ("first", "last", "limit")
# Lists that get an answer for each of their members.
KEY_ARGUMENTS = ("representations", "ids")
DEFAULT_MEMBERS = 20
MAX_MEMBERS = 100
Variables = Mapping[str, Any]


def cost_told(cost: int, limit: int) -> dict[str, Any]:
    """What the answer to an operation tells among its extensions."""
    return {"cost": {"requested": cost, "limit": limit}}


def too_costly(cost: int, limit: int) -> Failure:
    """The refusal of an operation whose cost is beyond the limit."""
    return Failure(f"The operation costs {cost}, and at most {limit} is allowed; ask for less", code=TooLarge.code)


@dataclass(frozen=True)
class Weight:
    """What a selection counts: so much, and so much more for each member of the page that it stands in."""

    fixed: int = 0
    per_member: int = 0

    def __add__(self, other: "Weight") -> "Weight":
        return Weight(self.fixed + other.fixed, self.per_member + other.per_member)

    def of(self, members: int) -> int:
        """What it counts in a page of so many members."""
        return self.fixed + self.per_member * members


@dataclass(frozen=True)
class Size:
    """How many members a list has: what a variable says, or, without one, `otherwise`."""

    otherwise: int
    variable: str | None = None

    def members(self, variables: Variables) -> int:
        """The number under these variables; what is no size will be refused elsewhere, and nobody gets over 100."""
        value = variables.get(self.variable) if self.variable else None
        if isinstance(value, list):
            return len(value)
        number = _whole(value)
        return self.otherwise if number is None else _within(number)


@dataclass(frozen=True)
class Selection:
    """A selection made ready to be weighed: what is certain already, and the parts that variables decide."""

    certain: Weight = Weight()
    parts: "tuple[Part, ...]" = ()

    def __add__(self, other: "Selection") -> "Selection":
        return Selection(self.certain + other.certain, self.parts + other.parts)


@dataclass(frozen=True)
class Part:
    """A selection within another: as such, as a page of a certain size, or as a list with so many members."""

    inner: Selection
    size: Size | None
    is_list: bool

    @property
    def is_certain(self) -> bool:
        """Whether no variable has a say."""
        return not self.inner.parts and (self.size is None or self.size.variable is None)


@dataclass(frozen=True)
class Scale:
    """Weighs selections under variables; each once, so that fragments of fragments cost no more than their text."""

    variables: Variables
    weighed: dict[int, Weight] = field(default_factory=dict)

    def weight(self, selection: Selection) -> Weight:
        """What a selection counts."""
        if not selection.parts:
            return selection.certain
        key = id(selection)
        if key not in self.weighed:
            self.weighed[key] = sum((self.part(each) for each in selection.parts), selection.certain)
        return self.weighed[key]

    def part(self, part: Part) -> Weight:
        """What a part counts."""
        inner = self.weight(part.inner)
        members = part.size.members(self.variables) if part.size else None
        if not part.is_list:
            return inner if members is None else Weight(inner.of(members))
        of_each = inner.of(DEFAULT_MEMBERS)
        return Weight(0, of_each) if members is None else Weight(members * of_each)


CERTAIN = Scale({})


@dataclass(frozen=True)
class Costs:
    """The costs of a document's operations, as far as they can be told without variables."""

    selections: Mapping[str, Selection]

    @classmethod
    def of(cls, schema: GraphQLSchema, document: DocumentNode) -> "Costs":
        """The costs of a document that is valid."""
        reader = _Reader(schema, document)
        operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
        return cls({_name(each): reader.operation(each) for each in operations})

    def cost(self, operation: OperationDefinitionNode, variables: Variables | None) -> int:
        """What an operation costs under variables."""
        selection = self.selections[_name(operation)]
        if not selection.parts:
            return selection.certain.of(DEFAULT_MEMBERS)
        return Scale({**_defaults(operation), **(variables or {})}).weight(selection).of(DEFAULT_MEMBERS)


class _Reader:
    """Makes selections ready, each fragment once."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._read: dict[str, Selection] = {}

    def operation(self, node: OperationDefinitionNode) -> Selection:
        return self._selection(node.selection_set, self._schema.get_root_type(node.operation))

    def _selection(self, node: SelectionSetNode, parent: GraphQLNamedType | None) -> Selection:
        return sum((self._one(each, parent) for each in node.selections), Selection())

    def _one(self, node: SelectionNode, parent: GraphQLNamedType | None) -> Selection:
        if isinstance(node, FieldNode):
            return Selection(Weight(1)) + self._below(node, parent)
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            return self._selection(node.selection_set, self._type(condition.name.value) if condition else parent)
        return _placed(Part(self._fragment(node), None, False)) if isinstance(node, FragmentSpreadNode) else Selection()

    def _fragment(self, node: FragmentSpreadNode) -> Selection:
        name = node.name.value
        if name not in self._read:
            fragment = self._fragments[name]
            self._read[name] = self._selection(fragment.selection_set, self._type(fragment.type_condition.name.value))
        return self._read[name]

    def _below(self, node: FieldNode, parent: GraphQLNamedType | None) -> Selection:
        fields = parent.fields if is_object_type(parent) or is_interface_type(parent) else {}
        definition = fields.get(node.name.value)
        if definition is None or node.selection_set is None:
            return Selection()
        inner = self._selection(node.selection_set, get_named_type(definition.type))
        is_list = is_list_type(get_nullable_type(definition.type))
        return _placed(Part(inner, _size(node, definition), is_list))

    def _type(self, name: str) -> GraphQLNamedType | None:
        return self._schema.get_type(name)


def _placed(part: Part) -> Selection:
    return Selection(CERTAIN.part(part)) if part.is_certain else Selection(parts=(part,))


def _size(node: FieldNode, definition: GraphQLField) -> Size | None:
    """The size that a field's arguments give; the largest where there are several."""
    given = {each.name.value: each.value for each in node.arguments or ()}
    keys = [_keys(given[name]) for name in KEY_ARGUMENTS if name in given]
    if keys:
        return keys[0]
    known = [name for name in PAGE_ARGUMENTS if name in definition.args]
    if not known:
        return None
    named = [name for name in known if name in given]
    default = _within(_default(definition, (named or known)[0]))
    return _members(given[named[0]], default) if named else Size(default)


def _members(value: ValueNode, default: int) -> Size:
    if isinstance(value, VariableNode):
        return Size(default, value.name.value)
    return Size(_literal(value, default))


def _keys(value: ValueNode) -> Size:
    if isinstance(value, VariableNode):
        return Size(1, value.name.value)
    return Size(len(value.values) if isinstance(value, ListValueNode) else 1)


def _default(definition: GraphQLField, name: str) -> int:
    default = definition.args[name].default
    if default is None:
        return DEFAULT_MEMBERS
    if default.literal is not None:
        return _literal(default.literal, DEFAULT_MEMBERS)
    return default.value if isinstance(default.value, int) else DEFAULT_MEMBERS


def _defaults(operation: OperationDefinitionNode) -> dict[str, Any]:
    """The defaults of variables, as far as they are numbers or have a length."""
    found = {each.variable.name.value: each.default_value for each in operation.variable_definitions or ()}
    numbers = {name: int(value.value[:4]) for name, value in found.items() if isinstance(value, IntValueNode)}
    return numbers | {name: list(value.values) for name, value in found.items() if isinstance(value, ListValueNode)}


def _literal(value: ValueNode, default: int) -> int:
    # Four characters tell all that matters of a number that is cut at 100.
    return _within(int(value.value[:4])) if isinstance(value, IntValueNode) and value.value != "-" else default


def _whole(value: Any) -> int | None:
    """What an Int is given; `100.0` is taken for one, too."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _within(members: int) -> int:
    return min(max(members, 0), MAX_MEMBERS)


def _name(operation: OperationDefinitionNode) -> str:
    return operation.name.value if operation.name else ""
