"""Row layouts along the hops: which fields a step is given, and which of them are null or secret there."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from xml.etree.ElementTree import Element

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from integration.pentaho.documents import VARIABLE, Document, Node, text_of

SECRET = re.compile(r"PASSWORD|TOKEN|SECRET")


@dataclass(frozen=True)
class Field:
    """A field of a row. It is `lost` where it is null in the last batch of a JSON Output that it passed through."""

    name: str
    is_lost: bool = False
    is_secret: bool = False


Layout = tuple[Field, ...]


@dataclass(frozen=True)
class Flow:
    """What comes to each step: the different layouts of its inputs, None for one that cannot be known."""

    inputs: Mapping[str, Sequence[Layout | None]]

    def of(self, name: str) -> Layout | None:
        """The layout that a step works with, if it can be known."""
        found = self.inputs.get(name, ())
        return found[0] if found else ()


@dataclass(frozen=True)
class Query:
    """What a SELECT gives and takes; None where it cannot be read."""

    columns: tuple[str, ...]
    parameters: int
    is_ordered: bool


@cache
def query_of(sql: str) -> Query | None:
    """Read a SELECT, whatever stands for its variables."""
    plain = VARIABLE.sub(lambda match: "select 1" if "CHANGES" in match[1] else "x", sql)
    try:
        tree = sqlglot.parse_one(plain)
    except SqlglotError:
        return None
    if not isinstance(tree, exp.Query):
        return None
    columns = tuple(each.alias_or_name for each in tree.selects)
    return Query(columns, len(list(tree.find_all(exp.Placeholder))), tree.args.get("order") is not None)


def flow_of(document: Document, order: Sequence[Node]) -> Flow:
    """Follow the rows through the steps, which are given in an order in which rows reach them."""
    outputs: dict[str, Layout | None] = {}
    inputs: dict[str, list[Layout | None]] = {}
    for node in order:
        inputs[node.name] = _different(_arriving(document, node, inputs, outputs))
        outputs[node.name] = _given(node, Flow(inputs).of(node.name))
    return Flow(inputs)


def _different(layouts: Iterable[Layout | None]) -> list[Layout | None]:
    named = {None if layout is None else tuple(field.name for field in layout): layout for layout in layouts}
    return list(named.values())


def _arriving(
    document: Document, node: Node, inputs: Mapping[str, list[Layout | None]], outputs: Mapping[str, Layout | None]
) -> Iterator[Layout | None]:
    errors = {(path.source, path.target): path.fields for path in document.error_paths if path.is_enabled}
    for hop in document.hops:
        if hop.target != node.name or not hop.is_enabled or hop.source not in outputs:
            continue
        if node.kind == "TableInput" and node.text("lookup") == hop.source:
            continue
        if (hop.source, hop.target) in errors:
            before = Flow(inputs).of(hop.source)
            yield None if before is None else (*before, *(Field(name) for name in errors[hop.source, hop.target]))
        else:
            yield outputs[hop.source]


def _given(node: Node, layout: Layout | None) -> Layout | None:
    if node.kind == "TableInput":
        query = query_of(node.text("sql"))
        return None if query is None else tuple(Field(name) for name in query.columns)
    if layout is None:
        return None
    if node.kind == "JsonOutput":
        return _batched(node, layout)
    if node.kind == "SelectValues":
        return _selected(node, layout)
    if node.kind == "GroupBy":
        return _grouped(node, layout)
    return (*layout, *_added(node))


def _batched(node: Node, layout: Layout) -> Layout:
    taken = {text_of(each, "name") for each in node.all("fields/field")}
    is_secret = any(field.is_secret for field in layout if field.name in taken)
    # With one row in each batch none is left over.
    is_lost = node.text("nrRowsInBloc") != "1"
    passed = (replace(field, is_lost=field.is_lost or is_lost) for field in layout)
    return (*passed, Field(node.text("outputValue"), is_secret=is_secret))


def _selected(node: Node, layout: Layout) -> Layout:
    found = {field.name: field for field in layout}
    kept = [(text_of(each, "name"), text_of(each, "rename")) for each in node.all("fields/field")]
    return tuple(replace(found.get(name, Field(name)), name=rename or name) for name, rename in kept)


def _grouped(node: Node, layout: Layout) -> Layout:
    found = {field.name: field for field in layout}
    groups = tuple(found.get(name, Field(name)) for name in node.texts("group/field/name"))
    made = (
        replace(found.get(text_of(each, "subject"), Field("")), name=text_of(each, "aggregate"))
        for each in node.all("fields/field")
    )
    return (*groups, *made)


def _added(node: Node) -> Iterator[Field]:
    if node.kind == "GetVariable":
        yield from map(_variable_field, node.all("fields/field"))
    if node.kind == "JsonInput":
        yield from (Field(name) for name in node.texts("fields/field/name"))
    single = {"Sequence": ("valuename",), "FieldsChangeSequence": ("resultfieldName",)}
    rest = ("result/name", "result/code", "result/response_time", "result/response_header")
    for path in rest if node.kind == "Rest" else single.get(node.kind, ()):
        if node.text(path):
            yield Field(node.text(path))


def _variable_field(field: Element) -> Field:
    named = VARIABLE.findall(text_of(field, "variable"))
    return Field(text_of(field, "name"), is_secret=any(SECRET.search(name) for name in named))


def uses(node: Node) -> Iterator[str]:
    """The fields that a step needs, as often as it does."""
    for path in _USED.get(node.kind, ()):
        yield from (name for name in node.texts(path) if name)
    if node.kind == "FilterRows":
        for condition in node.element.iter("condition"):
            yield from filter(None, (text_of(condition, "leftvalue"), text_of(condition, "rightvalue")))


_USED = {
    "Delete": ("lookup/key/name", "lookup/key/name2"),
    "FieldsChangeSequence": ("fields/field/name",),
    "GroupBy": ("group/field/name", "fields/field/subject"),
    "InsertUpdate": ("lookup/key/name", "lookup/key/name2", "lookup/value/rename"),
    "JsonInput": ("valueField",),
    "JsonOutput": ("fields/field/name",),
    "ReplaceString": ("fields/field/in_stream_name",),
    "Rest": ("bodyField", "headers/header/field", "parameters/parameter/field"),
    "SelectValues": ("fields/field/name",),
    "SetVariable": ("fields/field/field_name",),
    "WriteToLog": ("fields/field/name",),
}
